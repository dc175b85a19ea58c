"""How one attempt is made: what an endpoint is told of an event, and the way it goes there, by HTTP or as a letter."""

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import msgspec

from haldir.kernel.clock import SECOND
from haldir.kernel.ids import TenantId
from haldir.operations.approval_links import links_for
from haldir.operations.context import Context
from haldir.operations.webhooks import HIDDEN, KnownWebhook, known_webhook, signing_secrets
from haldir.webhooks.events import Event
from haldir.webhooks.formats import Posted, body_of
from haldir.webhooks.mail_server import MAILTO, MailServer
from haldir.webhooks.message import Link, message_of
from haldir.webhooks.sent import Sent
from haldir.webhooks.signing import signed_headers

if TYPE_CHECKING:  # Only names here: the HTTP library is a third of a start, and a start needs none of it.
    from haldir.webhooks.postman import Postman
    from haldir.webhooks.sender import Sender


class Parcel(msgspec.Struct, frozen=True):
    """One event for one endpoint, which calls it `name`, at this attempt."""

    tenant: TenantId
    webhook_id: int
    event: Event
    name: str
    attempt: int


@final
class Carrier:
    """What all endpoints of a process are told through."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._sender: Sender | None = None
        self._postman: Postman | None = None

    async def send(self, parcel: Parcel) -> Sent:
        """Make one attempt."""
        known = await known_webhook(self._ctx, parcel.tenant, parcel.webhook_id)
        if known is None:
            return Sent(None, "The webhook was removed.")
        how = known.webhook.format
        if how == "email":
            return await self._write(known, parcel)
        return await self._post(known, parcel, how)

    async def close(self) -> None:
        if self._sender is not None:
            await self._sender.close()
        if self._postman is not None:
            self._postman.close()

    async def _post(self, known: KnownWebhook, parcel: Parcel, how: Posted) -> Sent:
        now, event = self._ctx.clock(), parcel.event
        links = await links_for(self._ctx, parcel.tenant, known.webhook, event)
        body = body_of(event, parcel.tenant, parcel.name, how, links)
        secrets = await signing_secrets(self._ctx, parcel.tenant, known.webhook, now)
        headers = signed_headers(event.id, body, now // SECOND, parcel.attempt, secrets)
        headers |= {"Content-Type": "application/json", "X-Haldir-Event": parcel.name}
        sent = await self._http().post(known.url, headers, body, now, allow_private=self._ctx.allow_private)
        return _without_links(sent, links)

    async def _write(self, known: KnownWebhook, parcel: Parcel) -> Sent:
        server = self._ctx.mail
        if server is None:
            return Sent(None, "The operator configured no mail server.", by="smtp")
        letters = importlib.import_module("haldir.webhooks.letter")
        links = await links_for(self._ctx, parcel.tenant, known.webhook, parcel.event)
        message = message_of(parcel.event, parcel.name, links)
        address = known.url.reveal().removeprefix(MAILTO)
        letter: bytes = letters.letter_of(message, server.sender, address, known.webhook.id, self._ctx.clock())
        return _without_links(await self._mail(server).send(address, letter), links)

    def _http(self) -> "Sender":
        if self._sender is None:
            made: Sender = importlib.import_module("haldir.webhooks.sender").Sender()
            self._sender = made
        return self._sender

    def _mail(self, server: MailServer) -> "Postman":
        if self._postman is None:
            made: Postman = importlib.import_module("haldir.webhooks.postman").Postman(server)
            self._postman = made
        return self._postman


def _without_links(sent: Sent, links: Sequence[Link]) -> Sent:
    """Hide links that decide in what the receiver answered: whoever reads the list of attempts may not decide."""
    excerpt = sent.excerpt
    for link in links:
        token = link.url.rpartition("/")[2]
        excerpt = excerpt.replace(token, HIDDEN) if link.style else excerpt
    return msgspec.structs.replace(sent, excerpt=excerpt)
