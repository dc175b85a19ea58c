"""The commands in which credentials (gate) and approvals meet: a session asks a person, and a person decides."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from haldir.approvals.commands import subject_of
from haldir.approvals.holds import HELD_SECONDS, begun
from haldir.approvals.model import NO_RULES, Approval, ApprovalRules, ApprovalState, Asked, Vote
from haldir.approvals.pending import pending_needs, pending_refusal
from haldir.approvals.rules import Terms, terms_of
from haldir.gate.liveness import chain_needs, foreign_refusal, openers, session_refusal
from haldir.gate.model import Session
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.errors import Refusal
from haldir.proxy.model import PolicyEpoch
from haldir.storage.rows import Find

Verdict = Literal["approve", "deny"]

NEVER_DECIDES = frozenset({"session", "agent"})  # Kinds of credentials that agents hold.


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


class ApprovalDecided(msgspec.Struct, frozen=True):
    """How the approval stands now; while it is pending, `missing` more must approve."""

    state: str
    missing: int = 0


class DecideApproval(Command, frozen=True, tag="approval.decide"):
    """A person's word on what waits. The first denial counts, and as many approvals as the rule asks for.

    A credential with the power of another (`answers_for`) has no say where that one has none, and no second vote.
    """

    approval_id: str
    verdict: Verdict
    note_digest: str = ""
    answers_for: str = ""

    @property
    def voter(self) -> str:
        return self.answers_for or str(self.asked_by)

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield ApprovalRules.at()
        yield PolicyEpoch.at()
        yield Approval.at(self.approval_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        approval = rows.get(Approval, self.approval_id)
        if approval is None:
            return deny("approval_not_found", f"There is no approval {self.approval_id}.")
        about = subject_of(approval)
        refusal = self._credential_refusal(rows, approval) or self._state_refusal(approval, now)
        if refusal or (refusal := _outdated_refusal(rows, approval)):
            return deny(*refusal, about)
        decided = self._decided(approval, now)
        missing = approval.approvers - len(decided.votes) if decided.state == "pending" else 0
        return allow(decided, about=about, result=ApprovalDecided(decided.state, missing))

    def _credential_refusal(self, rows: WorkingSet, approval: Approval) -> Refusal | None:
        if self.asked_by.kind in NEVER_DECIDES:
            return "insufficient_scope", "A session or an agent cannot decide approvals."
        rules = rows.get(ApprovalRules) or NO_RULES
        if (approval.four_eyes or rules.four_eyes) and self.voter in (approval.asked_by, *approval.openers):
            return "four_eyes", f"{self.voter} asked for this or opened its session; somebody else must decide."
        return None

    def _state_refusal(self, approval: Approval, now: Micros) -> Refusal | None:
        match approval.status(now):
            case "expired":
                return "approval_expired", f"The approval {approval.id} has expired."
            case "approved" | "denied":
                return "approval_decided", f"{approval.decided_by} decided {approval.id} already: {approval.state}."
            case "pending":
                if self.verdict == "approve" and any(vote.voter == self.voter for vote in approval.votes):
                    return "approval_decided", f"{self.voter} approved {approval.id} already; others must, too."
        return None

    def _decided(self, approval: Approval, now: Micros) -> Approval:
        if self.verdict == "deny":
            return self._closed(approval, "denied", now)
        votes = (*approval.votes, Vote(str(self.asked_by), now, self.note_digest, self.answers_for, self.op_id))
        if len(votes) < approval.approvers:
            return approval.but(votes=votes)
        return self._closed(approval.but(votes=votes), "approved", now)

    def _closed(self, approval: Approval, state: ApprovalState, now: Micros) -> Approval:
        return approval.but(
            state=state,
            decided_by=str(self.asked_by),
            decided_at=now,
            note_digest=self.note_digest,
            decided_op=self.op_id,
        )


def _outdated_refusal(rows: WorkingSet, approval: Approval) -> Refusal | None:
    """Return why a word on this would count for nothing: `ruling` lets nothing through by what is outdated."""
    if approval.effect == "ask":  # Whoever asked acts on the answer, whatever the rules are by then.
        return None
    rules, policies = rows.get(ApprovalRules) or NO_RULES, rows.get(PolicyEpoch) or PolicyEpoch()
    if approval.rules_version != rules.version:
        return "approval_outdated", f"The approval rules changed since {approval.id} was asked for."
    if approval.effect == "call" and approval.policy_epoch != policies.epoch:
        return "approval_outdated", f"The policies changed since {approval.id} was asked for."
    return None
