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
    found = await ctx.store.load(tenant, Part, Part.TABLE.key, [(digest,) for digest in wanted])
    parts = [part for part in found if isinstance(part, Part)]
    keys = await ctx.keyring.opening(tenant, parts)
    opened = {}
    for part in parts:
        try:
            opened[part.digest] = keys.open(part)
        except SealBroken:
            continue
    return opened
