"""What others wrote, made legible for whoever decides: nothing in it can hide or look like something else.

Characters that show nothing, or turn the direction of what follows, are shown by their code.
"""

import json
import unicodedata
from datetime import UTC, datetime
from typing import Any

from haldir.kernel import strict_json
from haldir.kernel.strict_json import Number

# Controls, formats (bidirectional overrides, zero width), private, unassigned, and separators of lines.
HIDDEN = frozenset({"Cc", "Cf", "Co", "Cn", "Cs", "Zl", "Zp"})
BMP_MAX = 0xFFFF
INDENT = "  "


def legible(text: str) -> str:
    """Return text in which every character can be seen; new lines stay."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(map(_seen, text))


def pretty(raw: bytes) -> str:
    """Return JSON on lines, with numbers as they were written."""
    return _pretty(strict_json.decode(raw), "")


def clock_time(unix_seconds: float) -> str:
    return _at(unix_seconds).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso_time(unix_seconds: float) -> str:
    """Return an instant as the attribute `datetime` of an element takes it."""
    return _at(unix_seconds).strftime("%Y-%m-%dT%H:%M:%SZ")


def span(seconds: float) -> str:
    """Return how long something is, to one unit: 45 s, 12 min, 3 h, 2 d."""
    whole = max(0, int(seconds))
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if whole >= size:
            return f"{whole // size} {unit}"
    return f"{whole} s"


def _at(unix_seconds: float) -> datetime:
    return datetime.fromtimestamp(unix_seconds, UTC)


def _seen(char: str) -> str:
    if char == "\n" or unicodedata.category(char) not in HIDDEN:
        return char
    code = ord(char)
    return f"\\u{code:04x}" if code <= BMP_MAX else f"\\U{code:08x}"


def _pretty(value: Any, indent: str) -> str:
    deeper = indent + INDENT
    match value:
        case dict() if value:
            lines = [f"{deeper}{_text(name)}: {_pretty(item, deeper)}" for name, item in value.items()]
            return "{\n" + ",\n".join(lines) + f"\n{indent}}}"
        case list() if value:
            lines = [f"{deeper}{_pretty(item, deeper)}" for item in value]
            return "[\n" + ",\n".join(lines) + f"\n{indent}]"
        case Number():
            return value.text
        case str():
            return _text(value)
        case _:
            return json.dumps(value)


def _text(text: str) -> str:
    return legible(json.dumps(text, ensure_ascii=False))
