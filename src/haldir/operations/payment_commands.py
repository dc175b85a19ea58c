"""The life of a payment: a session (gate) sets money aside from its chain of budgets (ledger), then it is taken or not.

authorize -> held, where a rule says so, until a person approved exactly this
authorize -> posted at once
authorize with `capture` false -> reserved -> captured (at most what was reserved) or voided, once
"""

import hashlib
from collections.abc import Iterable, Iterator

import msgspec

from haldir.approvals.holds import hold_needs, ruling
from haldir.approvals.model import Asked
from haldir.gate.liveness import chain, foreign_refusal, openers, session_refusal
from haldir.gate.model import Session
from haldir.journal.command import Command, CredentialRef, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel import canonical
from haldir.kernel.clock import Micros
from haldir.kernel.errors import Refusal
from haldir.kernel.money import CURRENCY, format_amount
from haldir.ledger.budgets import budgets_of, free_micros, reserved, resolution, resolved, spend_refusal
from haldir.ledger.model import Payment, Reservation
from haldir.operations.session_commands import family_needs
from haldir.storage.rows import Find


class PaymentAuthorized(msgspec.Struct, frozen=True):
    """`remaining_micros` is what the tightest budget of the chain has left; None is no limit."""

    payment_id: str
    agent_id: str
    remaining_micros: int | None


class AuthorizePayment(Command, frozen=True, tag="payment.authorize"):
    """Set an amount aside on the session and every session above it; with `capture` it is spent at once."""

    payment_id: str
    session_id: str
    amount_micros: int
    currency: str = CURRENCY
    description_digest: str = ""
    capture: bool = True

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from family_needs(rows, self.session_id)
        yield from hold_needs(rows, self.session_id, self._request_digest)

    def subject(self) -> Subject:
        return Subject(self.session_id)

    def _request_digest(self) -> str:
        """Return what an approval of this payment is bound to: all that it asks for, and no name it bears."""
        asked = "payment", self.amount_micros, self.currency, self.description_digest, self.capture
        return hashlib.sha256(canonical.encode(asked)).hexdigest()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        if refusal := session_refusal(rows, self.session_id, now):
            return deny(*refusal, self.subject())
        session = rows.the(Session, self.session_id)
        if refusal := foreign_refusal(self.asked_by, session):
            return deny(*refusal, self.subject())
        about = Subject(session.id, session.agent_id)
        budgets = budgets_of(rows, [link.id for link in chain(rows, session)])
        if refusal := spend_refusal(budgets, self.amount_micros, self.currency):
            return deny(*refusal, about)
        approved = ruling(rows, lambda: self._asked(rows, session), self.op_id, self.payment_id, now)
        if approved.refusal:
            return approved.refused(about)
        reservation = Reservation(self.payment_id, session.id, "payment", self.currency, self.amount_micros, now)
        payment = Payment(self.payment_id, session.id, session.agent_id, self.description_digest, now)
        charged = reserved(budgets, self.amount_micros)
        if self.capture:
            charged = resolved(charged, reservation, self.amount_micros)
            reservation = resolution(reservation, self.amount_micros, now)
        result = PaymentAuthorized(self.payment_id, session.agent_id, free_micros(charged))
        puts = (*charged, reservation, payment, *approved.puts)
        return allow(*puts, drops=approved.drops, about=about, result=result)

    def _asked(self, rows: WorkingSet, session: Session) -> Asked:
        return Asked(
            effect="payment",
            session_id=session.id,
            agent_id=session.agent_id,
            asked_by=str(self.asked_by),
            openers=openers(rows, session),
            request_digest=self._request_digest(),
            details_digest=self.description_digest,
            action="authorize_payment",
            amount_micros=self.amount_micros,
            currency=self.currency,
        )


class PaymentResolved(msgspec.Struct, frozen=True):
    """How a reserved payment ended, and what the tightest budget of its chain has left then."""

    session_id: str
    agent_id: str
    state: str
    reserved_micros: int
    posted_micros: int
    currency: str
    remaining_micros: int | None


class CapturePayment(Command, frozen=True, tag="payment.capture"):
    """Spend what a payment reserved, or less; the rest is given back. `amount_micros` None is all of it.

    A revoked session captures nothing. An expired one does by an API key: goods may ship after the agent's run.
    """

    payment_id: str
    amount_micros: int | None = None

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from payment_needs(rows, self.payment_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        payment = own_payment(rows, self.payment_id, self.asked_by)
        if payment is None:
            return deny("payment_not_found", f"There is no payment {self.payment_id}.")
        about = Subject(payment.session_id, payment.agent_id)
        if refusal := self._session_refusal(rows, payment, now):
            return deny(*refusal, about)
        reservation = rows.the(Reservation, payment.id)
        if reservation.state != "reserved":
            return deny("payment_not_open", f"The payment {payment.id} is {reservation.state} already.", about)
        posted_micros = reservation.micros if self.amount_micros is None else self.amount_micros
        if posted_micros > reservation.micros:
            most = format_amount(reservation.micros)
            return deny("amount_exceeds_reserved", f"Only {most} was reserved for this payment.", about)
        return closed(rows, payment, reservation, posted_micros, now)

    def _session_refusal(self, rows: WorkingSet, payment: Payment, now: Micros) -> Refusal | None:
        # By a key as of the reservation, when nothing had expired; what was revoked since counts all the same.
        at = payment.created_at if self.asked_by.kind == "key" else now
        return session_refusal(rows, payment.session_id, at)


class VoidPayment(Command, frozen=True, tag="payment.void"):
    """Give back what a payment reserved. Money can always be given back, whatever became of the session."""

    payment_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from payment_needs(rows, self.payment_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        payment = own_payment(rows, self.payment_id, self.asked_by)
        if payment is None:
            return deny("payment_not_found", f"There is no payment {self.payment_id}.")
        reservation = rows.the(Reservation, payment.id)
        if reservation.state != "reserved":
            about = Subject(payment.session_id, payment.agent_id)
            return deny("payment_not_open", f"The payment {payment.id} is {reservation.state} already.", about)
        return closed(rows, payment, reservation, 0, now)


def payment_needs(rows: WorkingSet, payment_id: str) -> Iterator[Find]:
    """Name the rows that closing a payment touches."""
    yield Payment.at(payment_id)
    payment = rows.peek(Payment, payment_id)
    if payment is not None:
        yield Reservation.at(payment_id)
        yield from family_needs(rows, payment.session_id)


def own_payment(rows: WorkingSet, payment_id: str, asked_by: CredentialRef) -> Payment | None:
    """Return a payment that this credential may close; another's is as unknown as none."""
    payment = rows.get(Payment, payment_id)
    if payment is None or foreign_refusal(asked_by, rows.the(Session, payment.session_id)):
        return None
    return payment


def closed(rows: WorkingSet, payment: Payment, reservation: Reservation, posted_micros: int, now: Micros) -> Decision:
    """Return the decision that ends a reserved payment with this much of it spent."""
    session = rows.the(Session, payment.session_id)
    budgets = resolved(budgets_of(rows, [session.id, *session.lineage]), reservation, posted_micros)
    ended = resolution(reservation, posted_micros, now)
    result = PaymentResolved(
        session.id,
        payment.agent_id,
        ended.state,
        ended.micros,
        ended.posted_micros,
        ended.currency,
        free_micros(budgets),
    )
    return allow(*budgets, ended, about=Subject(session.id, payment.agent_id), result=result)
