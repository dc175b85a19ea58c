"""Leaves on what was let through before: calls and spend within a window, which the journal measures.

The call at hand is included. What a single call costs is certain, and asked here as well: `spend` per `call`.
"""

from collections.abc import Callable
from typing import Any, Literal

from haldir.kernel.clock import DAY, SECOND
from haldir.kernel.money import format_amount
from haldir.kernel.strict_json import Number
from haldir.policy.conditions.comparison import ORDERS
from haldir.policy.conditions.node import Check, Leaf, Node, Sense, Test
from haldir.policy.facts import Facts
from haldir.policy.fields import Fields, InvalidPolicy, kind_of
from haldir.policy.judgement import AllOf, AnyOf, Condition, Meter, MeterAbove, MeterBelow, Per

WITHIN_SECONDS_MAX = 31 * DAY // SECOND
CALLS_MAX = 10**9
TOOLS_MAX = 16
PER: dict[str, tuple[Per | Literal["call"], ...]] = {
    "calls": ("session", "agent", "tenant"),
    "spend": ("session", "agent", "tenant", "call"),
}
SIDES: dict[str, tuple[type[MeterAbove | MeterBelow], int]] = {
    "gt": (MeterAbove, 0),
    "ge": (MeterAbove, -1),
    "lt": (MeterBelow, 0),
    "le": (MeterBelow, 1),
}
OPPOSITE = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt"}

Bounds = tuple[tuple[str, int], ...]


class MeterIs(Node, frozen=True):
    """A meter shows as much, or as little, as asked: in calls, or in micro-units."""

    meter: Meter
    bounds: Bounds

    def definition(self) -> dict[str, Any]:
        window: dict[str, Any] = {"per": self.meter.per, "within_seconds": Number(str(self.meter.within_seconds))}
        if self.meter.tools:
            window["tools"] = list(self.meter.tools)
        return {self.meter.what: window, **_written(self.bounds, str if self.meter.what == "calls" else format_amount)}

    def test(self, sense: Sense) -> Test:
        condition = self._wanted() if sense.wanted else self._unwanted()
        return lambda _facts: condition

    def _wanted(self) -> Condition:
        parts = tuple(_leaf(self.meter, op, bound) for op, bound in self.bounds)
        return parts[0] if len(parts) == 1 else AllOf(parts)

    def _unwanted(self) -> Condition:
        parts = tuple(_leaf(self.meter, OPPOSITE[op], bound) for op, bound in self.bounds)
        return parts[0] if len(parts) == 1 else AnyOf(parts)


class PriceIs(Leaf, frozen=True):
    """The call costs as much, or as little, as asked; unknown if its price cannot be read."""

    bounds: Bounds

    def definition(self) -> dict[str, Any]:
        return {"spend": {"per": "call"}, **_written(self.bounds, format_amount)}

    def check(self) -> Check:
        asks = [(ORDERS[op], bound) for op, bound in self.bounds]

        def check(facts: Facts) -> bool | None:
            micros = facts.price_micros
            return None if micros is None else all(order(micros, bound) for order, bound in asks)

        return check


def read_usage(outer: Fields, what: Literal["calls", "spend"]) -> Node:
    members = outer.value(what)
    if not isinstance(members, dict):
        raise InvalidPolicy(f"{what!r} must be an object with 'per', not {kind_of(members)}.", outer.pointer(what))
    fields = Fields(what, ("per", "within_seconds", "tools"), members, outer.path(what))
    per = fields.word("per", PER[what])
    bounds = _bounds(outer, what)
    if per == "call":
        for name in ("within_seconds", "tools"):
            if name in fields:
                raise InvalidPolicy(f"What one call costs has no {name!r}.", fields.pointer(name))
        return PriceIs(bounds)
    tools = fields.tools("tools") if "tools" in fields else ()
    if len(tools) > TOOLS_MAX or (not tools and "tools" in fields):
        raise InvalidPolicy(f"'tools' names 1 to {TOOLS_MAX} tools.", fields.pointer("tools"))
    within_seconds = fields.whole("within_seconds", 1, WITHIN_SECONDS_MAX)
    return MeterIs(Meter(what, per, within_seconds, tuple(sorted(tools))), bounds)


def measures(meter: Meter, upstream: str, tool: str) -> bool:
    """Tell whether a meter measures calls of this tool."""
    return not meter.tools or tool in meter.tools or f"{upstream}.{tool}" in meter.tools


def _bounds(fields: Fields, what: str) -> Bounds:
    found = tuple(
        (name, fields.whole(name, 0, CALLS_MAX) if what == "calls" else fields.micros(name))
        for name in ORDERS
        if name in fields
    )
    if not found:
        raise InvalidPolicy(f"Nothing is asked of it: give one of {', '.join(ORDERS)}.", fields.pointer())
    return found


def _leaf(meter: Meter, op: str, bound: int) -> Condition:
    side, nearer = SIDES[op]
    return side(meter, bound + nearer)


def _written(bounds: Bounds, text: Callable[[int], str]) -> dict[str, Any]:
    return {op: Number(text(bound)) for op, bound in bounds}
