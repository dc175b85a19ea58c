"""The commands that end a tool call which was let through: settle, lapse, resolve. Its money goes with it."""

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from haldir.gate.model import Session
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.errors import Refusal
from haldir.kernel.money import format_amount
from haldir.ledger.budgets import budgets_of, resolution, resolved
from haldir.ledger.model import Reservation
from haldir.operations.session_commands import family_needs
from haldir.proxy.model import Call
from haldir.storage.rows import Find, Row

LAPSE_GRACE_SECONDS = 60  # After its deadline: a Settle that is still on its way has landed by then.

ResultKept = Literal["no", "yes", "too_large"]


class Settle(Command, frozen=True, tag="call.settle"):
    """Close an admitted call: post its price, void it, or say that nobody knows whether it happened.

    Late is fine: an indeterminate call that nobody resolved takes its outcome from here. `result_kept`: whether the
    answer came along, sealed.
    """

    call_id: str
    state: Literal["posted", "voided", "indeterminate"]
    result_digest: str = ""
    error: str = ""
    latency_ms: int = 0
    result_kept: ResultKept = "no"

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from call_needs(rows, self.call_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        call = rows.get(Call, self.call_id)
        if refusal := unresolved_refusal(call, self.call_id):
            return deny(*refusal)
        assert call is not None
        changed = call.but(state=self.state, error=self.error, result_digest=self.result_digest, settled_at=now)
        if self.state == "indeterminate":  # Its money stays set aside: it may have been spent.
            return allow(changed, about=subject_of(call))
        posted_micros = call.price_micros if self.state == "posted" else 0
        return allow(changed, *lifted(rows, call, posted_micros, now), about=subject_of(call))


class Lapse(Command, frozen=True, tag="call.lapse"):
    """Mark a call whose outcome never came: past its deadline and the grace it is indeterminate."""

    call_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Call.at(self.call_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        call = rows.get(Call, self.call_id)
        if call is None or call.state != "open":
            return deny("call_not_open", f"The call {self.call_id} is not open.")
        if now < call.deadline_at + LAPSE_GRACE_SECONDS * SECOND:
            return deny("call_not_open", f"The call {self.call_id} may still be settled.", subject_of(call))
        return allow(call.but(state="indeterminate", error="lapsed", settled_at=now), about=subject_of(call))


class CallResolved(msgspec.Struct, frozen=True):
    state: str
    posted_micros: int


class Resolve(Command, frozen=True, tag="call.resolve"):
    """Let a person say how an indeterminate call ended; `amount_micros` None posts all that was reserved."""

    call_id: str
    state: Literal["posted", "voided"]
    amount_micros: int | None = None

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from call_needs(rows, self.call_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        call = rows.get(Call, self.call_id)
        if call is None:
            return deny("call_not_found", f"There is no call {self.call_id}.")
        if call.state != "indeterminate":
            return deny("call_not_open", f"The call {self.call_id} is {call.state}.", subject_of(call))
        posted_micros = 0
        if self.state == "posted":
            posted_micros = call.price_micros if self.amount_micros is None else self.amount_micros
        if posted_micros > call.price_micros:
            most = format_amount(call.price_micros)
            return deny("amount_exceeds_reserved", f"Only {most} was reserved for this call.", subject_of(call))
        changed = call.but(state=self.state, settled_at=now, resolved_by=str(self.asked_by))
        result = CallResolved(self.state, posted_micros)
        return allow(changed, *lifted(rows, call, posted_micros, now), about=subject_of(call), result=result)


def call_needs(rows: WorkingSet, call_id: str) -> Iterator[Find]:
    """Name the rows that closing a call touches."""
    yield Call.at(call_id)
    call = rows.peek(Call, call_id)
    if call is not None and call.price_micros:
        yield Reservation.at(call_id)
        yield from family_needs(rows, call.session_id)


def unresolved_refusal(call: Call | None, call_id: str) -> Refusal | None:
    """Return why a call cannot be settled any more, or None."""
    if call is None:
        return "call_not_found", f"There is no call {call_id}."
    if call.state not in {"open", "indeterminate"}:
        return "call_not_open", f"The call {call_id} is {call.state} already."
    return None


def lifted(rows: WorkingSet, call: Call, posted_micros: int, now: Micros) -> Iterator[Row]:
    """Return the money rows of a call as they stand once its reservation is resolved."""
    if not call.price_micros:
        return
    reservation = rows.the(Reservation, call.id)
    session = rows.the(Session, call.session_id)
    yield from resolved(budgets_of(rows, [session.id, *session.lineage]), reservation, posted_micros)
    yield resolution(reservation, posted_micros, now)


def subject_of(call: Call) -> Subject:
    return Subject(call.session_id, call.agent_id, call.upstream, call.tool)
