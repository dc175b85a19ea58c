"""Leaves on who calls what: upstream, tool, agent, session, scope. A `*` in a name stands for any characters."""

from typing import Any

from haldir.kernel.scopes import covering
from haldir.policy.conditions.node import Check, Concerns, Leaf, Sense, Test, always, never

ANY = "*"


def keys_of(upstream: str, tool: str) -> tuple[str, str, str]:
    """Return the keys under which policies that concern a call are indexed; no name has a slash."""
    return tool, f"{upstream}.{tool}", f"{upstream}/"


class ByName(Leaf, frozen=True):
    """What the names of a call alone settle."""

    def listed(self, upstream: str, tool: str) -> bool:
        raise NotImplementedError

    def check(self) -> Check:
        return lambda facts: self.listed(facts.upstream, facts.tool)

    def test(self, sense: Sense) -> Test:
        if sense.names is None:
            return super().test(sense)
        return always if self.listed(*sense.names) is sense.wanted else never

    def excluded(self, names: tuple[str, str], *, wanted: bool) -> bool:
        return self.listed(*names) is not wanted


class ToolIs(ByName, frozen=True):
    """The tool is one of these, each `TOOL` of any upstream or `UPSTREAM.TOOL`."""

    names: tuple[str, ...]

    def definition(self) -> dict[str, Any]:
        return {"tool": one_or_list(self.names)}

    def listed(self, upstream: str, tool: str) -> bool:
        return any(is_like(name, tool) or is_like(name, f"{upstream}.{tool}") for name in self.names)

    def concerns(self, *, wanted: bool) -> Concerns:
        return frozenset(self.names) if wanted and not any(ANY in name for name in self.names) else None


class UpstreamIs(ByName, frozen=True):
    names: tuple[str, ...]

    def definition(self) -> dict[str, Any]:
        return {"upstream": one_or_list(self.names)}

    def listed(self, upstream: str, tool: str) -> bool:
        return any(is_like(name, upstream) for name in self.names)

    def concerns(self, *, wanted: bool) -> Concerns:
        literal = wanted and not any(ANY in name for name in self.names)
        return frozenset(f"{name}/" for name in self.names) if literal else None


class AgentIs(Leaf, frozen=True):
    names: tuple[str, ...]

    def definition(self) -> dict[str, Any]:
        return {"agent": one_or_list(self.names)}

    def check(self) -> Check:
        literal = frozenset(name for name in self.names if ANY not in name)
        patterns = [name for name in self.names if ANY in name]
        return lambda facts: facts.agent_id in literal or any(is_like(each, facts.agent_id) for each in patterns)


class SessionIs(Leaf, frozen=True):
    ids: tuple[str, ...]

    def definition(self) -> dict[str, Any]:
        return {"session": one_or_list(self.ids)}

    def check(self) -> Check:
        ids = frozenset(self.ids)
        return lambda facts: facts.session_id in ids


class ScopeIs(Leaf, frozen=True):
    """The session has one of these scopes, or one above it."""

    scopes: tuple[str, ...]

    def definition(self) -> dict[str, Any]:
        return {"scope": one_or_list(self.scopes)}

    def check(self) -> Check:
        enough = frozenset(above for scope in self.scopes for above in covering(scope))
        return lambda facts: not enough.isdisjoint(facts.scopes)


OF_SESSION: tuple[type[Leaf], ...] = (AgentIs, ScopeIs)  # These look at what only the session's row says.


def one_or_list(names: tuple[str, ...]) -> str | list[str]:
    """Return names as they are written: a single one without a list."""
    return names[0] if len(names) == 1 else list(names)


def is_like(pattern: str, name: str) -> bool:
    """Tell whether a name is the pattern, in which `*` stands for any characters. Linear in both."""
    first, *rest = pattern.split(ANY)
    if not rest:
        return name == pattern
    last = rest.pop()
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    place, end = len(first), len(name) - len(last)
    for piece in rest:
        found = name.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True
