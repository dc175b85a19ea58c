"""A message as Teams takes it: an Adaptive Card in an envelope, which is what its Workflows expect. Pure.

Values stand in text runs, the one element in which an Adaptive Card reads no Markdown and no `{{DATE(…)}}`: so they
are shown as they are on every client, and whoever names an agent or a tool cannot write a link.
"""

from typing import Any

from haldir.webhooks.message import Fact, Link, Message

CARD_TYPE = "application/vnd.microsoft.card.adaptive"
CARD_VERSION = "1.4"  # The newest that Teams' mobile clients and Workflows both show.
SCHEMA = "http://adaptivecards.io/schemas/adaptive-card.json"
BUTTONS_MAX = 6  # As many as a card shows.
STYLES = {"primary": "positive", "danger": "destructive"}

Element = dict[str, Any]


def teams_message(message: Message) -> Element:
    """Return the JSON of a message."""
    card = {
        "type": "AdaptiveCard",
        "$schema": SCHEMA,
        "version": CARD_VERSION,
        "fallbackText": message.title,
        "msteams": {"width": "Full"},
        "body": [_title(message.title), *map(_fact, message.facts), _footer(message.footer)],
        "actions": [_action(link) for link in message.links[:BUTTONS_MAX]],
    }
    return {"type": "message", "attachments": [{"contentType": CARD_TYPE, "contentUrl": None, "content": card}]}


def _title(text: str) -> Element:
    return {"type": "TextBlock", "text": text, "size": "Large", "weight": "Bolder", "wrap": True}


def _fact(fact: Fact) -> Element:
    return _line(_run(f"{fact.label}: ", weight="Bolder"), _run(fact.value), spacing="Small")


def _footer(text: str) -> Element:
    return _line(_run(text, isSubtle=True, size="Small"), spacing="Medium")


def _line(*runs: Element, spacing: str) -> Element:
    return {"type": "RichTextBlock", "inlines": list(runs), "spacing": spacing}


def _run(text: str, **looks: Any) -> Element:
    return {"type": "TextRun", "text": text, **looks}


def _action(link: Link) -> Element:
    style = {"style": STYLES[link.style]} if link.style else {}
    return {"type": "Action.OpenUrl", "title": link.label, "url": link.url, **style}
