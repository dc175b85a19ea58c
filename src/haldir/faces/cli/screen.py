"""What a person sees: plain text and tables. What comes from elsewhere is never obeyed by the terminal."""

import json
import shutil
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import click

from haldir.faces.cli import layout

PIPE_COLUMNS = 240  # Rows are not folded where no person's window asks for it.


def plain(text: str) -> str:
    """Return text with every control character spelled out, so that no name or reason can steer the terminal."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def print_json(value: Any) -> None:
    """Print one line of JSON."""
    click.echo(json.dumps(value, ensure_ascii=False))


def print_table(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, empty: str) -> None:
    """Print rows under their columns, or the sentence for none."""
    cells = [[plain(spelled(cell)) for cell in row] for row in rows]
    for line in layout.table(columns, cells, room()) if cells else [empty]:
        click.echo(line)


def print_fields(fields: Iterable[tuple[str, Any]]) -> None:
    """Print names and values, one pair a line."""
    pairs = [(name, plain(spelled(value))) for name, value in fields]
    width = max(len(name) for name, _ in pairs)
    for name, value in pairs:
        click.echo(f"{name:<{width}}  {value}")


def room(pipe_columns: int = PIPE_COLUMNS) -> int:
    """Return how many columns there are: those of the window, or `pipe_columns` where there is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else pipe_columns


def spelled(value: Any) -> str:
    """Return a JSON value as a person reads it."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case list():
            return ", ".join(spelled(item) for item in value) or "-"
        case dict():
            return json.dumps(value, ensure_ascii=False)
        case _:
            return str(value)


def moment(unix_seconds: Any) -> str:
    """Return an instant of the wire as UTC to the second; 0 and nothing mean never."""
    if not unix_seconds:
        return "never"
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")


def amount(units: Any) -> str:
    """Return an amount of money as the wire gives it, or what no limit is called."""
    return "no limit" if units is None else f"{units:.2f}" if round(units, 2) == units else f"{units:.6f}".rstrip("0")
