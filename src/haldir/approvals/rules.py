"""Which rules hold a request, and what they ask of those who approve it. Pure."""

from typing import assert_never

import msgspec

from haldir.approvals.model import ApprovalRule, ApprovalRules, Asked


class Terms(msgspec.Struct, frozen=True):
    """On what terms a request may be approved: of all rules that hold it, the strictest of each."""

    rules_version: int
    rule_id: str = ""
    rule_kind: str = ""
    approvers: int = 1
    four_eyes: bool = False

    @property
    def reason(self) -> str:
        """Return why the request is held, for its caller and for whoever approves it."""
        return held_reason(self.rule_id, self.rule_kind)


def held_reason(rule_id: str, rule_kind: str) -> str:
    return f"The rule {rule_id} ({rule_kind}) holds this until a person approves it."


def terms_of(rules: ApprovalRules, asked: Asked) -> Terms | None:
    """Return the terms of the rules that hold a request; None if none does."""
    holding = [rule for rule in rules.rules if holds(rule, asked)]
    if not holding:
        return None
    return Terms(
        rules.version,
        holding[0].id,
        holding[0].kind,
        max(rule.approvers for rule in holding),
        rules.four_eyes or any(rule.four_eyes for rule in holding),
    )


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
