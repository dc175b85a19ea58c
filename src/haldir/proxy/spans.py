"""Where the members of a JSON object stand in its bytes. One that stands twice is read differently by others."""

import re
from collections.abc import Mapping

import msgspec
from msgspec import Raw

from haldir.kernel.errors import UpstreamError

Span = tuple[int, int]

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BEFORE_KEY = re.compile(rb"[\s,{]*")
_BEFORE_VALUE = re.compile(rb"\s*:\s*")


def spans_of(encoded: bytes, members: Mapping[str, Raw]) -> dict[str, Span]:
    """Return where each member's value stands. Raises UpstreamError if the object names a member twice.

    `members` has each name where it stands first, with the value it has last: were the two not of one member, the
    value would not be found there.
    """
    spans: dict[str, Span] = {}
    at = 0
    for name, raw in members.items():
        key = _STRING.match(encoded, _after(_BEFORE_KEY, encoded, at))
        start = _after(_BEFORE_VALUE, encoded, key.end()) if key else at
        value = bytes(raw)
        if key is None or msgspec.json.decode(key[0]) != name or not encoded.startswith(value, start):
            raise _named_twice()
        at = start + len(value)
        spans[name] = start, at
    if encoded[_after(_BEFORE_KEY, encoded, at) :].strip() != b"}":
        raise _named_twice()
    return spans


def _after(gap: re.Pattern[bytes], encoded: bytes, at: int) -> int:
    found = gap.match(encoded, at)
    return found.end() if found else at


def _named_twice() -> UpstreamError:
    return UpstreamError("The upstream's answer names a member twice.", sent=True)
