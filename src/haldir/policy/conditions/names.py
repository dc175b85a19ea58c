"""Leaves on who calls what: upstream, tool, agent, session, scope. A `*` in a name stands for any characters."""

from collections.abc import Callable
from typing import Any

from haldir.kernel.scopes import covers
from haldir.policy.conditions.node import Check, Concerns, Leaf
from haldir.policy.facts import Facts

ANY = "*"


def keys_of(upstream: str, tool: str) -> tuple[str, str, str]:
    """Return the keys under which policies that concern a call are indexed; no name has a slash."""
    return tool, f"{upstream}.{tool}", f"{upstream}/"


class ToolIs(Leaf, frozen=True):
    """The tool is one of these, each `TOOL` of any upstream or `UPSTREAM.TOOL`."""

    names: tuple[str, ...]

    def definition(self) -> dict[str, Any]:
        return {"tool": one_or_list(self.names)}

    def check(self) -> Check:
        listed = matcher(self.names)

        def check(facts: Facts) -> bool:
            return listed(facts.tool) or listed(f"{facts.upstream}.{facts.tool}")

        return check

    def concerns(self, *, wanted: bool) -> Concerns:
        return frozenset(self.names) if wanted and not any(ANY in name for name in self.names) else None


class UpstreamIs(Leaf, frozen=True):
    names: tuple[str, ...]

    def definition(self) -> dict[str, Any]:
        return {"upstream": one_or_list(self.names)}

    def check(self) -> Check:
        listed = matcher(self.names)
        return lambda facts: listed(facts.upstream)

    def concerns(self, *, wanted: bool) -> Concerns:
        literal = wanted and not any(ANY in name for name in self.names)
        return frozenset(f"{name}/" for name in self.names) if literal else None


class AgentIs(Leaf, frozen=True):
    names: tuple[str, ...]

    def definition(self) -> dict[str, Any]:
        return {"agent": one_or_list(self.names)}

    def check(self) -> Check:
        listed = matcher(self.names)
        return lambda facts: listed(facts.agent_id)


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
        scopes = self.scopes
        return lambda facts: any(covers(facts.scopes, scope) for scope in scopes)


BY_NAME: tuple[type[Leaf], ...] = (ToolIs, UpstreamIs)  # What these say is settled by the names of a call alone.
OF_SESSION: tuple[type[Leaf], ...] = (AgentIs, ScopeIs)  # These look at what only the session's row says.


def one_or_list(names: tuple[str, ...]) -> str | list[str]:
    """Return names as they are written: a single one without a list."""
    return names[0] if len(names) == 1 else list(names)


def matcher(names: tuple[str, ...]) -> Callable[[str], bool]:
    """Return whether a name is one of these, `*` in them standing for any characters. Linear in name and pattern."""
    literal = frozenset(name for name in names if ANY not in name)
    patterns = [name.split(ANY) for name in names if ANY in name]
    if not patterns:
        return literal.__contains__
    return lambda name: name in literal or any(fits(name, pieces) for pieces in patterns)


def fits(name: str, pieces: list[str]) -> bool:
    """Tell whether a name begins with the first piece, ends with the last, and has the others between in order."""
    first, *middle, last = pieces
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    place, end = len(first), len(name) - len(last)
    for piece in middle:
        found = name.find(piece, place, end)
        if found < 0:
            return False
        place = found + len(piece)
    return True
