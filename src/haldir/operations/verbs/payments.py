"""Payments: authorize."""

from typing import Any

import msgspec

from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import HaldirError, InvalidRequest, Refused
from haldir.kernel.money import CURRENCY, wire_amount
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed
from haldir.operations.payment_commands import AuthorizePayment, PaymentAuthorized
from haldir.operations.wire import Amount

DESCRIPTION_CHARS_MAX = 500  # WIRE.md §3.
CURRENCY_CHARS_MAX = 8  # WIRE.md §3.


class AuthorizePaymentRequest(msgspec.Struct, frozen=True):
    """`amount` in whole units of `currency`, above zero."""

    session_id: str
    amount: Amount
    currency: str = CURRENCY
    description: str = ""
    capture: bool = True


class PaymentShown(msgspec.Struct, frozen=True):
    """`remaining_budget` null is no limit."""

    authorized: bool
    authorization_id: str
    session_id: str
    agent_id: str
    amount: float
    currency: str
    description: str
    remaining_budget: float | None
    timestamp: float


async def authorize_payment(ctx: Context, caller: Caller, request: AuthorizePaymentRequest) -> PaymentShown:
    """Spend an amount from a session's budget, and from every budget above it, or nothing."""
    _check(request)
    op_id = ctx.new_op()
    keys = await ctx.keyring.tenant(caller.tenant)
    parts = [keys.seal(request.description.encode(), "payment.description")] if request.description else []
    command = AuthorizePayment(
        op_id=op_id,
        asked_by=caller.credential,
        payment_id=ids.payment_id(op_id),
        session_id=request.session_id,
        amount_micros=int(request.amount),
        currency=request.currency,
        description_digest=parts[0].digest if parts else "",
    )
    outcome = await allowed(ctx, caller.tenant, command, parts)
    paid = msgspec.json.decode(outcome.result, type=PaymentAuthorized)
    return PaymentShown(
        True,
        paid.payment_id,
        request.session_id,
        paid.agent_id,
        wire_amount(request.amount),
        request.currency,
        request.description,
        None if paid.remaining_micros is None else wire_amount(paid.remaining_micros),
        unix_seconds(outcome.at),
    )


def _check(request: AuthorizePaymentRequest) -> None:
    if not request.amount:
        raise InvalidRequest("`amount` must be above zero", "amount")
    if not request.capture:
        raise InvalidRequest("`capture` false (reserve only) is not supported yet; nothing was spent", "capture")
    if not 1 <= len(request.currency) <= CURRENCY_CHARS_MAX:
        raise InvalidRequest(f"`currency` is 1 to {CURRENCY_CHARS_MAX} characters", "currency")
    if len(request.description) > DESCRIPTION_CHARS_MAX:
        raise InvalidRequest(f"`description` is at most {DESCRIPTION_CHARS_MAX} characters", "description")


def _refusal_extras(error: HaldirError) -> dict[str, Any]:
    """Return what published clients read of a refused payment (WIRE.md §3)."""
    return {"authorized": False, "reason": error.reason} if isinstance(error, Refused) else {}


OPERATIONS = (
    Operation(
        name="authorize_payment",
        method="POST",
        path="/v1/payments/authorize",
        summary="Authorize a payment",
        scope="payments:write",
        request=AuthorizePaymentRequest,
        response=PaymentShown,
        run=authorize_payment,
        session=True,
        refusals=(
            "session_not_found",
            "session_expired",
            "session_revoked",
            "agent_revoked",
            "spend_not_allowed",
            "budget_exceeded",
            "currency_mismatch",
        ),
        refusal_extras=_refusal_extras,
        tag="payments",
    ),
)
