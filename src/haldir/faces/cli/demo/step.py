"""One step of the demo: what was done, what had to come of it, and what did."""

from typing import Any

import msgspec


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """`expected` and `seen` have the same members; the step went as told if they are equal."""

    name: str
    title: str
    done: str  # What was done, as one would type it.
    expected: dict[str, Any]
    seen: dict[str, Any]
    told: str = ""  # What came back, word for word.

    @property
    def ok(self) -> bool:
        return self.expected == self.seen


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of the log, as the demo shows it."""

    entry_id: str
    kind: str
    tool: str
    allowed: bool
    code: str
    reason: str


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """The whole demo."""

    steps: tuple[Step, ...]
    log: tuple[Decision, ...]

    @property
    def ok(self) -> bool:
        return all(step.ok for step in self.steps)
