"""Lists of payments, newest first."""

from typing import Any

import msgspec

from haldir.kernel.ids import TenantId
from haldir.ledger.model import Payment, Reservation
from haldir.storage.engine import Reader
from haldir.storage.mapping import mapping

PAYMENT_COLUMNS = tuple(f"payment.{name}" for name in mapping(Payment).names)
RESERVATION_COLUMNS = tuple(f"reservation.{name}" for name in mapping(Reservation).names)

PAYMENTS = f"""
SELECT {", ".join((*PAYMENT_COLUMNS, *RESERVATION_COLUMNS))} FROM payment
JOIN reservation ON reservation.tenant = payment.tenant AND reservation.id = payment.id
WHERE payment.tenant = :tenant AND (:before = '' OR payment.id < :before)
  AND (:state = '' OR reservation.state = :state)"""
OF_SESSION = "AND payment.session_id = :session_id"
NEWEST_FIRST = "ORDER BY payment.id DESC LIMIT :limit"


POSTED = """
SELECT count(*), coalesce(sum(posted_micros), 0) FROM reservation
WHERE tenant = :tenant AND currency = :currency AND purpose = 'payment' AND state = 'posted'
"""


class PaymentFilter(msgspec.Struct, frozen=True):
    """Which payments are wanted; "" is any."""

    session_id: str = ""
    state: str = ""


async def list_payments(
    reader: Reader, tenant: TenantId, wanted: PaymentFilter, before: str, limit: int
) -> list[tuple[Payment, Reservation]]:
    """Return up to `limit` payments whose id comes before `before` ("" for the newest), each with its money."""
    conditions, params = [PAYMENTS], {"before": before, "state": wanted.state}
    if wanted.session_id:
        conditions.append(OF_SESSION)
        params["session_id"] = wanted.session_id
    found: list[Any] = await reader.fetch("\n".join([*conditions, NEWEST_FIRST]), tenant=tenant, limit=limit, **params)
    return [_paired(values) for values in found]


def _paired(values: Any) -> tuple[Payment, Reservation]:
    payment = mapping(Payment).decode(values[: len(PAYMENT_COLUMNS)])
    reservation = mapping(Reservation).decode(values[len(PAYMENT_COLUMNS) :])
    assert isinstance(payment, Payment)
    assert isinstance(reservation, Reservation)
    return payment, reservation


async def posted_payments(reader: Reader, tenant: TenantId, currency: str) -> tuple[int, int]:
    """Return how many payments in a currency were posted, and their sum in micro-units."""
    ((count, micros),) = await reader.fetch(POSTED, tenant=tenant, currency=currency)
    return int(count), int(micros)
