"""An evidence pack as Markdown, for people. What agents and keys call themselves is never markup in it."""

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from haldir.operations.evidence import EvidencePack

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+!|~&-])")


def as_markdown(pack: EvidencePack) -> str:
    """Return the pack as a document; the JSON is what is signed."""
    document: dict[str, Any] = msgspec.to_builtins(pack)
    lines = [f"# Evidence for tenant {document.pop('tenant_id')}", ""]
    lines += [f"Format version {document.pop('format_version')}. What is signed is the JSON of the same period.", ""]
    for name, section in document.items():
        lines += [f"## {name.capitalize()}", "", *_members(section), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _members(section: dict[str, Any]) -> Iterator[str]:
    tables = {name: value for name, value in section.items() if isinstance(value, list | dict)}
    for name, value in section.items():
        if name not in tables:
            yield f"- {_words(name)}: {_cell(value)}"
    for name, value in tables.items():
        yield from ("", f"### {_words(name)}", "", *_table(value))


def _table(value: list[Any] | dict[str, Any]) -> Iterator[str]:
    if not value:
        yield "None."
    elif isinstance(value, dict):
        yield from _rows(("", ""), value.items())
    elif isinstance(value[0], dict):
        yield from _rows([_words(name) for name in value[0]], (row.values() for row in value))
    else:
        yield from (f"- {_cell(item)}" for item in value)


def _rows(columns: Any, rows: Any) -> Iterator[str]:
    yield _row(columns)
    yield _row("---" for _ in columns)
    yield from (_row(_cell(cell) for cell in row) for row in rows)


def _row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    match value:
        case None:
            return "never"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(_cell(item) for item in value) or "none"
    text = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in str(value))
    return _MARKUP.sub(r"\\\1", text)


def _words(name: str) -> str:
    return name.replace("_", " ").capitalize()
