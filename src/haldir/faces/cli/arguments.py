"""Arguments that more than one command takes, and how their text becomes JSON."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

EVERY_TOOL = "execute"
HELD = click.Choice(["auto", "plain", "stream", "input"])
HELD_HELP = "How an MCP call that waits for a person comes back: as the client can, or in this way. [auto]"
WHOLE_DIGITS_MAX = 13  # As the server takes them; keeps 1e999999999 from being spelled out.

F = TypeVar("F", bound=Callable[..., Any])


class Amount(click.ParamType[float]):
    """An amount of money in whole units of the currency, exact as typed."""

    name = "amount"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float | int:
        try:
            exact = Decimal(str(value))
        except InvalidOperation:
            self.fail(f"{value!r} is no amount.", param, ctx)
        if not exact.is_finite() or exact < 0 or exact.adjusted() >= WHOLE_DIGITS_MAX:
            self.fail(f"{value!r} is no amount.", param, ctx)
        if exact == exact.to_integral_value():
            return int(exact)
        if Decimal(repr(float(exact))) != exact:
            self.fail(f"{value!r} has more digits than JSON carries for everyone.", param, ctx)
        return float(exact)


class Seconds(click.ParamType[int]):
    """A length of time: a number of seconds, or of minutes, hours or days with m, h or d behind it."""

    name = "time"
    _UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        text = str(value)
        number, unit = (text[:-1], self._UNITS[text[-1]]) if text[-1:] in self._UNITS else (text, 1)
        if not (number.isascii() and number.isdecimal()):
            self.fail(f"{value!r} is no length of time; write 90, 15m, 8h or 2d.", param, ctx)
        return int(number) * unit


class Instant(click.ParamType[float]):
    """A point in time: Unix seconds, or ISO 8601, which is UTC unless it says otherwise."""

    name = "instant"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        text = str(value)
        if text.replace(".", "", 1).isdecimal() and text.isascii():
            return float(text)
        try:
            said = datetime.fromisoformat(text)
        except ValueError:
            self.fail(f"{value!r} is no point in time; write 2026-11-25T16:00:00 or Unix seconds.", param, ctx)
        return (said if said.tzinfo else said.replace(tzinfo=UTC)).timestamp()


class JsonFile(click.ParamType[dict[str, Any]]):
    """A file that holds one JSON object."""

    name = "file"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dict[str, Any]:
        try:
            document = json.loads(Path(value).read_bytes())
        except OSError as error:
            self.fail(f"{value} cannot be read: {error.strerror}.", param, ctx)
        except ValueError as error:
            self.fail(f"{value} is not JSON: {error}.", param, ctx)
        if not isinstance(document, dict):
            self.fail(f"{value} does not hold one JSON object.", param, ctx)
        return document


def template(command: F) -> F:
    """Add the options of what a session may do: its scopes, its budget and its life."""
    for option in (
        click.option("--ttl", type=Seconds(), help="How long a session lives: 90, 15m, 8h, 2d; 0 until revoked."),
        click.option("--budget", type=Amount(), help="What a session may spend, in USD."),
        click.option(
            "--scopes",
            multiple=True,
            help="What a session may do, such as execute:UPSTREAM:TOOL. [execute: every tool]",
        ),
    ):
        command = option(command)
    return command


def quoted(name: str) -> str:
    """Return a name as one part of a path."""
    return quote(name, safe="")


def listed(texts: tuple[str, ...]) -> list[str] | None:
    """Return the items of options that may be repeated or hold several, separated by commas; None for none."""
    return [part.strip() for text in texts for part in text.split(",") if part.strip()] or None


def given(**members: Any) -> dict[str, Any]:
    """Return a request body of what was given."""
    return {name: value for name, value in members.items() if value is not None}


def parse_member(text: str) -> tuple[str, Any]:
    """Read `NAME=VALUE`; the value is JSON if it reads as such, else it is text."""
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise click.BadParameter(f"{text!r} is not NAME=VALUE.")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
