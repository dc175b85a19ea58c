"""One approval as a person reads it before deciding: all that will happen, exactly, and nothing that steers a terminal.

Numbers are shown by the text they were sent with, and control characters are spelled out.
"""

import json
from collections.abc import Iterator
from typing import Any

import click

from haldir.faces.cli.remote import Json, Remote
from haldir.faces.cli.screen import amount, moment, plain, print_fields, print_table
from haldir.kernel.strict_json import Number

SIGNS = {"added": "+", "removed": "-", "changed": "~"}
SIDES = {"added": ("now",), "removed": ("was",), "changed": ("was", "now")}
UNCOMPARED = {
    "no_previous_call": "The agent has not called this tool before.",
    "not_kept": "What the agent's previous call came with was not kept.",
    "erased": "What the agent's previous call came with was erased.",
    "too_large": "The arguments are too large to compare with the previous call's.",
}


def exact(remote: Remote, path: str, **query: Any) -> Json:
    """Return the JSON of an answer, each number in it by its text."""
    found: Json = json.loads(b"".join(remote.download(path, **query)), parse_int=Number, parse_float=Number)
    return found


def print_approval(approval: Json) -> None:
    """Print an approval: who asks for what and why it is held, the arguments, and what is new about them."""
    print_fields(_fields(approval))
    for name in ("details", "params"):
        if approval[name] is not None:
            click.echo(_title(approval, name))
            for line in _spread(approval[name]):
                click.echo(f"  {plain(line)}")
    if approval["effect"] == "call" and approval["details"] is None:
        click.echo("The arguments were erased: nobody can see any more what this call does.")
    for line in _news(approval):
        click.echo(plain(line))


def print_history(answer: Json) -> None:
    """Print what became of an approval, and where the log says so."""
    steps = [
        (_moment(step["at"]), step["kind"], _party(step["by"], step["name"]), step["note"], step["entry_id"])
        for step in answer["history"]
    ]
    click.echo()
    print_table(("at", "step", "by", "note", "entry"), steps, empty="")


def line_of(approval: Json) -> str:
    """Return an approval in one line, for a log."""
    what = (approval["request_id"], approval["agent_id"], _what(approval), _price(approval), approval["reason"])
    return plain("  ".join(each for each in what if each))


def _fields(approval: Json) -> Iterator[tuple[str, Any]]:
    yield "approval", approval["request_id"]
    yield "status", _status(approval)
    yield "asks for", _what(approval)
    yield "price", _price(approval)
    yield "agent", f"{approval['agent_id']} in {' under '.join([approval['session_id'], *approval['parents']])}"
    yield "asked by", _party(approval["asked_by"], approval["asked_by_name"])
    yield "opened by", [_party(each["credential"], each["name"]) for each in approval["openers"]]
    yield "because", approval["reason"]
    if approval["rule"]:
        yield "rule", f"{approval['rule']['id']} ({approval['rule']['kind']})"
    for vote in approval["votes"]:
        yield "approved by", _said(vote["approved_by"], vote["claimed_by"], vote["note"], vote["timestamp"])
    if approval["status"] == "denied":
        by, at = _party(approval["decided_by"], approval["decided_by_name"]), approval["decided_at"]
        yield "denied by", _said(by, approval["claimed_by"], approval["decision_note"], at)
    if approval["used_by"]:
        yield "used by", f"{approval['used_by']} at {_moment(approval['used_at'])}"


def _status(approval: Json) -> str:
    missing = int(approval["approvers"].text) - len(approval["votes"])
    left = _span(int(approval["seconds_left"].text))
    match approval["status"]:
        case "pending":
            more = "a word" if missing == 1 else f"{missing} words"
            eyes = ", of others than those who had a part in it" if approval["four_eyes"] else ""
            return f"waits for {more}{eyes}; {left} left"
        case "approved" if not approval["used_by"]:
            return f"approved, not used; {left} left"
    return str(approval["status"])


def _what(approval: Json) -> str:
    tool = ".".join(each for each in (approval["upstream"], approval["tool"]) if each)
    return " ".join(each for each in (approval["action"], tool) if each) or approval["effect"]


def _price(approval: Json) -> str:
    return f"{amount(float(approval['amount'].text))} {approval['currency']}"


def _party(credential: str, name: str) -> str:
    return f"{credential} ({name})" if name else credential


def _said(by: str, claimed_by: str, note: str, at: Number | None) -> str:
    claim = f', who says to be "{claimed_by}"' if claimed_by else ""
    words = f': "{note}"' if note else ""
    return f"{by} at {_moment(at)}{claim}{words}"


def _title(approval: Json, name: str) -> str:
    return "arguments" if (name, approval["effect"]) == ("details", "call") else name


def _news(approval: Json) -> Iterator[str]:
    compared, found = approval["compared"], approval["changes"]
    if found is None:
        if said := UNCOMPARED.get(compared["state"]):
            yield said
        return
    made = f"{compared['call_id']} of {_moment(compared['admitted_at'])}"
    if not found:
        yield f"The same arguments as in the previous call, {made}."
        return
    yield f"new since the previous call, {made}"
    for change in found:
        values = " → ".join(_json(change[name]) for name in SIDES[change["kind"]])
        yield f"  {SIGNS[change['kind']]} {change['pointer'] or '/'}  {values}"
    if compared["more"]:
        yield "  and more"


def _spread(value: Any, depth: int = 0, name: str = "") -> Iterator[str]:
    """Yield JSON over lines, members and items one by one."""
    inset = "  " * depth + name
    if isinstance(value, dict) and value:
        yield f"{inset}{{"
        for member, each in value.items():
            yield from _spread(each, depth + 1, f"{_json(member)}: ")
        yield f"{'  ' * depth}}}"
    elif isinstance(value, list) and value:
        yield f"{inset}["
        for each in value:
            yield from _spread(each, depth + 1)
        yield f"{'  ' * depth}]"
    else:
        yield f"{inset}{_json(value)}"


def _json(value: Any) -> str:
    """Return JSON in one line, its characters as they are."""
    match value:
        case Number():
            return value.text
        case dict():
            return "{" + ", ".join(f"{_json(name)}: {_json(each)}" for name, each in value.items()) + "}"
        case list():
            return "[" + ", ".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


def _moment(at: Number | None) -> str:
    return moment(None if at is None else float(at.text))


def _span(seconds: int) -> str:
    """Return how long something lasts, in its two largest units."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    parts = [f"{count} {unit}" for count, unit in ((days, "d"), (hours, "h"), (minutes, "min"), (rest, "s")) if count]
    return " ".join(parts[:2]) or "no time"
