"""Payments: authorize, capture, void, get, list."""

from collections.abc import Sequence
from typing import Any

import msgspec

from haldir.approvals.holds import APPROVAL_REQUIRED
from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import HaldirError, InvalidRequest, NotFound, Refused
from haldir.kernel.money import CURRENCY, wire_amount
from haldir.ledger.model import Payment, Reservation, ReservationState
from haldir.ledger.queries import PaymentFilter
from haldir.ledger.queries import list_payments as read_payments
from haldir.operations.caller import Caller
from haldir.operations.catalogue import McpTool, Operation
from haldir.operations.context import Context
from haldir.operations.hold_told import waiting_for
from haldir.operations.living import find_row
from haldir.operations.outcomes import allowed
from haldir.operations.payment_commands import (
    AuthorizePayment,
    CapturePayment,
    PaymentAuthorized,
    PaymentResolved,
    VoidPayment,
)
from haldir.operations.sealed_parts import opened_parts
from haldir.operations.verbs.sessions import owns
from haldir.operations.wire import Amount

PAGE_DEFAULT = 100
PAGE_MAX = 500
DESCRIPTION_CHARS_MAX = 500  # WIRE.md §3.
CURRENCY_CHARS_MAX = 8  # WIRE.md §3.


class AuthorizePaymentRequest(msgspec.Struct, frozen=True):
    """`amount` in whole units of `currency`, above zero. `capture` false only sets it aside."""

    session_id: str
    amount: Amount
    currency: str = CURRENCY
    description: str = ""
    capture: bool = True


class PaymentAuthorizedShown(msgspec.Struct, frozen=True):
    """`remaining_budget` null is no limit. `state`: posted (spent), or reserved until it is captured or voided."""

    authorized: bool
    authorization_id: str
    session_id: str
    agent_id: str
    amount: float
    currency: str
    description: str
    state: ReservationState
    remaining_budget: float | None
    timestamp: float


class PaymentNamed(msgspec.Struct, frozen=True):
    authorization_id: str


class CapturePaymentRequest(msgspec.Struct, frozen=True):
    """`amount` to spend, at most what was reserved; all of it when absent. The rest is given back."""

    authorization_id: str
    amount: Amount | None = None


class PaymentResolvedShown(msgspec.Struct, frozen=True):
    """`amount` was reserved, `posted` of it is spent."""

    authorization_id: str
    session_id: str
    agent_id: str
    state: str
    amount: float
    posted: float
    currency: str
    remaining_budget: float | None
    timestamp: float


class PaymentShown(msgspec.Struct, frozen=True):
    """`description` null was erased. `resolved_at` null: the payment is still reserved."""

    authorization_id: str
    session_id: str
    agent_id: str
    state: ReservationState
    amount: float
    posted: float
    currency: str
    description: str | None
    created_at: float
    resolved_at: float | None


class ListPaymentsRequest(msgspec.Struct, frozen=True):
    """Filters; absent is any."""

    session_id: str = ""
    state: ReservationState | None = None
    limit: int = PAGE_DEFAULT
    cursor: str = ""


class PaymentsListed(msgspec.Struct, frozen=True):
    payments: list[PaymentShown]
    count: int
    next_cursor: str | None


async def authorize_payment(ctx: Context, caller: Caller, request: AuthorizePaymentRequest) -> PaymentAuthorizedShown:
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
        capture=request.capture,
    )
    outcome = await allowed(ctx, caller.tenant, command, parts)
    paid = msgspec.json.decode(outcome.result, type=PaymentAuthorized)
    return PaymentAuthorizedShown(
        True,
        paid.payment_id,
        request.session_id,
        paid.agent_id,
        wire_amount(request.amount),
        request.currency,
        request.description,
        "posted" if request.capture else "reserved",
        None if paid.remaining_micros is None else wire_amount(paid.remaining_micros),
        unix_seconds(outcome.at),
    )


async def capture_payment(ctx: Context, caller: Caller, request: CapturePaymentRequest) -> PaymentResolvedShown:
    """Spend what a payment reserved, or part of it; the rest is given back."""
    if request.amount == 0:
        raise InvalidRequest("`amount` must be above zero; void the payment to spend nothing", "amount")
    command = CapturePayment(
        op_id=ctx.new_op(),
        asked_by=caller.credential,
        payment_id=request.authorization_id,
        amount_micros=None if request.amount is None else int(request.amount),
    )
    return await _resolved(ctx, caller, command)


async def void_payment(ctx: Context, caller: Caller, request: PaymentNamed) -> PaymentResolvedShown:
    """Give back what a payment reserved."""
    command = VoidPayment(op_id=ctx.new_op(), asked_by=caller.credential, payment_id=request.authorization_id)
    return await _resolved(ctx, caller, command)


async def get_payment(ctx: Context, caller: Caller, request: PaymentNamed) -> PaymentShown:
    """Show one payment."""
    payment = await find_row(ctx, caller.tenant, Payment, request.authorization_id)
    if payment is None or not owns(caller, payment.session_id):
        raise NotFound("There is no such payment.")
    reservation = await find_row(ctx, caller.tenant, Reservation, payment.id)
    assert reservation is not None
    return (await _shown(ctx, caller, [(payment, reservation)]))[0]


async def list_payments(ctx: Context, caller: Caller, request: ListPaymentsRequest) -> PaymentsListed:
    """List payments, newest first."""
    if not 1 <= request.limit <= PAGE_MAX:
        raise InvalidRequest(f"limit is 1 to {PAGE_MAX}", "limit")
    wanted = PaymentFilter(request.session_id, request.state or "")
    rows = await read_payments(ctx.store, caller.tenant, wanted, request.cursor, request.limit)
    next_cursor = rows[-1][0].id if len(rows) == request.limit else None
    return PaymentsListed(await _shown(ctx, caller, rows), len(rows), next_cursor)


def _check(request: AuthorizePaymentRequest) -> None:
    if not request.amount:
        raise InvalidRequest("`amount` must be above zero", "amount")
    if not 1 <= len(request.currency) <= CURRENCY_CHARS_MAX:
        raise InvalidRequest(f"`currency` is 1 to {CURRENCY_CHARS_MAX} characters", "currency")
    if len(request.description) > DESCRIPTION_CHARS_MAX:
        raise InvalidRequest(f"`description` is at most {DESCRIPTION_CHARS_MAX} characters", "description")


async def _resolved(ctx: Context, caller: Caller, command: CapturePayment | VoidPayment) -> PaymentResolvedShown:
    outcome = await allowed(ctx, caller.tenant, command)
    ended = msgspec.json.decode(outcome.result, type=PaymentResolved)
    return PaymentResolvedShown(
        command.payment_id,
        ended.session_id,
        ended.agent_id,
        ended.state,
        wire_amount(ended.reserved_micros),
        wire_amount(ended.posted_micros),
        ended.currency,
        None if ended.remaining_micros is None else wire_amount(ended.remaining_micros),
        unix_seconds(outcome.at),
    )


async def _shown(ctx: Context, caller: Caller, found: Sequence[tuple[Payment, Reservation]]) -> list[PaymentShown]:
    said = await opened_parts(ctx, caller.tenant, (payment.description_digest for payment, _ in found))
    return [
        PaymentShown(
            payment.id,
            payment.session_id,
            payment.agent_id,
            reservation.state,
            wire_amount(reservation.micros),
            wire_amount(reservation.posted_micros),
            reservation.currency,
            _description(payment, said),
            unix_seconds(payment.created_at),
            None if reservation.resolved_at is None else unix_seconds(reservation.resolved_at),
        )
        for payment, reservation in found
    ]


def _description(payment: Payment, said: dict[str, bytes]) -> str | None:
    if not payment.description_digest:
        return ""
    sealed = said.get(payment.description_digest)
    return None if sealed is None else sealed.decode()


def _refusal_extras(error: HaldirError) -> dict[str, Any]:
    """Return what published clients read of a refused payment (WIRE.md §3); of a held one, what it waits for."""
    if not isinstance(error, Refused):
        return {}
    said: dict[str, Any] = {"authorized": False, "reason": error.message}
    return said | waiting_for(error.approval_id) if error.code == APPROVAL_REQUIRED else said


OPERATIONS = (
    Operation(
        name="authorize_payment",
        method="POST",
        path="/v1/payments/authorize",
        summary="Authorize a payment",
        scope="payments:write",
        request=AuthorizePaymentRequest,
        response=PaymentAuthorizedShown,
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
            "approval_required",
            "approval_denied",
            "too_many_pending",
        ),
        refusal_extras=_refusal_extras,
        tag="payments",
        mcp=McpTool(
            name="authorizePayment",
            effect="adds",
            aliases=("haldir_authorize_payment",),
            refusal_answers=True,
        ),
    ),
    Operation(
        name="list_payments",
        method="GET",
        path="/v1/payments",
        summary="List payments",
        scope="payments:read",
        request=ListPaymentsRequest,
        response=PaymentsListed,
        run=list_payments,
        tag="payments",
    ),
    Operation(
        name="get_payment",
        method="GET",
        path="/v1/payments/{authorization_id}",
        summary="Show a payment",
        scope="payments:read",
        request=PaymentNamed,
        response=PaymentShown,
        run=get_payment,
        session=True,
        tag="payments",
    ),
    Operation(
        name="capture_payment",
        method="POST",
        path="/v1/payments/{authorization_id}/capture",
        summary="Spend what a payment reserved",
        scope="payments:write",
        request=CapturePaymentRequest,
        response=PaymentResolvedShown,
        run=capture_payment,
        session=True,
        refusals=(
            "payment_not_found",
            "payment_not_open",
            "amount_exceeds_reserved",
            "session_expired",
            "session_revoked",
            "agent_revoked",
        ),
        tag="payments",
    ),
    Operation(
        name="void_payment",
        method="POST",
        path="/v1/payments/{authorization_id}/void",
        summary="Give back what a payment reserved",
        scope="payments:write",
        request=PaymentNamed,
        response=PaymentResolvedShown,
        run=void_payment,
        session=True,
        refusals=("payment_not_found", "payment_not_open"),
        tag="payments",
    ),
)
