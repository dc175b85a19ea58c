"""Policies interpreted as their documentation tells it: the plain reading that compiled ones are held against.

Conditions are read from their JSON, whole, each time; nothing is folded, indexed or pushed around. `None` is unknown.
"""

import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fnmatch import fnmatchcase
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from haldir.kernel.strict_json import Number
from haldir.policy.facts import Facts

Truth = bool | None
COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda one, other: one > other,
    "ge": lambda one, other: one >= other,
    "lt": lambda one, other: one < other,
    "le": lambda one, other: one <= other,
    "eq": lambda one, other: one == other,
    "ne": lambda one, other: one != other,
}
ABSENT = object()
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class Admitted(NamedTuple):
    """One call that was let through."""

    at: int
    session: str
    agent: str
    upstream: str
    tool: str
    micros: int | None


class World(NamedTuple):
    """The call at hand and what was let through before it."""

    facts: Facts
    before: list[Admitted]


def strikes(definition: dict[str, Any], world: World) -> bool:
    """Tell whether a policy denies, holds or (allow) names the call."""
    match definition:
        case {"type": "rule", "when": when, "effect": effect}:
            found = truth(when, world)
            return found is True if effect == "allow" else found is not False
        case {"type": "rule"}:
            return True
        case {"type": "require_approval"}:
            return all(required(definition, world.facts))
    raise AssertionError(definition)


def required(definition: dict[str, Any], facts: Facts) -> Iterable[bool]:
    if "tools" in definition:
        yield not {facts.tool, f"{facts.upstream}.{facts.tool}"}.isdisjoint(definition["tools"])
    if "agents" in definition:
        yield any(fnmatchcase(facts.agent_id, name) for name in definition["agents"])
    if "amount_over" in definition:
        yield facts.price_micros is None or Decimal(facts.price_micros) / 10**6 > Decimal(
            definition["amount_over"].text
        )


def truth(node: dict[str, Any], world: World) -> Truth:  # noqa: C901, PLR0912 - one case for each condition.
    facts = world.facts
    match node:
        case {"all": parts}:
            return conjunction([truth(part, world) for part in parts])
        case {"any": parts}:
            return opposite(conjunction([opposite(truth(part, world)) for part in parts]))
        case {"not": part}:
            return opposite(truth(part, world))
        case {"tool": names}:
            return like(facts.tool, names) or like(f"{facts.upstream}.{facts.tool}", names)
        case {"upstream": names}:
            return like(facts.upstream, names)
        case {"agent": names}:
            return like(facts.agent_id, names)
        case {"session": ids}:
            return facts.session_id in listed(ids)
        case {"scope": scopes}:
            return any(
                scope == "*" or f"{wanted}:".startswith(f"{scope}:")
                for scope in facts.scopes
                for wanted in listed(scopes)
            )
        case {"argument": pointer, "exists": exists}:
            return (at(facts.arguments, pointer.split("/")[1:]) is not ABSENT) is exists
        case {"argument": pointer, **asked}:
            value = at(facts.arguments, pointer.split("/")[1:])
            return conjunction([compared(value, op, operand) for op, operand in asked.items()])
        case {"sum": pointer, **asked}:
            return conjunction([summed(facts.arguments, pointer, op, operand) for op, operand in asked.items()])
        case {"time": time}:
            return timely(time, facts.at)
        case {"spend": {"per": "call"}, **asked}:
            micros = facts.price_micros
            return (
                None
                if micros is None
                else all(COMPARE[op](Decimal(micros), 10**6 * Decimal(bound.text)) for op, bound in asked.items())
            )
        case {"calls": meter, **asked}:
            return conjunction([metered("calls", meter, op, int(bound.text), world) for op, bound in asked.items()])
        case {"spend": meter, **asked}:
            bounds = {op: int(10**6 * Decimal(bound.text)) for op, bound in asked.items()}
            return conjunction([metered("spend", meter, op, bound, world) for op, bound in bounds.items()])
    raise AssertionError(node)


def conjunction(parts: list[Truth]) -> Truth:
    return False if False in parts else None if None in parts else True


def opposite(found: Truth) -> Truth:
    return None if found is None else not found


def listed(names: Any) -> list[str]:
    return names if isinstance(names, list) else [names]


def like(name: str, patterns: Any) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in listed(patterns))


def at(value: Any, steps: list[str]) -> Any:
    for step in steps:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
            value = value[int(step)]
        else:
            return ABSENT
    return value


def number(value: Any) -> Decimal | None:
    return Decimal(value.text) if isinstance(value, Number) else None


def alike(value: Any, operand: Any) -> Truth:
    if isinstance(value, Number) and isinstance(operand, Number):
        return Decimal(value.text) == Decimal(operand.text)
    return value == operand if type(value) is type(operand) else None


def compared(value: Any, op: str, operand: Any) -> Truth:
    match op:
        case "eq":
            return alike(value, operand)
        case "ne":
            return opposite(alike(value, operand))
        case "in":
            found = [alike(value, each) for each in operand]
            return True if True in found else False if False in found else None
        case "matches":
            return re.search(operand, value) is not None if isinstance(value, str) else None
        case "contains":
            if isinstance(value, str) and isinstance(operand, str):
                return operand in value
            found = [alike(item, operand) for item in value] if isinstance(value, list) else [None]
            return True if True in found else None if None in found else False
        case "length":
            sized = isinstance(value, str | list | dict)
            return all(COMPARE[name](len(value), int(bound.text)) for name, bound in operand.items()) if sized else None
    found_number = number(value)
    return None if found_number is None else COMPARE[op](found_number, Decimal(operand.text))


def summed(arguments: Any, pointer: str, op: str, operand: Number) -> Truth:
    before, _, after = pointer.partition("/*")
    items = at(arguments, before.split("/")[1:])
    if not isinstance(items, list):
        return None
    found = [number(at(item, after.split("/")[1:])) for item in items]
    total = Decimal(0)
    for each in found:
        if each is None:
            return None
        total += each
    return COMPARE[op](total, Decimal(operand.text))


def timely(time: dict[str, Any], instant: int) -> bool:
    local = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=instant)).astimezone(
        ZoneInfo(time.get("zone", "UTC"))
    )
    start, end = (
        int(time[name].text) if name in time else default for name, default in (("start_hour", 0), ("end_hour", 24))
    )
    began = local if start < end or local.hour >= start else local - timedelta(days=1)
    open_now = start <= local.hour < end if start < end else local.hour >= start or local.hour < end
    dates = [text.partition("/") for text in listed(time.get("dates", []))]
    on_date = not dates or any(first <= local.date().isoformat() <= (last or first) for first, _, last in dates)
    return open_now and DAYS[began.weekday()] in time.get("weekdays", DAYS) and on_date


def metered(what: str, meter: dict[str, Any], op: str, bound: int, world: World) -> Truth:
    """Hold the most and the least that a window can have in it, to the sixtieth part of it, against a bound."""
    facts, now = world.facts, world.facts.at
    tools = meter.get("tools")
    within = int(meter["within_seconds"].text)
    bucket = -(-within // 60) * 10**6
    least = most = 0
    for call in world.before:
        if not together(meter["per"], call, facts) or not measured(tools, call.upstream, call.tool):
            continue
        amount, begins = (1 if what == "calls" else call.micros or 0), call.at // bucket * bucket
        most += amount if begins + bucket - 1 > now - within * 10**6 else 0
        least += amount if begins > now - within * 10**6 else 0
    if measured(tools, facts.upstream, facts.tool):
        own = 1 if what == "calls" else facts.price_micros
        least, most = least + (own or 0), most + (10**30 if own is None else own)
    one, other = COMPARE[op](least, bound), COMPARE[op](most, bound)
    return one if one == other else None


def together(per: str, call: Admitted, facts: Facts) -> bool:
    if per == "session":
        return call.session == facts.session_id
    return per == "tenant" or call.agent == facts.agent_id


def measured(tools: list[str] | None, upstream: str, tool: str) -> bool:
    return tools is None or tool in tools or f"{upstream}.{tool}" in tools
