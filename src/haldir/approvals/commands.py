"""Commands on rules and on approvals that exist. They are asked for, and used, in operations/."""

from collections.abc import Iterable

import msgspec

from haldir.approvals.model import NO_RULES, Approval, ApprovalRule, ApprovalRules, Hold, RuleKind
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.storage.rows import Find

RULES_MAX = 100  # All of them are looked at by every payment and call.


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
        drops = (waiting,) if waiting else ()  # Of what is open nothing else can wait.
        return allow(approval.but(state="expired", expired_op=self.op_id), drops=drops, about=about)


def subject_of(approval: Approval) -> Subject:
    return Subject(approval.session_id, approval.agent_id, approval.upstream, approval.tool)


def _changed(rules: ApprovalRules) -> Decision:
    rules = rules.but(version=rules.version + 1)
    return allow(rules, result=RulesChanged(rules.version))
