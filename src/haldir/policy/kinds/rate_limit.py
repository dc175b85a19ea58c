"""`rate_limit`: so many calls a minute, counted per session, agent or tenant; the journal counts them exactly."""

from typing import Any, ClassVar, Self

from haldir.kernel.strict_json import Number
from haldir.policy.facts import Facts
from haldir.policy.fields import Fields
from haldir.policy.judgement import Pending, RateAbove
from haldir.policy.policy import CallPolicy, Examine, Verdict

CALLS_MAX = 1_000_000  # More than one tenant's log takes in a minute: a limit above it could never fire.
HOLDERS = ("session", "agent", "tenant")


class RateLimit(CallPolicy, frozen=True):
    KIND: ClassVar[str] = "rate_limit"

    max_per_minute: int
    per: str

    @classmethod
    def read(cls, fields: Fields) -> Self:
        return cls(fields.whole("max_per_minute", 1, CALLS_MAX), fields.word("per", HOLDERS, "session"))

    def fields(self) -> dict[str, Any]:
        return {"max_per_minute": Number(str(self.max_per_minute)), "per": self.per}

    def compiled(self, policy_id: str) -> Examine:
        calls = "call" if self.max_per_minute == 1 else "calls"
        reason = f"Policy {policy_id} (rate_limit) allows {self.max_per_minute} {calls} a minute per {self.per}."
        finding = Verdict(pending=Pending(policy_id, reason, RateAbove(policy_id, self.per, self.max_per_minute)))

        def examine(_facts: Facts) -> Verdict:
            return finding

        return examine
