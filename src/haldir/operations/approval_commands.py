"""The command by which a session (gate) asks a person (approvals) of its own accord."""

from collections.abc import Iterable

import msgspec

from haldir.approvals.holds import HELD_SECONDS, begun
from haldir.approvals.model import NO_RULES, ApprovalRules, Asked
from haldir.approvals.pending import pending_needs, pending_refusal
from haldir.approvals.rules import Terms, terms_of
from haldir.gate.liveness import chain_needs, foreign_refusal, openers, session_refusal
from haldir.gate.model import Session
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.storage.rows import Find


class ApprovalRequested(msgspec.Struct, frozen=True):
    expires_at: Micros


class RequestApproval(Command, frozen=True, tag="approval.request"):
    """Ask a person. The answer lets nothing through by itself: whoever asked acts on it."""

    approval_id: str
    session_id: str
    tool: str = ""
    action: str = ""
    amount_micros: int = 0
    details_digest: str = ""
    ttl_seconds: int = HELD_SECONDS

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield ApprovalRules.at()
        yield from chain_needs(rows, self.session_id)
        yield from pending_needs(self.session_id)

    def subject(self) -> Subject:
        return Subject(self.session_id, "", "", self.tool)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        if refusal := session_refusal(rows, self.session_id, now):
            return deny(*refusal, self.subject())
        session = rows.the(Session, self.session_id)
        if refusal := foreign_refusal(self.asked_by, session):
            return deny(*refusal, self.subject())
        about = Subject(session.id, session.agent_id, "", self.tool)
        if refusal := pending_refusal(rows, session.id):
            return deny(*refusal, about)
        rules = rows.get(ApprovalRules) or NO_RULES
        asked = self._asked(session, openers(rows, session))
        terms = terms_of(rules, asked) or Terms(rules.version)  # Where no rule holds it, one person's word is enough.
        approval = begun(asked, terms, self.approval_id, now, self.ttl_seconds)
        return allow(approval, about=about, result=ApprovalRequested(approval.expires_at))

    def _asked(self, session: Session, opened_by: tuple[str, ...]) -> Asked:
        return Asked(
            effect="ask",
            session_id=session.id,
            agent_id=session.agent_id,
            asked_by=str(self.asked_by),
            openers=opened_by,
            request_digest=self.op_id,  # Its own: nothing else is ever the same request.
            details_digest=self.details_digest,
            tool=self.tool,
            action=self.action,
            amount_micros=self.amount_micros,
        )
