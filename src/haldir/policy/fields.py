"""The fields of a policy, read strictly: each fault is refused with a JSON pointer (RFC 6901) to it."""

import difflib
import re
from collections.abc import Iterable
from typing import Any, final

from haldir.kernel.errors import InvalidRequest
from haldir.kernel.money import BadAmount, parse_amount
from haldir.kernel.strict_json import Number

TOOLS_MAX = 1000  # In one list; an upstream with more tools is better named by what it may do.
WHOLE_CHARS_MAX = 18  # Fits an int64 whatever the digits.
SHOWN_CHARS = 64

_TOOL = re.compile(r"[A-Za-z0-9._-]{1,257}")  # MCP's 128 characters for a tool; before them upstream and a dot.
_WHOLE = re.compile(rf"-?[0-9]{{1,{WHOLE_CHARS_MAX}}}")


class InvalidPolicy(InvalidRequest):
    """The definition says nothing that Haldir could enforce; `pointer` leads to the fault."""

    code = "invalid_policy"
    hint = "Correct what `field` points to; the kinds of policies and their fields are described in docs/policies.md."

    def __init__(self, message: str, pointer: str) -> None:
        super().__init__(message, pointer)
        self.pointer = pointer


@final
class Fields:
    """The members of one definition, none of them unknown, taken by name."""

    def __init__(self, kind: str, known: tuple[str, ...], members: dict[str, Any]) -> None:
        self._kind = kind
        self._members = members
        for name in members:
            if name not in known:
                meant = suggestion(name, known)
                raise InvalidPolicy(f"{kind} has no field {name[:SHOWN_CHARS]!r}{meant}", pointer(name))

    def tool(self, name: str) -> str:
        """Take the name of a tool: `TOOL` of any upstream, or `UPSTREAM.TOOL`."""
        return _tool(self._taken(name), pointer(name))

    def tools(self, name: str) -> tuple[str, ...]:
        """Take a list of tools, each named once."""
        items = self._list(name, TOOLS_MAX)
        return self._distinct(name, [_tool(item, pointer(name, index)) for index, item in enumerate(items)])

    def micros(self, name: str) -> int:
        """Take an amount of money, exactly."""
        value = self._taken(name)
        if not isinstance(value, Number):
            raise InvalidPolicy(f"{name!r} must be a number, not {_kind_of(value)}.", pointer(name))
        try:
            return parse_amount(value.text)
        except BadAmount as fault:
            raise InvalidPolicy(f"{name!r} {fault}.", pointer(name)) from None

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Take a whole number within bounds; the default, where there is one, if the member is absent."""
        if default is not None and name not in self._members:
            return default
        value = self._taken(name)
        if not isinstance(value, Number) or not _WHOLE.fullmatch(value.text):
            found = value.text[:SHOWN_CHARS] if isinstance(value, Number) else _kind_of(value)
            raise InvalidPolicy(f"{name!r} must be a whole number, not {found}.", pointer(name))
        if not least <= int(value.text) <= most:
            raise InvalidPolicy(f"{name!r} must be from {least} to {most}, not {value.text}.", pointer(name))
        return int(value.text)

    def text(self, name: str, default: str) -> str:
        """Take a string; the default if the member is absent."""
        value = self._members.get(name, default)
        if not isinstance(value, str) or not value:
            found = "an empty one" if value == "" else _kind_of(value)
            raise InvalidPolicy(f"{name!r} must be a string, not {found}.", pointer(name))
        return value

    def word(self, name: str, choices: Iterable[str], default: str) -> str:
        """Take one of a set of words; the default if the member is absent."""
        if name not in self._members:
            return default
        return _word(self._members[name], choices, name, pointer(name))

    def words(self, name: str, choices: tuple[str, ...]) -> tuple[str, ...]:
        """Take some of a set of words, each once, in the set's own order; all of them if the member is absent."""
        if name not in self._members:
            return choices
        items = self._list(name, len(choices))
        found = [_word(item, choices, name, pointer(name, index)) for index, item in enumerate(items)]
        chosen = self._distinct(name, found)
        return tuple(word for word in choices if word in chosen)

    def _taken(self, name: str) -> Any:
        if name not in self._members:
            raise InvalidPolicy(f"{self._kind} needs the field {name!r}.", pointer(name))
        return self._members[name]

    def _list(self, name: str, most: int) -> list[Any]:
        value = self._taken(name)
        if not isinstance(value, list):
            raise InvalidPolicy(f"{name!r} must be a list, not {_kind_of(value)}.", pointer(name))
        if len(value) > most:
            raise InvalidPolicy(f"{name!r} has {len(value)} items; {most} are the most.", pointer(name))
        return value

    def _distinct(self, name: str, found: list[str]) -> tuple[str, ...]:
        seen = set[str]()
        for index, item in enumerate(found):
            if item in seen:
                raise InvalidPolicy(f"{name!r} has {item!r} twice.", pointer(name, index))
            seen.add(item)
        return tuple(found)


def pointer(*path: str | int) -> str:
    """Return the JSON pointer along `path`."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown word: the known one that is nearest, if any is near."""
    near = difflib.get_close_matches(word[:SHOWN_CHARS], known, n=1)
    return f"; did you mean {near[0]!r}?" if near else "."


def _tool(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise InvalidPolicy(f"A tool is named by a string, not by {_kind_of(value)}.", at)
    if not _TOOL.fullmatch(value):
        raise InvalidPolicy(
            f"No tool can be named {value[:SHOWN_CHARS]!r}: write TOOL or UPSTREAM.TOOL, "
            "in letters, digits, '.', '_' and '-'.",
            at,
        )
    return value


def _word(value: Any, choices: Iterable[str], name: str, at: str) -> str:
    if not isinstance(value, str):
        raise InvalidPolicy(f"{name!r} must be a string, not {_kind_of(value)}.", at)
    if value not in choices:
        raise InvalidPolicy(f"{name!r} cannot be {value[:SHOWN_CHARS]!r}{suggestion(value, choices)}", at)
    return value


def _kind_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case list():
            return "a list"
        case dict():
            return "an object"
    return "a number"
