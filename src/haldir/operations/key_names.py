"""What people call the keys and webhooks that the log names by their first characters or by number."""

import asyncio
from collections.abc import Iterable

from haldir.gate.model import ApiKey
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.webhooks.model import Webhook

KEY, LINK = "key:", "link:"


async def key_names(ctx: Context, tenant: TenantId, credentials: Iterable[str]) -> dict[str, str]:
    """Return the names that their makers gave to those of the credentials (`kind:id`) that are keys or links."""
    named = set(credentials)
    prefixes = sorted({each.removeprefix(KEY) for each in named if each.startswith(KEY)})
    numbers = sorted({int(each.removeprefix(LINK)) for each in named if each.startswith(LINK)})
    keys, webhooks = await asyncio.gather(
        ctx.store.load(tenant, ApiKey, ApiKey.TABLE.key, [(prefix,) for prefix in prefixes]),
        ctx.store.load(tenant, Webhook, Webhook.TABLE.key, [(number,) for number in numbers]),
    )
    return {f"{KEY}{key.prefix}": key.name for key in keys if isinstance(key, ApiKey)} | {
        f"{LINK}{webhook.id}": webhook.name for webhook in webhooks if isinstance(webhook, Webhook)
    }
