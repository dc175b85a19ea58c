"""The log as files: JSONL and CSV, made page by page, the same bytes each time the same is asked."""

import csv
import functools
import io
from collections.abc import AsyncGenerator, Iterable, Sequence

import msgspec

from haldir.journal.tiles import read_root
from haldir.kernel.clock import iso_text
from haldir.kernel.ids import TenantId
from haldir.operations.audit_pages import EntryShown, shown_entries
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.living import require_alive
from haldir.operations.wire import Moment
from haldir.watch.filter import EntryFilter, Span
from haldir.watch.manifest import Extent, ManifestBuilder
from haldir.watch.queries import find_entries, read_head, span_of
from haldir.watch.reading import LoggedEntry

PAGE = 256  # Entries in memory at once: half a megabyte as a rule, 20 at the very most.

CSV_COLUMNS = (
    "entry_id",
    "timestamp",
    "timestamp_iso",
    "tenant_id",
    "session_id",
    "agent_id",
    "tool",
    "action",
    "cost_usd",
    "flagged",
    "flag_reason",
    "details_json",
    "prev_hash",
    "entry_hash",
)
# A cell that begins like this would be a formula to a spreadsheet, or be taken for one that was guarded already.
GUARDED = ("=", "+", "-", "@", "\t", "\r", "\n", "'")

Shown = Sequence[tuple[LoggedEntry, EntryShown]]


class Export(msgspec.Struct, frozen=True):
    """What is to be exported: which entries, out of which stretch of the log."""

    wanted: EntryFilter
    span: Span
    extent: Extent


async def planned(
    ctx: Context, tenant: TenantId, wanted: EntryFilter, since: Moment | None, until: Moment | None
) -> Export:
    """Fix what an export will hold: the log may grow meanwhile, the export does not."""
    head = await read_head(ctx.store, tenant)
    period = await span_of(ctx.store, tenant, since, until)
    size = min(period.end, head.size)
    root = await read_root(functools.partial(ctx.store.load, tenant), size)
    over = until is not None and until <= ctx.clock()
    as_of = until if until is not None and over else head.written_at
    given = {"since": since, "until": until}
    filters = wanted.named | {name: iso_text(at) for name, at in given.items() if at is not None}
    return Export(wanted, Span(min(period.first, size), size), Extent(tenant, size, root, filters, as_of))


async def jsonl_lines(ctx: Context, caller: Caller, export: Export) -> AsyncGenerator[bytes, None]:
    """Yield one JSON object a line: the entries, oldest first, and at last the manifest."""
    builder = ManifestBuilder()
    async for shown in _pages(ctx, caller, export):
        for entry, _ in shown:
            builder.add(entry)
        yield b"".join(_line(_exported(caller.tenant, *each)) for each in shown)
    yield _line(builder.manifest(export.extent))


async def csv_lines(ctx: Context, caller: Caller, export: Export) -> AsyncGenerator[bytes, None]:
    """Yield the entries, oldest first, under a line of column names."""
    yield _csv([CSV_COLUMNS])
    async for shown in _pages(ctx, caller, export):
        yield _csv(_cells(caller.tenant, entry, row) for entry, row in shown)


async def manifest_builder(ctx: Context, caller: Caller, export: Export) -> ManifestBuilder:
    """Take in what an export holds, without making it."""
    builder = ManifestBuilder()
    async for entries in _entries(ctx, caller, export):
        for entry in entries:
            builder.add(entry)
    return builder


class ExportedEntry(EntryShown, frozen=True):
    """One line. `record` is the entry as it stands in the log: the SHA-256 of a zero byte and it is `entry_hash`."""

    tenant_id: str
    record: str


def _exported(tenant: TenantId, entry: LoggedEntry, shown: EntryShown) -> ExportedEntry:
    return ExportedEntry(**msgspec.structs.asdict(shown), tenant_id=tenant, record=entry.body.decode())


async def _pages(ctx: Context, caller: Caller, export: Export) -> AsyncGenerator[Shown, None]:
    async for entries in _entries(ctx, caller, export):
        left: Sequence[LoggedEntry] = entries
        while left:
            shown = await shown_entries(ctx, caller.tenant, left)
            yield list(zip(left, shown, strict=False))
            left = left[len(shown) :]


async def _entries(ctx: Context, caller: Caller, export: Export) -> AsyncGenerator[list[LoggedEntry], None]:
    """Yield the entries in pages for as long as the credential that asked for them counts."""
    rest: Span | None = export.span
    while rest is not None and rest.first < rest.end:
        await require_alive(ctx, caller, "export_audit")
        page = await find_entries(ctx.store, caller.tenant, export.wanted, rest, PAGE, oldest_first=True)
        yield page.entries
        rest = page.rest


def _line(row: msgspec.Struct) -> bytes:
    return msgspec.json.encode(row) + b"\n"


def _cells(tenant: TenantId, entry: LoggedEntry, row: EntryShown) -> list[str]:
    texts = {
        "entry_id": row.entry_id,
        "timestamp": repr(row.timestamp),
        "timestamp_iso": iso_text(entry.record.at),
        "tenant_id": tenant,
        "session_id": row.session_id,
        "agent_id": row.agent_id,
        "tool": row.tool,
        "action": row.action,
        "cost_usd": f"{row.cost_usd:.6f}",
        "flagged": "true" if row.flagged else "false",
        "flag_reason": row.flag_reason,
        "details_json": bytes(row.details).decode(),
        "prev_hash": row.prev_hash,
        "entry_hash": row.entry_hash,
    }
    return [guarded(texts[column]) for column in CSV_COLUMNS]


def guarded(cell: str) -> str:
    """Return a cell that no spreadsheet takes for a formula: what looks like one gets an apostrophe before it.

    So does what begins with an apostrophe: whoever takes the first one off has the text as it was.
    """
    return f"'{cell}" if cell.startswith(GUARDED) else cell


def _csv(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\r\n").writerows(rows)  # RFC 4180.
    return text.getvalue().encode()
