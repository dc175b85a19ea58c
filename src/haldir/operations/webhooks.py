"""Endpoints with what is sealed of them: where they are, and what deliveries are signed with."""

from urllib.parse import urlsplit, urlunsplit

import msgspec

from haldir.kernel.clock import Micros
from haldir.kernel.ids import OpId, TenantId
from haldir.kernel.secret import Secret
from haldir.operations.context import Context
from haldir.operations.living import all_rows, find_row
from haldir.operations.sealed_parts import opened_parts
from haldir.storage.rows import Part
from haldir.vault.seal import SealBroken
from haldir.webhooks.mail_server import MAILTO
from haldir.webhooks.model import Webhook
from haldir.webhooks.signing import secret_from

URL_LABEL, SECRET_LABEL = "webhook.url", "webhook.secret"
TOKEN_CHARS = 20  # A segment of a path this long is rather a token than a word.
HIDDEN = "***"


class KnownWebhook(msgspec.Struct, frozen=True):
    """An endpoint and its URL, which may hold a token."""

    webhook: Webhook
    url: Secret[str]


async def webhooks_of(ctx: Context, tenant: TenantId) -> list[KnownWebhook]:
    """Return the tenant's endpoints by id."""
    rows = sorted(await all_rows(ctx, tenant, Webhook), key=lambda row: row.id)
    opened = await opened_parts(ctx, tenant, [row.url_digest for row in rows])
    return [_known(row, opened) for row in rows]


async def known_webhook(ctx: Context, tenant: TenantId, webhook_id: int) -> KnownWebhook | None:
    """Return one endpoint as it is stored now."""
    row = await find_row(ctx, tenant, Webhook, webhook_id)
    return _known(row, await opened_parts(ctx, tenant, [row.url_digest])) if row else None


async def signing_secrets(ctx: Context, tenant: TenantId, webhook: Webhook, now: Micros) -> list[Secret[str]]:
    """Return what to sign with, the present secret first. Raises SealBroken: nothing may go out unsigned."""
    digests = webhook.secret_digests(now)
    opened = await opened_parts(ctx, tenant, digests)
    if missing := next((digest for digest in digests if digest not in opened), None):
        raise SealBroken(f"The secret {missing} of the webhook {webhook.id} cannot be opened.")
    return [Secret(opened[digest].decode()) for digest in digests]


async def new_secret(ctx: Context, tenant: TenantId, op_id: OpId) -> tuple[Secret[str], Part]:
    """Return the secret that `op_id` makes, the same each time, and its sealed part."""
    secret = secret_from(ctx.keyring.mint("whsec", op_id))
    return secret, (await ctx.keyring.tenant(tenant)).seal(secret.reveal().encode(), SECRET_LABEL)


async def sealed_url(ctx: Context, tenant: TenantId, op_id: OpId, url: Secret[str]) -> Part:
    """Seal the URL of an endpoint; each has a part of its own, so that it can be erased with it."""
    return (await ctx.keyring.tenant(tenant)).seal(f"{op_id} {url.reveal()}".encode(), URL_LABEL)


def shown_url(url: Secret[str]) -> str:
    """Return a URL as lists show it: long segments of its path and its query hidden, for they may be tokens."""
    if url.reveal().startswith(MAILTO):
        return url.reveal()
    parts = urlsplit(url.reveal())
    path = "/".join(HIDDEN if len(segment) >= TOKEN_CHARS else segment for segment in parts.path.split("/"))
    return urlunsplit((parts.scheme, parts.netloc, path, HIDDEN if parts.query else "", ""))


def _known(row: Webhook, opened: dict[str, bytes]) -> KnownWebhook:
    """Return an endpoint with its URL, which is empty if it was erased just now."""
    return KnownWebhook(row, Secret(opened.get(row.url_digest, b"").decode().partition(" ")[2]))
