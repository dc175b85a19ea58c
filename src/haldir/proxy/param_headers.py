"""Arguments that a 2026-07-28 server wants repeated in Mcp-Param-* headers (`x-mcp-header` in a tool's schema)."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from msgspec import Raw

from haldir.kernel import strict_json
from haldir.kernel.strict_json import Malformed, Number
from haldir.proxy.definition import Definition
from haldir.proxy.era import PARAM_PREFIX, header_value, read_header_value

HeaderNames = Mapping[tuple[str, ...], str]  # The header by the path of the argument it repeats.

PATHS_MAX = 64  # More repeated arguments than any honest tool has; bounds the walk through a schema.
MARK = "x-mcp-header"

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_DECIMAL = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def header_names(definitions: Iterable[Definition]) -> dict[str, HeaderNames]:
    """Return, by tool, which arguments its definition wants repeated; tools that want none are left out."""
    found: dict[str, HeaderNames] = {}
    for definition in definitions:
        if MARK.encode() in definition.encoded and (names := _marked(definition.input_schema)):
            found[definition.name] = names
    return found


def headers_for(names: HeaderNames, arguments: Any) -> dict[str, str]:
    """Return the headers that repeat these arguments."""
    found: dict[str, str] = {}
    for path, header in names.items():
        text = _text(_at(arguments, path))
        if text is not None:
            found[header] = header_value(text)
    return found


def mismatch(names: HeaderNames, arguments: Any, headers: Mapping[str, str]) -> str | None:
    """Return the header that says something else than the arguments, if any does."""
    for path, header in names.items():
        text, given = _text(_at(arguments, path)), headers.get(header)
        if (text is None) != (given is None):
            return header
        if text is not None and given is not None and not _agree(text, read_header_value(given)):
            return header
    return None


def _marked(schema: Raw) -> HeaderNames:
    try:
        tree = strict_json.decode(bytes(schema))
    except Malformed:
        return {}
    found: dict[tuple[str, ...], str] = {}
    waiting: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    while waiting and len(found) < PATHS_MAX:
        path, node = waiting.pop()
        if not isinstance(node, dict):
            continue
        header = node.get(MARK)
        if path and isinstance(header, str) and _TOKEN.fullmatch(header):
            found[path] = PARAM_PREFIX + header.lower()
        properties = node.get("properties")
        if isinstance(properties, dict):
            waiting += [((*path, name), inner) for name, inner in properties.items()]
    return found if len(set(found.values())) == len(found) else {}


def _at(arguments: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(arguments, dict):
            return None
        arguments = arguments.get(name)
    return arguments


def _text(value: Any) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return value
        case Number():
            return value.text
        case _:
            return None


def _agree(text: str, given: str | None) -> bool:
    if given is None or text == given:
        return text == given
    return bool(_DECIMAL.fullmatch(text) and _DECIMAL.fullmatch(given)) and Decimal(text) == Decimal(given)
