"""Which rules and policies hold a request, and what they ask of those who approve it. Pure."""

from collections.abc import Sequence
from typing import assert_never

import msgspec

from haldir.approvals.model import ApprovalRule, ApprovalRules, Asked
from haldir.policy.judgement import Holding


class Terms(msgspec.Struct, frozen=True):
    """On what terms a request may be approved: of all rules and policies that hold it, the strictest of each.

    The first of them is named, rules before policies; `rule_reason` is a policy's own.
    """

    rules_version: int
    rule_id: str = ""
    rule_kind: str = ""
    approvers: int = 1
    four_eyes: bool = False
    rule_reason: str = ""

    @property
    def reason(self) -> str:
        """Return why the request is held, for its caller and for whoever approves it."""
        return self.rule_reason or held_reason(self.rule_id, self.rule_kind)


def held_reason(rule_id: str, rule_kind: str) -> str:
    return f"The rule {rule_id} ({rule_kind}) holds this until a person approves it."


def terms_of(rules: ApprovalRules, asked: Asked, policies: Sequence[Holding] = ()) -> Terms | None:
    """Return the terms of the rules and policies that hold a request; None if none does."""
    holding = [rule for rule in rules.rules if holds(rule, asked)]
    if not holding and not policies:
        return None
    named = (holding[0].id, holding[0].kind, "") if holding else _named(policies[0])
    return Terms(
        rules.version,
        named[0],
        named[1],
        max(*(rule.approvers for rule in holding), *(policy.terms.approvers for policy in policies), 1),
        rules.four_eyes
        or any(rule.four_eyes for rule in holding)
        or any(policy.terms.four_eyes for policy in policies),
        named[2],
    )


def _named(policy: Holding) -> tuple[str, str, str]:
    return policy.policy_id, policy.kind, policy.reason


def holds(rule: ApprovalRule, asked: Asked) -> bool:
    """Tell whether a rule holds a request."""
    match rule.kind:
        case "spend_over":
            return asked.amount_micros is None or asked.amount_micros > rule.threshold_micros
        case "tool_blocked":
            return not {asked.tool, f"{asked.upstream}.{asked.tool}"}.isdisjoint(rule.tools)
        case "destructive":
            return asked.destructive
        case "all":
            return True
    assert_never(rule.kind)
