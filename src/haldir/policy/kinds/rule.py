"""`rule`: where a condition holds, calls are denied, held until people approve them, or only named as allowed."""

from typing import Any, ClassVar, Self

from haldir.kernel.strict_json import Number
from haldir.policy.conditional import APPROVERS_MAX, ConditionalPolicy, Effect, Strike
from haldir.policy.conditions.node import Node
from haldir.policy.conditions.reading import read_condition
from haldir.policy.conditions.usage import MeterIs
from haldir.policy.fields import Fields, InvalidPolicy
from haldir.policy.judgement import Terms

REASON_CHARS_MAX = 300  # It stands in each entry and answer that it explains.
EFFECTS: tuple[Effect, ...] = ("allow", "deny", "hold")


class Rule(ConditionalPolicy, frozen=True):
    """Without `when` it strikes every call. `approvers` and `four_eyes` are for what is held."""

    KIND: ClassVar[str] = "rule"

    effect: Effect
    reason: str
    when: Node | None
    approvers: int
    four_eyes: bool

    @classmethod
    def read(cls, fields: Fields) -> Self:
        effect = fields.word("effect", EFFECTS)
        reason = _reason(fields)
        when = read_condition(fields.value("when"), ("when",)) if "when" in fields else None
        if effect == "allow" and when and any(isinstance(leaf, MeterIs) for leaf in when.leaves()):
            raise InvalidPolicy("What is only named as allowed cannot depend on calls or spend in a window.", "/when")
        if effect != "hold":
            for name in ("approvers", "four_eyes"):
                if name in fields:
                    raise InvalidPolicy(f"Only what is held has {name!r}.", fields.pointer(name))
        return cls(effect, reason, when, fields.whole("approvers", 1, APPROVERS_MAX, 1), fields.flag("four_eyes"))

    def fields(self) -> dict[str, Any]:
        found: dict[str, Any] = {"effect": self.effect, "reason": self.reason}
        if self.when is not None:
            found["when"] = self.when.definition()
        if self.effect == "hold":
            found |= {"approvers": Number(str(self.approvers)), "four_eyes": self.four_eyes}
        return found

    def condition(self) -> Node | None:
        return self.when

    def strike(self, policy_id: str) -> Strike:
        verb = {"allow": "allows", "deny": "denies", "hold": "holds"}[self.effect]
        until = " until it is approved" if self.effect == "hold" else ""
        reason = f"Policy {policy_id} (rule) {verb} this{until}: {self.reason}"
        return Strike(self.effect, reason, Terms(self.approvers, self.four_eyes))


def _reason(fields: Fields) -> str:
    reason = fields.text("reason", None, REASON_CHARS_MAX)
    if not reason.isprintable() or not reason.strip():
        raise InvalidPolicy("'reason' is one line of text that people can read.", fields.pointer("reason"))
    return reason
