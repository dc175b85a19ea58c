"""What people call the keys that the log names by their first characters."""

from collections.abc import Iterable

from haldir.gate.model import ApiKey
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context

KEY = "key:"


async def key_names(ctx: Context, tenant: TenantId, credentials: Iterable[str]) -> dict[str, str]:
    """Return the names that their makers gave to those of the credentials (`kind:id`) that are API keys."""
    prefixes = sorted({each.removeprefix(KEY) for each in credentials if each.startswith(KEY)})
    wanted = [(prefix,) for prefix in prefixes]
    found = await ctx.store.load(tenant, ApiKey, ApiKey.TABLE.key, wanted) if wanted else ()
    return {f"{KEY}{key.prefix}": key.name for key in found if isinstance(key, ApiKey)}
