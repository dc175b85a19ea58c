"""What a policy is: a rule that was read strictly, and can be written back as it was meant.

There are two families. A tool policy is decided by the tool's name alone, so it is settled when policies
are compiled; a call policy looks at each call. Either may only ever forbid: a policy that passes says nothing.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self

import msgspec

from haldir.kernel import strict_json
from haldir.kernel.clock import Micros
from haldir.policy.facts import Facts
from haldir.policy.fields import Fields
from haldir.policy.judgement import Pending

TOOL_SHOWN_CHARS = 128  # A name in a reason is a caller's own word: enough to recognise, too little to flood a log.


class Policy(msgspec.Struct, frozen=True):
    """One rule. Its JSON has `type` beside the fields of the struct, and no others."""

    KIND: ClassVar[str]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        """Make the policy of its fields. Raises InvalidPolicy where one is wrong, or the rule could never fire."""
        raise NotImplementedError

    def fields(self) -> dict[str, Any]:
        """Return the fields as `read` takes them: a tree of `kernel.strict_json`."""
        raise NotImplementedError

    def definition(self) -> dict[str, Any]:
        """Return the whole definition as a tree of `kernel.strict_json`; parsing it gives this policy again."""
        return {"type": self.KIND, **self.fields()}

    def encoded(self) -> bytes:
        """Return the definition as canonical JSON: what is stored, and what a listing shows."""
        return strict_json.encode(self.definition())


class ToolPolicy(Policy, frozen=True):
    """Forbids every call of some tools: of those named, or of all but those named."""

    SPARES_NAMED: ClassVar[bool] = False

    def names(self) -> tuple[str, ...]:
        """Return the tools named, each `TOOL` of any upstream or `UPSTREAM.TOOL`."""
        raise NotImplementedError

    def reason(self, policy_id: str, tool: str) -> str:
        """Return the sentence that a refused caller reads."""
        raise NotImplementedError


class Finding(msgspec.Struct, frozen=True):
    """What one call policy makes of one call: a denial, a denial that the journal decides, or nothing.

    From `valid_until` on it may find otherwise.
    """

    denial: str = ""
    pending: Pending | None = None
    valid_until: Micros | None = None


PASSED = Finding()
Examine = Callable[[Facts], Finding]


class CallPolicy(Policy, frozen=True):
    """Forbids a call by what it asks, when, or how often."""

    def compiled(self, policy_id: str) -> Examine:
        """Return the function that examines calls, with everything worked out that can be before one comes."""
        raise NotImplementedError


def shown(tool: str) -> str:
    """Return a tool's name as a reason quotes it."""
    return repr(tool[:TOOL_SHOWN_CHARS])
