"""All policies of a tenant as one function of a call: deny beats all, and what no policy forbids is allowed.

Whatever depends on a tool's name alone is settled here, once per epoch, so that a call only meets the
policies that concern it.
"""

from collections.abc import Sequence
from typing import NamedTuple, final

from haldir.policy.facts import Facts
from haldir.policy.judgement import Judgement, Pending
from haldir.policy.policy import CallPolicy, Examine, Policy, ToolPolicy

Named = tuple[str, Policy]


def compile_policies(policies: Sequence[Named], epoch: int) -> "PolicySet":
    """Compile policies, each with its id, as they stand at `epoch`. Their order makes no difference."""
    return PolicySet(sorted(policies, key=lambda named: named[0]), epoch)


class _Rule(NamedTuple):
    """A tool policy and the id it goes by."""

    policy_id: str
    policy: ToolPolicy


@final
class PolicySet:
    """The compiled policies. Judging the same call at the same instant gives the same answer, always."""

    def __init__(self, policies: Sequence[Named], epoch: int) -> None:
        self.epoch = epoch
        self._forbidden: dict[str, _Rule] = {}  # By tool as policies name it; of several, the first speaks.
        self._spared: list[tuple[frozenset[str], _Rule]] = []  # The tools a rule leaves alone; it forbids the rest.
        self._examinations: list[tuple[str, Examine]] = []
        for policy_id, policy in policies:
            match policy:
                case ToolPolicy():
                    self._add_tool_rule(_Rule(policy_id, policy))
                case CallPolicy():
                    self._examinations.append((policy_id, policy.compiled(policy_id)))

    def judge(self, facts: Facts) -> Judgement:
        """Return the verdict on one call: denied for certain, or what remains for the journal to decide."""
        rule = self._forbidding(facts.upstream, facts.tool)
        if rule is not None:
            return Judgement(self.epoch, rule.policy_id, rule.policy.reason(rule.policy_id, facts.tool))
        pending: tuple[Pending, ...] = ()
        valid_until = None
        for policy_id, examine in self._examinations:
            finding = examine(facts)
            if finding.denial:
                return Judgement(self.epoch, policy_id, finding.denial, (), finding.valid_until)
            if finding.pending is not None:
                pending += (finding.pending,)
            if finding.valid_until is not None and (valid_until is None or finding.valid_until < valid_until):
                valid_until = finding.valid_until
        return Judgement(self.epoch, "", "", pending, valid_until)

    def certainly_denies(self, upstream: str, tool: str) -> bool:
        """Tell whether every call of this tool is forbidden, whatever it asks and whenever it comes."""
        return self._forbidding(upstream, tool) is not None

    def _add_tool_rule(self, rule: _Rule) -> None:
        if rule.policy.SPARES_NAMED:
            self._spared.append((frozenset(rule.policy.names()), rule))
            return
        for name in rule.policy.names():
            self._forbidden.setdefault(name, rule)

    def _forbidding(self, upstream: str, tool: str) -> _Rule | None:
        qualified = f"{upstream}.{tool}"
        rule = self._forbidden.get(tool) or self._forbidden.get(qualified)
        if rule is not None:
            return rule
        for names, sparing in self._spared:
            if tool not in names and qualified not in names:
                return sparing
        return None
