"""A message as Slack's incoming webhooks take it: blocks, and text for notifications. Pure.

Values stand in code spans, where Slack formats nothing and makes no links, with its three control characters escaped:
so whoever names an agent or a tool cannot write a mention, a link or a word of ours.
"""

from typing import Any

from haldir.webhooks.message import Fact, Link, Message

BUTTONS_MAX = 5  # More than three side by side wrap on a phone; Slack itself takes 25.
URL_CHARS_MAX = 3000  # Of a button; a longer URL would have Slack refuse the whole message.

Block = dict[str, Any]


def slack_message(message: Message) -> Block:
    """Return the JSON of a message."""
    blocks: list[Block] = [{"type": "header", "text": _plain(message.title)}]
    if message.facts:
        blocks.append({"type": "section", "fields": [_field(fact) for fact in message.facts]})
    if buttons := [_button(link, number) for number, link in enumerate(message.links) if _fits(link)]:
        blocks.append({"type": "actions", "elements": buttons[:BUTTONS_MAX]})
    blocks.append({"type": "context", "elements": [_plain(message.footer)]})
    return {
        "text": escaped(message.summary),
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": blocks,
    }


def escaped(text: str) -> str:
    """Return text without Slack's control characters."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": escaped(text), "emoji": False}


def _field(fact: Fact) -> Block:
    value = escaped(fact.value.replace("`", "'"))
    return {"type": "mrkdwn", "text": f"*{fact.label}*\n`{value}`", "verbatim": True}


def _button(link: Link, number: int) -> Block:
    style = {"style": link.style} if link.style else {}
    return {"type": "button", "text": _plain(link.label), "url": link.url, "action_id": f"open_{number}", **style}


def _fits(link: Link) -> bool:
    return len(link.url) <= URL_CHARS_MAX
