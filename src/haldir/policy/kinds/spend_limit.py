"""`spend_limit`: a call whose top-level `amount` is above the limit is forbidden, and so is one it cannot read."""

from typing import Any, ClassVar, Self

import msgspec

from haldir.kernel.money import BadAmount, format_amount, parse_amount
from haldir.kernel.strict_json import Number
from haldir.policy.facts import Facts
from haldir.policy.fields import Fields
from haldir.policy.policy import PASSED, CallPolicy, Examine, Verdict

AMOUNT = "amount"


class SpendLimit(CallPolicy, frozen=True):
    """Looks at single calls; what a session spends in all is its budget's concern."""

    KIND: ClassVar[str] = "spend_limit"

    max_micros: int = msgspec.field(name="max")

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.micros("max"))

    def fields(self) -> dict[str, Any]:
        return {"max": Number(format_amount(self.max_micros))}

    def compiled(self, policy_id: str) -> Examine:
        name = f"Policy {policy_id} (spend_limit)"
        most = format_amount(self.max_micros)

        def examine(facts: Facts) -> Verdict:
            if AMOUNT not in facts.arguments:
                return PASSED
            value = facts.arguments[AMOUNT]
            try:
                micros = parse_amount(value.text if isinstance(value, Number) else "")
            except BadAmount as fault:
                return Verdict(f"{name} cannot read the argument 'amount': it {fault}.")
            if micros > self.max_micros:
                return Verdict(f"{name} allows an amount of at most {most}, not {format_amount(micros)}.")
            return PASSED

        return examine
