"""The fields of a policy, read strictly: each fault is refused with a JSON pointer (RFC 6901) to it."""

import difflib
import re
from collections.abc import Collection, Iterable
from typing import Any, TypeVar, final

from haldir.kernel.errors import InvalidRequest
from haldir.kernel.money import BadAmount, parse_amount
from haldir.kernel.strict_json import Number

TOOLS_MAX = 1000  # In one list; an upstream with more tools is better named by what it may do.
WHOLE_CHARS_MAX = 18  # Fits an int64 whatever the digits.
SHOWN_CHARS = 64
TEXT_CHARS_MAX = 1000  # Longer than any sentence or pattern that people read.

W = TypeVar("W", bound=str)

NAME_CHARS_MAX = 257  # MCP's 128 characters for a tool; before them upstream and a dot.

_TOOL = re.compile(rf"[A-Za-z0-9._-]{{1,{NAME_CHARS_MAX}}}")
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
    """The members of one object, none of them unknown, taken by name. `at` is where in the definition it stands."""

    def __init__(
        self, kind: str, known: Iterable[str], members: dict[str, Any], at: tuple[str | int, ...] = ()
    ) -> None:
        self._kind = kind
        self._members = members
        self._at = at
        known = tuple(known)
        for name in members:
            if name not in known:
                meant = suggestion(name, known)
                raise InvalidPolicy(f"{kind} has no field {name[:SHOWN_CHARS]!r}{meant}", self.pointer(name))

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def pointer(self, *path: str | int) -> str:
        """Return the JSON pointer to a member, or to what stands in it."""
        return pointer(*self._at, *path)

    def path(self, name: str) -> tuple[str | int, ...]:
        """Return the steps of that pointer."""
        return (*self._at, name)

    def value(self, name: str) -> Any:
        """Take a member as it is."""
        return self._taken(name)

    def tool(self, name: str) -> str:
        """Take the name of a tool: `TOOL` of any upstream, or `UPSTREAM.TOOL`."""
        return _tool(self._taken(name), self.pointer(name))

    def tools(self, name: str) -> tuple[str, ...]:
        """Take a list of tools, each named once."""
        items = self._list(name, TOOLS_MAX)
        return self._distinct(name, [_tool(item, self.pointer(name, index)) for index, item in enumerate(items)])

    def micros(self, name: str) -> int:
        """Take an amount of money, exactly."""
        value = self._taken(name)
        if not isinstance(value, Number):
            raise InvalidPolicy(f"{name!r} must be a number, not {kind_of(value)}.", self.pointer(name))
        try:
            return parse_amount(value.text)
        except BadAmount as fault:
            raise InvalidPolicy(f"{name!r} {fault}.", self.pointer(name)) from None

    def whole(self, name: str, least: int, most: int, default: int | None = None) -> int:
        """Take a whole number within bounds; the default, where there is one, if the member is absent."""
        if default is not None and name not in self._members:
            return default
        value = self._taken(name)
        if not isinstance(value, Number) or not _WHOLE.fullmatch(value.text):
            found = value.text[:SHOWN_CHARS] if isinstance(value, Number) else kind_of(value)
            raise InvalidPolicy(f"{name!r} must be a whole number, not {found}.", self.pointer(name))
        if not least <= int(value.text) <= most:
            raise InvalidPolicy(f"{name!r} must be from {least} to {most}, not {value.text}.", self.pointer(name))
        return int(value.text)

    def text(self, name: str, default: str | None = None, most_chars: int = TEXT_CHARS_MAX) -> str:
        """Take a string; the default, where there is one, if the member is absent."""
        if default is not None and name not in self._members:
            return default
        return _text(self._taken(name), most_chars, name, self.pointer(name))

    def texts(self, name: str, most: int, most_chars: int = NAME_CHARS_MAX) -> tuple[str, ...]:
        """Take a string, or a list of some, each once."""
        if not isinstance(self._taken(name), list):
            return (self.text(name, None, most_chars),)
        items = self._list(name, most)
        if not items:
            raise InvalidPolicy(f"An empty {name!r} can never be met.", self.pointer(name))
        return self._distinct(
            name, [_text(item, most_chars, name, self.pointer(name, n)) for n, item in enumerate(items)]
        )

    def flag(self, name: str) -> bool:
        """Take a boolean; false if the member is absent."""
        value = self._members.get(name, False)
        if not isinstance(value, bool):
            raise InvalidPolicy(f"{name!r} must be true or false, not {kind_of(value)}.", self.pointer(name))
        return value

    def items(self, name: str, most: int) -> list[Any]:
        """Take a list with at least one item."""
        items = self._list(name, most)
        if not items:
            raise InvalidPolicy(f"{name!r} must not be empty.", self.pointer(name))
        return items

    def word(self, name: str, choices: Collection[W], default: W | None = None) -> W:
        """Take one of a set of words; the default, where there is one, if the member is absent."""
        if default is not None and name not in self._members:
            return default
        self._taken(name)
        return _word(self._members[name], choices, name, self.pointer(name))

    def words(self, name: str, choices: tuple[str, ...]) -> tuple[str, ...]:
        """Take some of a set of words, each once, in the set's own order; all of them if the member is absent."""
        if name not in self._members:
            return choices
        items = self._list(name, len(choices))
        found = [_word(item, choices, name, self.pointer(name, index)) for index, item in enumerate(items)]
        chosen = self._distinct(name, found)
        return tuple(word for word in choices if word in chosen)

    def _taken(self, name: str) -> Any:
        if name not in self._members:
            raise InvalidPolicy(f"{self._kind} needs the field {name!r}.", self.pointer(name))
        return self._members[name]

    def _list(self, name: str, most: int) -> list[Any]:
        value = self._taken(name)
        if not isinstance(value, list):
            raise InvalidPolicy(f"{name!r} must be a list, not {kind_of(value)}.", self.pointer(name))
        if len(value) > most:
            raise InvalidPolicy(f"{name!r} has {len(value)} items; {most} are the most.", self.pointer(name))
        return value

    def _distinct(self, name: str, found: list[str]) -> tuple[str, ...]:
        seen = set[str]()
        for index, item in enumerate(found):
            if item in seen:
                raise InvalidPolicy(f"{name!r} has {item!r} twice.", self.pointer(name, index))
            seen.add(item)
        return tuple(found)


def pointer(*path: str | int) -> str:
    """Return the JSON pointer along `path`."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence about an unknown word: the known one that is nearest, if any is near."""
    near = difflib.get_close_matches(word[:SHOWN_CHARS], known)
    return f"; did you mean {near[0]!r}?" if near else "."


def _tool(value: Any, at: str) -> str:
    if not isinstance(value, str):
        raise InvalidPolicy(f"A tool is named by a string, not by {kind_of(value)}.", at)
    if not _TOOL.fullmatch(value):
        raise InvalidPolicy(
            f"No tool can be named {value[:SHOWN_CHARS]!r}: write TOOL or UPSTREAM.TOOL, "
            "in letters, digits, '.', '_' and '-'.",
            at,
        )
    return value


def _text(value: Any, most_chars: int, name: str, at: str) -> str:
    if not isinstance(value, str) or not value:
        found = "an empty one" if value == "" else kind_of(value)
        raise InvalidPolicy(f"{name!r} must be a string, not {found}.", at)
    if len(value) > most_chars:
        raise InvalidPolicy(f"{name!r} has {len(value)} characters; {most_chars} are the most.", at)
    return value


def _word(value: Any, choices: Collection[W], name: str, at: str) -> W:
    if not isinstance(value, str):
        raise InvalidPolicy(f"{name!r} must be a string, not {kind_of(value)}.", at)
    if value not in choices:
        raise InvalidPolicy(f"{name!r} cannot be {value[:SHOWN_CHARS]!r}{suggestion(value, choices)}", at)
    return next(choice for choice in choices if choice == value)


def kind_of(value: Any) -> str:
    """Return what kind of JSON value this is, for a sentence."""
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
