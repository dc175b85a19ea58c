"""A message as a letter (RFC 5322): text, and the same as simple HTML. Pure.

Its Message-ID is that of the event and the endpoint, so that a mailbox recognises a letter that comes again.
"""

import html
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from haldir.kernel.clock import Micros, moment
from haldir.webhooks.mail_server import domain_of
from haldir.webhooks.message import SUMMARY_CHARS_MAX, Message, clean

FROM_NAME = "Haldir"
STYLE = "th{text-align:left;vertical-align:top;padding-right:1em}"
TRANSFER = "quoted-printable"  # 7 bits on the way, so that every server takes it.


def letter_of(message: Message, sender: str, address: str, webhook_id: int, now: Micros) -> bytes:
    """Return a letter, ready to be sent."""
    letter = EmailMessage(policy=SMTP)
    letter["From"] = Address(FROM_NAME, addr_spec=sender)
    letter["To"] = Address(addr_spec=address)
    letter["Subject"] = clean(f"[Haldir] {message.summary}", SUMMARY_CHARS_MAX)
    letter["Date"] = format_datetime(moment(now))
    letter["Message-ID"] = f"<{message.event_id}.{webhook_id}@{domain_of(sender)}>"
    letter["Auto-Submitted"] = "auto-generated"  # RFC 3834 §5: no vacation notice answers it.
    letter["X-Haldir-Event"] = message.kind
    letter["X-Haldir-Webhook-Id"] = message.event_id
    letter.set_content(_text(message), cte=TRANSFER)
    letter.add_alternative(_html(message), subtype="html", cte=TRANSFER)
    letter.set_boundary(f"={message.event_id}=")  # `=` and `_` never stand like this in quoted-printable.
    return letter.as_bytes()


def _text(message: Message) -> str:
    facts = [f"{fact.label}: {fact.value}" for fact in message.facts]
    links = [f"{link.label}: {link.url}" for link in message.links]
    return "\n".join([message.title, "", *facts, *(["", *links] if links else []), "", message.footer, ""])


def _html(message: Message) -> str:
    facts = "".join(f"<tr><th>{_safe(fact.label)}</th><td>{_safe(fact.value)}</td></tr>" for fact in message.facts)
    links = " &nbsp; ".join(f'<a href="{_safe(link.url)}">{_safe(link.label)}</a>' for link in message.links)
    return (
        f'<!doctype html><html><head><meta charset="utf-8"><style>{STYLE}</style></head><body>'
        f"<h2>{_safe(message.title)}</h2><table>{facts}</table>"
        f"<p>{links}</p><p><small>{_safe(message.footer)}</small></p></body></html>\n"
    )


def _safe(text: str) -> str:
    return html.escape(text, quote=True)
