"""What differs between the arguments of two calls, by JSON pointers (RFC 6901): exact, number texts untouched. Pure.

Each change stands where it is smallest. Applied to the one value in their order, all of them give the other.
"""

import itertools
from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from haldir.kernel import strict_json

VALUE_CHARS_MAX = 2000  # Of a value as JSON; a longer one is cut: the whole of what is asked for stands in `details`.
CHANGES_MAX = 100  # More than this is no small change, and nobody reads it as one.

ChangeKind = Literal["added", "removed", "changed"]


class Change(msgspec.Struct, frozen=True):
    """One difference. Of what was added there was None before, and of what was removed None is left."""

    pointer: str
    kind: ChangeKind
    was: Any
    now: Any


class ChangeShown(msgspec.Struct, frozen=True):
    """One difference: `was` is null if something was `added`, `now` if something was `removed`.

    `cut`: a value is longer than 2,000 characters of JSON, and is a text with their first, and how many there are.
    """

    pointer: str
    kind: ChangeKind
    was: msgspec.Raw
    now: msgspec.Raw
    cut: bool


def changes(was: Any, now: Any, pointer: str = "") -> Iterator[Change]:
    """Yield what changed from one value, as `strict_json` reads it, to another: members by name, items by place."""
    if isinstance(was, dict) and isinstance(now, dict):
        yield from _of_members(was, now, pointer)
    elif isinstance(was, list) and isinstance(now, list):
        yield from _of_items(was, now, pointer)
    elif was != now:  # Values of two kinds never are equal: a number is a Number.
        yield Change(pointer, "changed", was, now)


def first_changes(was: Any, now: Any) -> tuple[list[Change], bool]:
    """Return the first hundred changes, and whether there are more."""
    found = changes(was, now)
    return list(itertools.islice(found, CHANGES_MAX)), next(found, None) is not None


def shown_change(change: Change) -> ChangeShown:
    """Return a change as it is shown."""
    was, now = (strict_json.encode(value) for value in (change.was, change.now))
    is_cut = max(len(was), len(now)) > VALUE_CHARS_MAX
    return ChangeShown(change.pointer, change.kind, _cut(was), _cut(now), is_cut)


def _of_members(was: dict[str, Any], now: dict[str, Any], pointer: str) -> Iterator[Change]:
    for name, value in now.items():
        at = _member(pointer, name)
        if name in was:
            yield from changes(was[name], value, at)
        else:
            yield Change(at, "added", None, value)
    for name, value in was.items():
        if name not in now:
            yield Change(_member(pointer, name), "removed", value, None)


def _of_items(was: list[Any], now: list[Any], pointer: str) -> Iterator[Change]:
    for place, (before, after) in enumerate(zip(was, now, strict=False)):
        yield from changes(before, after, f"{pointer}/{place}")
    for place in range(len(was), len(now)):
        yield Change(f"{pointer}/{place}", "added", None, now[place])
    for place in reversed(range(len(now), len(was))):  # The last first: none of them moves another.
        yield Change(f"{pointer}/{place}", "removed", was[place], None)


def _member(pointer: str, name: str) -> str:
    return f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}"


def _cut(text: bytes) -> msgspec.Raw:
    if len(text) <= VALUE_CHARS_MAX:
        return msgspec.Raw(text)
    return msgspec.Raw(strict_json.encode(f"{text[:VALUE_CHARS_MAX].decode()}… ({len(text)} characters)"))
