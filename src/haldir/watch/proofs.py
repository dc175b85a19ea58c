"""Proofs out of the stored tiles: that an entry is in the log, and that the log only ever grew."""

import functools

import msgspec

from haldir.journal.proof import Plan, consistency_plan, inclusion_plan, root_plan
from haldir.journal.tiles import read_tiles
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader
from haldir.storage.rows import BUNDLE, Entry


class Inclusion(msgspec.Struct, frozen=True):
    """The entry's bytes and hash, and the hashes that lead from it to the root of so many entries."""

    body: bytes
    leaf: bytes
    root: bytes
    path: list[bytes]


class Consistency(msgspec.Struct, frozen=True):
    """Two roots of a log, and the hashes that show the second to have grown out of the first."""

    first_root: bytes
    second_root: bytes
    path: list[bytes]


async def inclusion(reader: Reader, tenant: TenantId, index: int, size: int) -> Inclusion | None:
    """Prove that the entry at `index` is among the first `size`; None if it is not stored."""
    for row in await reader.load(tenant, Entry, Entry.TABLE.key, [divmod(index, BUNDLE)]):
        assert isinstance(row, Entry)
        (root,) = await _hashes(reader, tenant, root_plan(size))
        return Inclusion(row.body, row.leaf, root, await _hashes(reader, tenant, inclusion_plan(index, size)))
    return None


async def consistency(reader: Reader, tenant: TenantId, first: int, second: int) -> Consistency:
    """Prove that the first `second` entries begin with the first `first`; neither is beyond the log's size."""
    roots = [await _hashes(reader, tenant, root_plan(size)) for size in (first, second)]
    path = await _hashes(reader, tenant, consistency_plan(first, second))
    return Consistency(roots[0][0], roots[1][0], path)


async def _hashes(reader: Reader, tenant: TenantId, plan: Plan) -> list[bytes]:
    return plan.hashes(await read_tiles(functools.partial(reader.load, tenant), plan.tiles))
