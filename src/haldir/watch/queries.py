"""Reads of the log: pages of it newest first, and what verifying it looks at."""

from collections.abc import Sequence

import msgspec

from haldir.journal.proof import TileAt
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader
from haldir.storage.rows import BUNDLE, Entry, Head, Tile
from haldir.watch.reading import LoggedEntry, logged_entry

EVERY_KIND = "all"
END = 2**63 - 1  # Above the index of any entry.

# For the first entry the entry before it would stand in slot -1, where there is none.
ENTRIES = """
SELECT entry.bundle, entry.slot, entry.leaf, (
  SELECT before.leaf FROM entry AS before
  WHERE before.tenant = entry.tenant
    AND before.bundle = (entry.bundle * 256 + entry.slot - 1) / 256
    AND before.slot = (entry.bundle * 256 + entry.slot - 1) % 256
), entry.body
FROM entry
WHERE entry.tenant = :tenant AND (entry.bundle, entry.slot) < (:bundle, :slot)"""
LISTED = "AND entry.kind IN ('action.log', 'call.admit')"  # As the partial indexes spell it.
OF_KIND = "AND entry.kind = :kind"
OF_SESSION = "AND entry.session_id = :session_id AND entry.session_id <> ''"  # As above.
OF_AGENT = "AND entry.agent_id = :agent_id AND entry.agent_id <> ''"
OF_TOOL = "AND entry.tool = :tool"
NEWEST_FIRST = "ORDER BY entry.bundle DESC, entry.slot DESC LIMIT :limit"

BEYOND = """
SELECT bundle, slot FROM entry WHERE tenant = :tenant AND (bundle, slot) >= (:bundle, :slot)
ORDER BY bundle, slot LIMIT 1
"""


class EntryFilter(msgspec.Struct, frozen=True):
    """Which entries are wanted; "" is any. `kind` "" is what GET /v1/audit lists by default."""

    kind: str = ""
    session_id: str = ""
    agent_id: str = ""
    tool: str = ""


async def newest_entries(
    reader: Reader, tenant: TenantId, wanted: EntryFilter, before: int, limit: int
) -> list[LoggedEntry]:
    """Return up to `limit` entries whose index is below `before`, newest first."""
    conditions = [] if wanted.kind else [LISTED]
    params: dict[str, str] = {}
    for name, value, condition in (
        ("kind", wanted.kind, OF_KIND),
        ("session_id", wanted.session_id, OF_SESSION),
        ("agent_id", wanted.agent_id, OF_AGENT),
        ("tool", wanted.tool, OF_TOOL),
    ):
        if value and (name, value) != ("kind", EVERY_KIND):
            conditions.append(condition)
            params[name] = value
    sql = "\n".join([ENTRIES, *conditions, NEWEST_FIRST])
    bundle, slot = divmod(before, BUNDLE)
    found = await reader.fetch(sql, tenant=tenant, bundle=bundle, slot=slot, limit=limit, **params)
    return [logged_entry(*row) for row in found]


async def read_head(reader: Reader, tenant: TenantId) -> Head:
    """Return the log's head as committed."""
    for row in await reader.load(tenant, Head, (), [()]):
        assert isinstance(row, Head)
        return row
    return Head()


async def read_bundle(reader: Reader, tenant: TenantId, bundle: int) -> list[Entry]:
    """Return a bundle's entries in order."""
    found = await reader.load(tenant, Entry, ("bundle",), [(bundle,)])
    return sorted((row for row in found if isinstance(row, Entry)), key=lambda row: row.slot)


async def stored_tiles(reader: Reader, tenant: TenantId, keys: Sequence[TileAt]) -> dict[TileAt, bytes]:
    """Return the stored tiles by (level, n)."""
    found = await reader.load(tenant, Tile, ("level", "n"), keys) if keys else ()
    return {TileAt(row.level, row.n): row.hashes for row in found if isinstance(row, Tile)}


async def first_beyond(reader: Reader, tenant: TenantId, size: int) -> int | None:
    """Return the index of the first entry that a log of `size` entries does not have, if one is stored."""
    bundle, slot = divmod(size, BUNDLE)
    found = await reader.fetch(BEYOND, tenant=tenant, bundle=bundle, slot=slot)
    return found[0][0] * BUNDLE + found[0][1] if found else None
