"""What an event is to a person: a title of ours, and facts that others may have named, cleaned and bounded. Pure.

Slack, Teams and letters put the same message in their own shape; each escapes the values in its own way.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from haldir.kernel.clock import iso_text
from haldir.kernel.money import CURRENCY, MICROS, format_amount
from haldir.webhooks.events import Event
from haldir.webhooks.samples import TEST

TITLE_CHARS_MAX = 100  # Slack's header takes 150.
VALUE_CHARS_MAX = 300  # Of one fact; escaped it is at most 1,500, and a field of Slack's takes 2,000.
SUMMARY_CHARS_MAX = 300  # What a notification shows.
FACTS_MAX = 10  # As many as a section of Slack's takes.
CUT = "…"

Style = Literal["", "primary", "danger"]

TITLES = {
    "agent_revoked": "An agent was revoked",
    "anomaly": "Something out of the ordinary",
    "approval_decided": "A request was decided",
    "approval_expired": "A request was not decided or used in time",
    "approval_requested": "A request waits for approval",
    "budget_exhausted": "A budget is spent",
    "budget_threshold": "A budget is running out",
    "flagged": "Something out of the ordinary",
    "key_created": "An API key was made",
    "key_revoked": "An API key was revoked",
    "policy_changed": "A policy changed",
    "session_revoked": "A session was revoked",
    "upstream_quarantined": "Tools changed and wait for a person",
    "upstream_recovered": "An upstream answers again",
    "upstream_unhealthy": "An upstream does not answer",
    "webhook_disabled": "A webhook was disabled",
}

# Fields of events that a person is told, in this order; whatever else an event has is for programs.
LABELS = {
    "agent_id": "Agent",
    "upstream": "Upstream",
    "tool": "Tool",
    "tools": "Tools",
    "action": "Action",
    "amount": "Amount",
    "decision": "Decision",
    "change": "Change",
    "policy_id": "Policy",
    "policy_kind": "Kind",
    "rule_id": "Rule",
    "rule_kind": "Kind of rule",
    "four_eyes": "Four eyes",
    "subject": "About",
    "webhook_id": "Webhook",
    "name": "Name",
    "prefix": "Key",
    "reason": "Reason",
    "message": "Message",
    "request_id": "Approval",
    "session_id": "Session",
}
NAMED_IN_SUMMARY = ("agent_id", "upstream", "tool", "action", "amount", "change", "reason")
SAY_WHY = frozenset({"approval_requested"})  # Titles that say it already.


class Fact(msgspec.Struct, frozen=True):
    """Something to know. The label is ours, the value may be anybody's: clean, but not escaped."""

    label: str
    value: str


class Link(msgspec.Struct, frozen=True):
    """Somewhere to go on. The label is ours, and so is the URL."""

    label: str
    url: str
    style: Style = ""


class Message(msgspec.Struct, frozen=True):
    """One event in words. `title` is ours; `summary`, values and `footer` may have words of others in them."""

    kind: str
    event_id: str
    title: str
    summary: str
    facts: tuple[Fact, ...]
    links: tuple[Link, ...]
    footer: str


def message_of(event: Event, name: str, links: Sequence[Link] = ()) -> Message:
    """Return an event in words; `name` is what the endpoint calls it."""
    title = TITLES.get(name) or clean(name.replace("_", " ").capitalize(), TITLE_CHARS_MAX)
    if event.fields.get(TEST):
        title = f"Test: {title}"
    naming = NAMED_IN_SUMMARY[:-1] if name in SAY_WHY else NAMED_IN_SUMMARY
    named = [_said(field, event.fields[field]) for field in naming if event.fields.get(field)]
    footer = f"{event.id} · {iso_text(event.at)[:19].replace('T', ' ')} UTC · {event.fields.get('asked_by', '')}"
    return Message(
        kind=name,
        event_id=event.id,
        title=title,
        summary=clean(": ".join([title, *([" · ".join(named)] if named else [])]), SUMMARY_CHARS_MAX),
        facts=tuple(_facts(event.fields))[:FACTS_MAX],
        links=tuple(links),
        footer=clean(footer, VALUE_CHARS_MAX),
    )


def clean(text: str, chars_max: int) -> str:
    """Return text in one line, without characters that are not seen or turn others around, and not too long."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text).split())
    return line if len(line) <= chars_max else line[: chars_max - 1] + CUT


def _facts(fields: dict[str, Any]) -> Iterator[Fact]:
    for field, label in LABELS.items():
        value = fields.get(field)
        if value or value is False:
            yield Fact(label, clean(_said(field, value), VALUE_CHARS_MAX))


def _said(field: str, value: Any) -> str:
    if field == "amount":
        return f"{format_amount(round(value * MICROS))} {CURRENCY}"
    if isinstance(value, bool):
        return "on" if value else "off"
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
