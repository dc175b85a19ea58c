"""Reads of the log: pages of it, places in time, and what verifying it looks at."""

from collections.abc import Sequence

from haldir.journal.proof import TileAt
from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader
from haldir.storage.rows import BUNDLE, Entry, Head, Tile
from haldir.watch.filter import END, EntryFilter, EntryPage, Span
from haldir.watch.model import ReportedSpend, Tally, TallyKind
from haldir.watch.reading import logged_entry, read_time

NEAR = 8  # Times the entries of a page: among so many there are mostly enough that fit.
SCANNED_MAX = 10_000  # Entries that one page looks at, however few of them are wanted: some milliseconds.

# For the first entry the entry before it would stand in slot -1, where there is none.
ENTRIES = """
SELECT entry.bundle, entry.slot, entry.leaf, (
  SELECT before.leaf FROM entry AS before
  WHERE before.tenant = entry.tenant
    AND before.bundle = (entry.bundle * 256 + entry.slot - 1) / 256
    AND before.slot = (entry.bundle * 256 + entry.slot - 1) % 256
), entry.body
FROM entry
WHERE entry.tenant = :tenant"""
PLACES = "SELECT entry.bundle, entry.slot FROM entry WHERE entry.tenant = :tenant"
WITHIN = """
  AND (entry.bundle, entry.slot) >= (:first_bundle, :first_slot)
  AND (entry.bundle, entry.slot) < (:end_bundle, :end_slot)"""
NEWEST_FIRST = "ORDER BY entry.bundle DESC, entry.slot DESC LIMIT :limit"
OLDEST_FIRST = "ORDER BY entry.bundle, entry.slot LIMIT :limit"

# What a page can be narrowed to, first what leaves the fewest entries. Each is spelled as its index has it.
INDEXED = {
    "session_id": "AND entry.session_id = :session_id AND entry.session_id <> ''",
    "flagged": "AND entry.flagged = 1",
    "refused": "AND entry.code <> ''",
    "agent_id": "AND entry.agent_id = :agent_id AND entry.agent_id <> ''",
    "tool": "AND entry.tool = :tool AND entry.tool <> ''",
    "kind": "AND entry.kind = :kind AND entry.kind <> ''",
    "listed": "AND entry.kind IN ('action.log', 'call.admit')",
}
# The same so that no index matches: the first condition has its index, the others look at what that finds.
FURTHER = {
    "refused": "AND entry.code || '' <> ''",
    "flagged": "AND entry.flagged + 0 = 1",
    "agent_id": "AND entry.agent_id || '' = :agent_id",
    "tool": "AND entry.tool || '' = :tool",
    "kind": "AND entry.kind || '' = :kind",
    "listed": "AND entry.kind || '' IN ('action.log', 'call.admit')",
    "allowed": "AND entry.code || '' = ''",
}

BODY_AT = "SELECT body FROM entry WHERE tenant = :tenant AND bundle = :bundle AND slot = :slot"

LAST_DAY = "9999-12-31"

DAYS = """
SELECT name, actions, refused, flagged, spent_micros FROM tally
WHERE tenant = :tenant AND kind = 'day' AND name >= :first AND name < :after ORDER BY name
"""
BUSIEST = """
SELECT name, actions FROM tally WHERE tenant = :tenant AND kind = :kind ORDER BY actions DESC, name LIMIT :limit
"""
BODIES = f"""
SELECT entry.body FROM entry WHERE entry.tenant = :tenant {WITHIN}
ORDER BY entry.bundle, entry.slot LIMIT :limit
"""
COUNT_OF_KIND = f"""
SELECT count(*) FROM entry WHERE entry.tenant = :tenant
{INDEXED["kind"]} AND entry.code || '' = '' {WITHIN}
"""
REPORTED = """
SELECT tool, cost_micros, actions FROM reported_spend WHERE tenant = :tenant AND holder = :holder
ORDER BY tool LIMIT :limit
"""

BEYOND = """
SELECT bundle, slot FROM entry WHERE tenant = :tenant AND (bundle, slot) >= (:bundle, :slot)
ORDER BY bundle, slot LIMIT 1
"""


async def find_entries(
    reader: Reader, tenant: TenantId, wanted: EntryFilter, span: Span, limit: int, *, oldest_first: bool = False
) -> EntryPage:
    """Return up to `limit` entries of a stretch, by default its newest, in bounded time however long the log is.

    Where several conditions meet, a page ends after SCANNED_MAX entries of the first one, even without any entry.
    """
    names = wanted.conditions
    driving = [INDEXED[name] for name in names[:1] if name in INDEXED]
    further = [FURTHER[name] for name in names[len(driving) :]]
    order = OLDEST_FIRST if oldest_first else NEWEST_FIRST
    sql = "\n".join([ENTRIES, *driving, *further, WITHIN, order])
    places = "\n".join([PLACES, *driving, WITHIN, order, "OFFSET :offset"])

    async def page_of(looked_at: Span) -> EntryPage:
        found = await reader.fetch(sql, tenant=tenant, limit=limit, **_bounds(looked_at), **wanted.values_of(*names))
        entries = [logged_entry(*row) for row in found]
        if len(entries) == limit:
            looked_at = looked_at.as_far_as(entries[-1].index, oldest_first=oldest_first)
        return EntryPage(entries, span.beyond(looked_at, oldest_first=oldest_first))

    if not further:
        return await page_of(span)
    page, values = EntryPage([], None), wanted.values_of(names[0])
    for reach in (min(limit * NEAR, SCANNED_MAX), SCANNED_MAX):
        near = await _within(reader, tenant, places, span, reach, values=values, oldest_first=oldest_first)
        if near is None:
            break
        page = await page_of(near)
        if len(page.entries) == limit:  # As most are: then nobody has to look further.
            break
    return page


async def _within(
    reader: Reader, tenant: TenantId, places: str, span: Span, reach: int, *, values: dict[str, str], oldest_first: bool
) -> Span | None:
    """Return the stretch of the next `reach` entries of one index; None if there are none."""
    edges = []
    for offset in (0, reach - 1):
        found = await reader.fetch(places, tenant=tenant, limit=1, offset=offset, **_bounds(span), **values)
        edges += [bundle * BUNDLE + slot for bundle, slot in found]
    if not edges:
        return None
    from_nearest = Span(edges[0], span.end) if oldest_first else Span(span.first, edges[0] + 1)
    return from_nearest.as_far_as(edges[1], oldest_first=oldest_first) if len(edges) > 1 else from_nearest


def _bounds(span: Span) -> dict[str, int]:
    (first_bundle, first_slot), (end_bundle, end_slot) = divmod(span.first, BUNDLE), divmod(span.end, BUNDLE)
    return {"first_bundle": first_bundle, "first_slot": first_slot, "end_bundle": end_bundle, "end_slot": end_slot}


async def span_of(reader: Reader, tenant: TenantId, since: Micros | None, until: Micros | None) -> Span:
    """Return the entries from `since` on and before `until`, where those are given."""
    if since is None and until is None:
        return Span()
    head = await read_head(reader, tenant)
    first = 0 if since is None else await first_index_at(reader, tenant, head.size, since)
    end = END if until is None else await first_index_at(reader, tenant, head.size, until)
    return Span(first, end)


async def first_index_at(reader: Reader, tenant: TenantId, size: int, at: Micros) -> int:
    """Return the index of the first of `size` entries that is not older than `at`, or `size`.

    Found by halving: entries are in time order, so the log needs no index by time.
    """
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        bundle, slot = divmod(middle, BUNDLE)
        found = await reader.fetch(BODY_AT, tenant=tenant, bundle=bundle, slot=slot)
        if found and read_time(found[0][0]) >= at:
            high = middle
        else:
            low = middle + 1
    return low


async def days_between(reader: Reader, tenant: TenantId, first: str, after: str) -> list[Tally]:
    """Return the tallies of the days from `first` up to, not including, `after`, as ISO 8601 dates, in order."""
    found = await reader.fetch(DAYS, tenant=tenant, first=first, after=after)
    return [Tally("day", *values) for values in found]


async def all_days(reader: Reader, tenant: TenantId) -> Tally:
    """Return the tallies of all days as one."""
    days = await days_between(reader, tenant, "", LAST_DAY)
    return Tally(
        "day",
        "",
        sum(day.actions for day in days),
        sum(day.refused for day in days),
        sum(day.flagged for day in days),
        sum(day.spent_micros for day in days),
    )


async def busiest(reader: Reader, tenant: TenantId, kind: TallyKind, limit: int) -> dict[str, int]:
    """Return which agents or tools did most, and how much, the busiest first."""
    return dict(await reader.fetch(BUSIEST, tenant=tenant, kind=kind, limit=limit))


async def read_bodies(reader: Reader, tenant: TenantId, span: Span, limit: int) -> list[bytes]:
    """Return up to `limit` entries of a stretch, oldest first, as they stand in the log."""
    found = await reader.fetch(BODIES, tenant=tenant, limit=limit, **_bounds(span))
    return [body for (body,) in found]


async def count_allowed(reader: Reader, tenant: TenantId, kind: str, span: Span) -> int:
    """Count the commands of a kind that were allowed; for kinds that are rare."""
    found = await reader.fetch(COUNT_OF_KIND, tenant=tenant, kind=kind, **_bounds(span))
    return int(found[0][0])


async def reported_spend(reader: Reader, tenant: TenantId, holder: str, limit: int) -> list[ReportedSpend]:
    """Return a holder's totals, by tool in order: first everything, then up to `limit` tools."""
    found = await reader.fetch(REPORTED, tenant=tenant, holder=holder, limit=limit + 1)
    return [ReportedSpend(holder, *row) for row in found]


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
