"""From a tree of JSON to a condition. Every fault is refused with a pointer, and every tree is bounded."""

from collections.abc import Callable
from typing import Any

from haldir.policy.conditions.arguments import EXISTS, read_argument, read_sum
from haldir.policy.conditions.comparison import ASKED, COUNTS, ORDERS
from haldir.policy.conditions.names import AgentIs, ScopeIs, SessionIs, ToolIs, UpstreamIs
from haldir.policy.conditions.node import All, Any_, Node, Not
from haldir.policy.conditions.times import read_time
from haldir.policy.conditions.usage import read_usage
from haldir.policy.fields import NAME_CHARS_MAX, SHOWN_CHARS, Fields, InvalidPolicy, kind_of, pointer, suggestion

DEPTH_MAX = 16
NODES_MAX = 100
NAMES_MAX = 100  # In one list of tools, agents, sessions or scopes.
SCOPE_CHARS_MAX = 300
TOOL_CHARS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-*")

At = tuple[str | int, ...]


def read_condition(value: Any, at: At) -> Node:
    """Return the condition that a tree of `kernel.strict_json` defines. Raises InvalidPolicy."""
    return _Reader().node(value, at, 1)


class _Reader:
    """Reads one tree, counting its nodes."""

    def __init__(self) -> None:
        self._nodes = 0

    def node(self, value: Any, at: At, depth: int) -> Node:
        self._nodes += 1
        if depth > DEPTH_MAX or self._nodes > NODES_MAX:
            raise InvalidPolicy(f"A condition has at most {NODES_MAX} nodes and {DEPTH_MAX} levels.", pointer(*at))
        if not isinstance(value, dict):
            raise InvalidPolicy(f"A condition is an object, not {kind_of(value)}.", pointer(*at))
        subject = _subject(value, at)
        fields = Fields(f"A condition on {subject!r}", (subject, *SUBJECTS[subject]), value, at)
        match subject:
            case "all" | "any":
                items = fields.items(subject, NODES_MAX)
                nodes = tuple(self.node(item, (*at, subject, n), depth + 1) for n, item in enumerate(items))
                return All(nodes) if subject == "all" else Any_(nodes)
            case "not":
                return Not(self.node(fields.value("not"), (*at, "not"), depth + 1))
        return LEAVES[subject](fields)


def _subject(members: dict[str, Any], at: At) -> str:
    subjects = [name for name in members if name in SUBJECTS]
    if len(subjects) == 1:
        return subjects[0]
    if not subjects:
        known = ", ".join(SUBJECTS)
        unknown = next(iter(members), None)
        if unknown is None:
            raise InvalidPolicy(f"A condition names what it is about: one of {known}.", pointer(*at))
        meant = suggestion(unknown, SUBJECTS)
        raise InvalidPolicy(
            f"There is no condition {unknown[:SHOWN_CHARS]!r}{meant} Known: {known}.", pointer(*at, unknown)
        )
    both = f"{subjects[0]!r} and {subjects[1]!r}"
    raise InvalidPolicy(
        f"One condition cannot be about {both}: put them under 'all' or 'any'.", pointer(*at, subjects[1])
    )


def _tool(fields: Fields) -> Node:
    return ToolIs(_names(fields, "tool"))


def _upstream(fields: Fields) -> Node:
    return UpstreamIs(_names(fields, "upstream"))


def _names(fields: Fields, name: str) -> tuple[str, ...]:
    names = fields.texts(name, NAMES_MAX)
    for at, each in enumerate(names):
        if not TOOL_CHARS.issuperset(each):
            where = (name, at) if isinstance(fields.value(name), list) else (name,)
            raise InvalidPolicy(
                f"Nothing can be named {each[:SHOWN_CHARS]!r}: letters, digits, '.', '_' and '-', "
                "and '*' for any of them.",
                fields.pointer(*where),
            )
    return names


def _agent(fields: Fields) -> Node:
    return AgentIs(fields.texts("agent", NAMES_MAX, NAME_CHARS_MAX))


def _session(fields: Fields) -> Node:
    return SessionIs(fields.texts("session", NAMES_MAX))


def _scope(fields: Fields) -> Node:
    return ScopeIs(fields.texts("scope", NAMES_MAX, SCOPE_CHARS_MAX))


def _calls(fields: Fields) -> Node:
    return read_usage(fields, "calls")


def _spend(fields: Fields) -> Node:
    return read_usage(fields, "spend")


SUBJECTS: dict[str, tuple[str, ...]] = {
    "all": (),
    "any": (),
    "not": (),
    "tool": (),
    "upstream": (),
    "argument": (*ASKED, EXISTS),
    "sum": COUNTS,
    "session": (),
    "agent": (),
    "scope": (),
    "time": (),
    "calls": tuple(ORDERS),
    "spend": tuple(ORDERS),
}
LEAVES: dict[str, Callable[[Fields], Node]] = {
    "tool": _tool,
    "upstream": _upstream,
    "argument": read_argument,
    "sum": read_sum,
    "session": _session,
    "agent": _agent,
    "scope": _scope,
    "time": read_time,
    "calls": _calls,
    "spend": _spend,
}
