"""Commands on rules and on approvals that exist. They are asked for, and used, in operations/."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from haldir.approvals.model import NO_RULES, Approval, ApprovalRule, ApprovalRules, ApprovalState, Hold, RuleKind, Vote
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.storage.rows import Find

RULES_MAX = 100  # All of them are looked at by every payment and call.
NEVER_DECIDES = frozenset({"session", "agent"})  # Kinds of credentials that agents hold.

Refusal = tuple[str, str]


class RulesChanged(msgspec.Struct, frozen=True):
    version: int


class AddApprovalRule(Command, frozen=True, tag="approval.rule.add"):
    """Hold from here on what this rule says. Approvals given before let nothing through any more."""

    rule_id: str
    rule_kind: RuleKind
    threshold_micros: int = 0
    tools: tuple[str, ...] = ()
    approvers: int = 1
    four_eyes: bool = False

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield ApprovalRules.at()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        before = rows.get(ApprovalRules) or NO_RULES
        if len(before.rules) >= RULES_MAX:
            return deny("too_many_rules", f"There are {RULES_MAX} approval rules already.")
        rule = ApprovalRule(
            self.rule_id,
            self.rule_kind,
            now,
            str(self.asked_by),
            self.threshold_micros,
            self.tools,
            self.approvers,
            self.four_eyes,
        )
        return _changed(before.but(rules=(*before.rules, rule)))


class RemoveApprovalRule(Command, frozen=True, tag="approval.rule.remove"):
    """Hold no longer what a rule said."""

    rule_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield ApprovalRules.at()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        before = rows.get(ApprovalRules) or NO_RULES
        left = tuple(rule for rule in before.rules if rule.id != self.rule_id)
        if len(left) == len(before.rules):
            return deny("approval_rule_not_found", f"There is no approval rule {self.rule_id}.")
        return _changed(before.but(rules=left))


class SetFourEyes(Command, frozen=True, tag="approval.four_eyes"):
    """Say whether whoever opened the session or asked may approve for it as well."""

    four_eyes: bool

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield ApprovalRules.at()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        before = rows.get(ApprovalRules) or NO_RULES
        return _changed(before.but(four_eyes=self.four_eyes))


class ApprovalDecided(msgspec.Struct, frozen=True):
    """How the approval stands now; while it is pending, `missing` more must approve."""

    state: str
    missing: int = 0


class DecideApproval(Command, frozen=True, tag="approval.decide"):
    """A person's word on what waits. The first denial counts, and as many approvals as the rule asks for.

    A credential with the power of another (`answers_for`) has no say where that one has none, and no second vote.
    """

    approval_id: str
    verdict: Literal["approve", "deny"]
    note_digest: str = ""
    answers_for: str = ""

    @property
    def voter(self) -> str:
        return self.answers_for or str(self.asked_by)

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield ApprovalRules.at()
        yield Approval.at(self.approval_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        approval = rows.get(Approval, self.approval_id)
        if approval is None:
            return deny("approval_not_found", f"There is no approval {self.approval_id}.")
        about = subject_of(approval)
        if refusal := self._credential_refusal(rows, approval) or self._state_refusal(approval, now):
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


class ExpireApproval(Command, frozen=True, tag="approval.expire"):
    """Close an approval whose time is over, and let its request begin anew."""

    approval_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Approval.at(self.approval_id)
        approval = rows.peek(Approval, self.approval_id)
        if approval is not None:
            yield Hold.at(approval.session_id, approval.request_digest)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        approval = rows.get(Approval, self.approval_id)
        if approval is None:
            return deny("approval_not_found", f"There is no approval {self.approval_id}.")
        about = subject_of(approval)
        if approval.state not in {"pending", "approved"} or now < approval.expires_at:
            return deny("approval_decided", f"The approval {approval.id} has not expired.", about)
        waiting = rows.get(Hold, approval.session_id, approval.request_digest)
        drops = (waiting,) if waiting and waiting.approval_id == approval.id else ()
        return allow(approval.but(state="expired", expired_op=self.op_id), drops=drops, about=about)


def subject_of(approval: Approval) -> Subject:
    return Subject(approval.session_id, approval.agent_id, approval.upstream, approval.tool)


def _changed(rules: ApprovalRules) -> Decision:
    rules = rules.but(version=rules.version + 1)
    return allow(rules, result=RulesChanged(rules.version))
