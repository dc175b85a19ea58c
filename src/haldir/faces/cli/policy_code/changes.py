"""What a change of policies does, as a person reads it before saying yes."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from haldir.faces.cli.remote import Json
from haldir.faces.cli.screen import plain

SIGNS = {"added": ("+", "green"), "changed": ("~", "yellow"), "removed": ("-", "red")}
KIND = "type"


def print_changes(answer: Json, *, gone_because: str) -> None:
    """Print each change and what they come to; `gone_because` says why a policy is removed."""
    for change in answer["changes"]:
        sign, colour = SIGNS[change["change"]]
        lines = [f"{sign} {change['policy_id']}", *(f"    {line}" for line in _lines(change, gone_because))]
        for line in lines:
            click.secho(plain(line), fg=colour)
    counted = Counter(change["change"] for change in answer["changes"])
    told = ", ".join(f"{counted[kind]} {kind}" for kind in SIGNS)
    click.echo(f"{told}, {answer['unchanged']} as they are.")


def _lines(change: Json, gone_because: str) -> Iterator[str]:
    before, after = change["before"], change["after"]
    if before is None:
        yield _spelled(after)
    elif after is None:
        yield f"{_spelled(before)} (removed: {gone_because})"
    elif before[KIND] != after[KIND]:
        yield f"{_spelled(before)} -> {_spelled(after)}"
    else:
        for name in {**before, **after}:
            if before.get(name) != after.get(name):
                yield f"{name}: {_value(before, name)} -> {_value(after, name)}"


def _spelled(definition: Json) -> str:
    members = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in definition.items() if name != KIND)
    return " ".join((definition[KIND], *members))


def _value(definition: Json, name: str) -> Any:
    return json.dumps(definition[name], ensure_ascii=False) if name in definition else "-"
