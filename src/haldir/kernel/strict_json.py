"""JSON read so that nobody can read the same bytes differently: the gate before any meaning is taken.

Refused: what is not UTF-8, a lone surrogate, more than 64 levels, a member twice in one object at any
level, NaN and the infinities. Numbers keep their text, so that money and digests are exact.
"""

import json
import re
from collections.abc import Iterable
from json.encoder import encode_basestring_ascii
from typing import Any, final

DEPTH_MAX = 64  # Deeper than any honest call; far below where parsers differ or recurse to death.
FIELD_SHOWN_CHARS = 128  # Of a member's name in a refusal; the caller knows the rest.
NUMBER_CHARS_MAX = 4096  # A number longer than this costs quadratic time to whoever reads it as an int.

# A string, closed or not, is taken whole and never tried again: so this is linear, whatever the bytes.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


class Malformed(ValueError):
    """The bytes are not JSON that everyone reads alike. `field` is the member at fault, if one can be named."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        # A name of the caller's choice: cut short, and without what could not be sent back as UTF-8.
        self.field = field and field[:FIELD_SHOWN_CHARS].encode(errors="replace").decode()


@final
class Number:
    """A JSON number by its text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        if len(text) > NUMBER_CHARS_MAX:
            raise Malformed(f"a number is longer than {NUMBER_CHARS_MAX} characters")
        self.text = text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Number) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __repr__(self) -> str:
        return f"Number({self.text})"


@final
class _Constant:
    """NaN or an infinity, until the object around it can name the member."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


def decode(body: bytes) -> Any:
    """Return the value: dict, list, str, bool, None, and Number for every number."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise Malformed("the body is not UTF-8") from None
    if _too_deep(body):
        raise Malformed(f"the body is nested more than {DEPTH_MAX} levels deep")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Malformed(f"the body is not JSON: {error.msg} at character {error.pos}") from None
    if isinstance(value, _Constant):
        raise Malformed(f"{value.text} is not a JSON number")
    if isinstance(value, list):
        _refuse_constants(value, None)
    if "\\u" in text:
        _refuse_surrogates(text)
    return value


def encode(value: Any) -> bytes:
    """Return a decoded value with sorted members and the text of its numbers untouched."""
    return "".join(_pieces(value)).encode()


def _too_deep(body: bytes) -> bool:
    if body.count(b"[") + body.count(b"{") <= DEPTH_MAX:
        return False
    depth = 0
    for token in _TOKENS.finditer(body):
        first = token[0][0]
        if first in b"[{":
            depth += 1
            if depth > DEPTH_MAX:
                return True
        elif first in b"]}":
            depth -= 1
    return False


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise Malformed("a member stands twice in one object", _first_repeated(name for name, _ in pairs))
    for name, value in pairs:
        if isinstance(value, _Constant):
            raise Malformed(f"{value.text} is not a JSON number", name)
        if isinstance(value, list):
            _refuse_constants(value, name)
    return found


def _first_repeated(names: Iterable[str]) -> str | None:
    seen = set[str]()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return None


def _refuse_constants(items: list[Any], field: str | None) -> None:
    for item in items:
        if isinstance(item, _Constant):
            raise Malformed(f"{item.text} is not a JSON number", field)
        if isinstance(item, list):
            _refuse_constants(item, field)


def _refuse_surrogates(text: str) -> None:
    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Malformed("the body has half of a surrogate pair, which is no character") from None


def _pieces(value: Any) -> list[str]:
    match value:
        case str():
            return [encode_basestring_ascii(value)]
        case Number():
            return [value.text]
        case dict():
            members = (f"{encode_basestring_ascii(name)}:{''.join(_pieces(value[name]))}" for name in sorted(value))
            return ["{", ",".join(members), "}"]
        case list():
            return ["[", ",".join("".join(_pieces(item)) for item in value), "]"]
        case _:
            return [json.dumps(value)]


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_float=Number, parse_int=Number, parse_constant=_Constant)
