"""The command that authorizes a payment: a session (gate) spends from its chain of budgets (ledger)."""

from collections.abc import Iterable

import msgspec

from haldir.gate.liveness import chain, foreign_refusal, session_refusal
from haldir.gate.model import Session
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.money import CURRENCY
from haldir.ledger.budgets import budgets_of, free_micros, reserved, resolution, resolved, spend_refusal
from haldir.ledger.model import Reservation
from haldir.operations.session_commands import family_needs
from haldir.storage.rows import Find


class PaymentAuthorized(msgspec.Struct, frozen=True):
    """`remaining_micros` is what the tightest budget of the chain has left; None is no limit."""

    payment_id: str
    agent_id: str
    remaining_micros: int | None


class AuthorizePayment(Command, frozen=True, tag="payment.authorize"):
    """Reserve and post an amount at once, on the session and every session above it."""

    payment_id: str
    session_id: str
    amount_micros: int
    currency: str = CURRENCY
    description_digest: str = ""

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from family_needs(rows, self.session_id)

    def subject(self) -> Subject:
        return Subject(self.session_id)

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
        reservation = Reservation(self.payment_id, session.id, "payment", self.currency, self.amount_micros, now)
        spent = resolved(reserved(budgets, self.amount_micros), reservation, self.amount_micros)
        result = PaymentAuthorized(self.payment_id, session.agent_id, free_micros(spent))
        return allow(*spent, resolution(reservation, self.amount_micros, now), about=about, result=result)
