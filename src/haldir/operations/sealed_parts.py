"""What was sealed beside commands, opened again."""

from collections.abc import Iterable

from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.storage.rows import Part
from haldir.vault.seal import SealBroken


async def opened_parts(ctx: Context, tenant: TenantId, digests: Iterable[str]) -> dict[str, bytes]:
    """Return the bytes of these parts by digest, without those that were erased or cannot be opened any more."""
    wanted = sorted({digest for digest in digests if digest})
    if not wanted:
        return {}
    keys = await ctx.keyring.tenant(tenant)
    opened = {}
    for part in await ctx.store.load(tenant, Part, Part.TABLE.key, [(digest,) for digest in wanted]):
        assert isinstance(part, Part)
        try:
            opened[part.digest] = keys.open(part)
        except SealBroken:
            continue
    return opened
