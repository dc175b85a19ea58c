"""What a policy is: a rule that was read strictly, and can be written back as it was meant.

There are two families. A tool policy is decided by the tool's name alone; a call policy looks at each call. Either
may only ever forbid, or hold: a policy that passes says nothing, and one in shadow mode only says what it would do.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Self

import msgspec

from haldir.kernel import strict_json
from haldir.kernel.clock import Micros
from haldir.policy.facts import Facts
from haldir.policy.fields import Fields
from haldir.policy.judgement import Holding, Meter, Pending

TOOL_SHOWN_CHARS = 128  # A name in a reason is a caller's own word: enough to recognise, too little to flood a log.


Mode = Literal["enforce", "shadow"]
MODES: tuple[Mode, ...] = ("enforce", "shadow")


class Verdict(msgspec.Struct, frozen=True):
    """What one policy makes of one call: a denial, a hold, one of them that the journal decides, a name, or nothing.

    `allowance` names what a rule says may happen, which it may anyway. From `valid_until` on it may be otherwise.
    """

    denial: str = ""
    holding: Holding | None = None
    pending: Pending | None = None
    allowance: str = ""
    valid_until: Micros | None = None


PASSED = Verdict()
Examine = Callable[[Facts], Verdict]


def passed(_facts: Facts) -> Verdict:
    return PASSED


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One rule. Its JSON has `type` beside the fields of the struct, and no others.

    `BY_NAME`: upstream and tool alone decide it.
    """

    KIND: ClassVar[str]
    BY_NAME: ClassVar[bool] = False

    mode: Mode = "enforce"

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Make the policy of its fields. Raises InvalidPolicy where one is wrong, or the rule could never fire."""
        raise NotImplementedError

    def fields(self) -> dict[str, Any]:
        """Return the fields as `read` takes them: a tree of `kernel.strict_json`."""
        raise NotImplementedError

    def definition(self) -> dict[str, Any]:
        """Return the whole definition as a tree of `kernel.strict_json`; parsing it gives this policy again."""
        return {"type": self.KIND, **self.fields(), **({} if self.mode == "enforce" else {"mode": self.mode})}

    def encoded(self) -> bytes:
        """Return the definition as canonical JSON: what is stored, and what a listing shows."""
        return strict_json.encode(self.definition())

    def compiled(self, policy_id: str) -> Examine:
        """Return the function that examines calls, with everything worked out that can be before one comes."""
        raise NotImplementedError

    def concerns(self) -> frozenset[str] | None:
        """Return the keys (`conditions.names.keys_of`) of calls that it may say anything about; None is all calls."""
        return None

    def meters(self) -> tuple[Meter, ...]:
        """Return what has to be measured of all calls so that it can be decided."""
        return ()

    def by_name_alone(self) -> bool:
        """Tell whether upstream and tool alone decide what it says."""
        return self.BY_NAME


class ToolPolicy(Policy, frozen=True):
    """Forbids every call of some tools: of those named, or of all but those named."""

    BY_NAME: ClassVar[bool] = True
    SPARES_NAMED: ClassVar[bool] = False

    def names(self) -> tuple[str, ...]:
        """Return the tools named, each `TOOL` of any upstream or `UPSTREAM.TOOL`."""
        raise NotImplementedError

    def reason(self, policy_id: str, tool: str) -> str:
        """Return the sentence that a refused caller reads."""
        raise NotImplementedError

    def concerns(self) -> frozenset[str] | None:
        return None if self.SPARES_NAMED else frozenset(self.names())

    def compiled(self, policy_id: str) -> Examine:
        names, spares = frozenset(self.names()), self.SPARES_NAMED

        def examine(facts: Facts) -> Verdict:
            named = facts.tool in names or f"{facts.upstream}.{facts.tool}" in names
            return PASSED if named is spares else Verdict(self.reason(policy_id, facts.tool))

        return examine


class CallPolicy(Policy, frozen=True):
    """Forbids a call by what it asks, when, or how often."""


def shown(tool: str) -> str:
    """Return a tool's name as a reason quotes it."""
    return repr(tool[:TOOL_SHOWN_CHARS])
