"""Endpoints with what is sealed of them: where they are, and what deliveries are signed with."""

from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

import msgspec

from haldir.kernel.clock import Micros
from haldir.kernel.ids import OpId, TenantId
from haldir.kernel.secret import Secret
from haldir.operations.context import Context
from haldir.operations.living import all_rows, find_row
from haldir.storage.rows import Part
from haldir.vault.seal import SealBroken
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
    urls = await _opened(ctx, tenant, [row.url_digest for row in rows])
    return [KnownWebhook(row, urls[row.url_digest]) for row in rows]


async def known_webhook(ctx: Context, tenant: TenantId, webhook_id: int) -> KnownWebhook | None:
    """Return one endpoint as it is stored now."""
    row = await find_row(ctx, tenant, Webhook, webhook_id)
    return KnownWebhook(row, (await _opened(ctx, tenant, [row.url_digest]))[row.url_digest]) if row else None


async def signing_secrets(ctx: Context, tenant: TenantId, webhook: Webhook, now: Micros) -> list[Secret[str]]:
    """Return what to sign with, the present secret first."""
    digests = webhook.secret_digests(now)
    opened = await _opened(ctx, tenant, digests)
    return [opened[digest] for digest in digests]


async def new_secret(ctx: Context, tenant: TenantId, op_id: OpId) -> tuple[Secret[str], Part]:
    """Return the secret that `op_id` makes, the same each time, and its sealed part."""
    secret = secret_from(ctx.keyring.mint("whsec", op_id))
    return secret, await sealed(ctx, tenant, secret, SECRET_LABEL)


async def sealed(ctx: Context, tenant: TenantId, text: Secret[str], label: str) -> Part:
    return (await ctx.keyring.tenant(tenant)).seal(text.reveal().encode(), label)


def shown_url(url: Secret[str]) -> str:
    """Return a URL as lists show it: long segments of its path and its query hidden, for they may be tokens."""
    parts = urlsplit(url.reveal())
    path = "/".join(HIDDEN if len(segment) >= TOKEN_CHARS else segment for segment in parts.path.split("/"))
    return urlunsplit((parts.scheme, parts.netloc, path, HIDDEN if parts.query else "", ""))


async def _opened(ctx: Context, tenant: TenantId, digests: Iterable[str]) -> dict[str, Secret[str]]:
    """Return what was sealed, by digest. Raises SealBroken."""
    wanted = list(dict.fromkeys(digests))
    found = {
        part.digest: part
        for part in await ctx.store.load(tenant, Part, ("digest",), [(each,) for each in wanted])
        if isinstance(part, Part)
    }
    if missing := next((digest for digest in wanted if digest not in found), None):
        raise SealBroken(f"The part {missing} of a webhook is not in the database.")
    keys = await ctx.keyring.opening(tenant, found.values())
    return {digest: Secret(keys.open(part).decode()) for digest, part in found.items()}
