"""Whatever is asked of the log, its pages hold what a reader of every entry would have picked out, in order."""

import asyncio
import itertools
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from haldir.journal.command import ANOMALY, Notice, Record, Subject
from haldir.journal.tree import leaf_hash
from haldir.kernel import canonical
from haldir.storage.engine import Engine
from haldir.storage.rows import BUNDLE, Entry, Head
from haldir.storage.sqlite import SqliteEngine
from haldir.watch import queries
from haldir.watch.filter import EntryFilter, Span
from haldir.watch.queries import find_entries, span_of
from journal_samples import TENANT

ENTRIES = 600
LIMIT = 7
SCANNED_MAX = 40
KINDS = ("call.admit", "action.log", "call.settle", "key.create")
BEGAN_AT = 1_700_000_000_000_000


def entry(index: int) -> Entry:
    """Return an entry whose columns come from its number, no two of them in step."""
    kind, code = KINDS[index % 4], "policy_denied" if index % 5 == 0 else ""
    about = Subject(f"ses_{index % 3}" if index % 11 else "", f"agent{index % 7}", tool=f"tool{index // 100 % 3}")
    command = canonical.encode({"kind": kind, "op_id": f"op{index}"})
    notices = (Notice(ANOMALY, "", "odd"),) if index % 13 == 0 else ()
    record = Record(
        at=BEGAN_AT + index // 3,
        rules=1,
        command=msgspec.Raw(command),
        allowed=not code,
        code=code,
        about=about,
        notices=notices,
    )
    body = canonical.encode(record)
    return Entry(
        index // BUNDLE,
        index % BUNDLE,
        f"op{index}",
        leaf_hash(body),
        body,
        kind,
        about.session_id,
        about.agent_id,
        about.tool,
        flagged=bool(notices),
        code=code,
    )


LOG = [entry(index) for index in range(ENTRIES)]


@pytest.fixture
def log(engine: Engine, runner: asyncio.Runner) -> Engine:
    """A store with the log, and one with the same entries of somebody else beside it."""

    async def store() -> None:
        for tenant in (TENANT, type(TENANT)("somebody else")):
            async with engine.transaction(tenant) as transaction:
                await transaction.save(Entry, LOG)
                await transaction.save(Head, [Head(ENTRIES, BEGAN_AT + ENTRIES // 3, "")])

    runner.run(engine.run(store()))
    return engine


def wanted_filters() -> Iterator[EntryFilter]:
    options = (
        ("", "all", "call.settle", "key.create", "nonsense"),
        ("", "ses_1"),
        ("", "agent2"),
        ("", "tool1"),
        (False, True),
        (None, True, False),
    )
    return itertools.starmap(EntryFilter, itertools.product(*options))


def picked(wanted: EntryFilter, row: Entry) -> bool:
    kinds = {wanted.kind} if wanted.kind else {"call.admit", "action.log"}
    if wanted.kind == "all" or (not wanted.kind and (wanted.flagged or wanted.allowed is False)):
        kinds = set(KINDS)
    return (
        row.kind in kinds
        and wanted.session_id in {"", row.session_id}
        and wanted.agent_id in {"", row.agent_id}
        and wanted.tool in {"", row.tool}
        and (row.flagged or not wanted.flagged)
        and wanted.allowed in {None, not row.code}
    )


@pytest.mark.parametrize("oldest_first", [False, True])
def test_pages_hold_what_a_reader_of_every_entry_would_pick(
    log: Engine, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, *, oldest_first: bool
) -> None:
    monkeypatch.setattr(queries, "SCANNED_MAX", SCANNED_MAX)  # So that 600 entries are a long log.
    span = Span(20, ENTRIES - 1)
    expected_order = LOG[20 : ENTRIES - 1] if oldest_first else LOG[ENTRIES - 2 : 19 : -1]

    async def pages(wanted: EntryFilter) -> list[int]:
        found: list[int] = []
        rest: Span | None = span
        while rest is not None:
            page = await find_entries(log, TENANT, wanted, rest, LIMIT, oldest_first=oldest_first)
            assert len(page.entries) <= LIMIT
            found += [each.index for each in page.entries]
            assert page.rest is None or page.rest.end - page.rest.first < rest.end - rest.first
            rest = page.rest
        return found

    for wanted in wanted_filters():
        assert runner.run(pages(wanted)) == [row.index for row in expected_order if picked(wanted, row)], wanted


def test_a_page_ends_after_so_many_entries_of_one_condition_however_few_meet_the_others(
    log: Engine, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queries, "SCANNED_MAX", SCANNED_MAX)
    wanted = EntryFilter(kind="nonsense", agent_id="agent2")
    page = runner.run(find_entries(log, TENANT, wanted, Span(), LIMIT))
    of_agent = [row.index for row in reversed(LOG) if row.agent_id == "agent2"]
    assert (page.entries, page.rest) == ([], Span(0, of_agent[SCANNED_MAX - 1]))


@pytest.mark.parametrize("wanted", [EntryFilter(kind="key.create"), EntryFilter(kind="all"), EntryFilter()])
def test_what_one_index_finds_needs_no_bound(
    log: Engine, runner: asyncio.Runner, monkeypatch: pytest.MonkeyPatch, wanted: EntryFilter
) -> None:
    monkeypatch.setattr(queries, "SCANNED_MAX", 1)
    page = runner.run(find_entries(log, TENANT, wanted, Span(), ENTRIES))
    assert [each.index for each in page.entries] == [row.index for row in reversed(LOG) if picked(wanted, row)]


@pytest.mark.parametrize("since", [None, 0, BEGAN_AT, BEGAN_AT + 1, BEGAN_AT + 77, BEGAN_AT + 199, BEGAN_AT + 200])
@pytest.mark.parametrize("until", [None, 0, BEGAN_AT, BEGAN_AT + 78, BEGAN_AT + 199, BEGAN_AT + 500])
def test_a_period_is_a_stretch_of_the_log(
    log: Engine, runner: asyncio.Runner, since: int | None, until: int | None
) -> None:
    span = runner.run(span_of(log, TENANT, since, until))
    times = [BEGAN_AT + index // 3 for index in range(ENTRIES)]
    within = [at for at in times if (since is None or at >= since) and (until is None or at < until)]
    assert times[span.first : span.end] == within


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        ("", "sqlite_autoindex_entry_1"),
        ("listed", "entry_listed"),
        ("session_id", "entry_by_session"),
        ("agent_id", "entry_by_agent"),
        ("tool", "entry_by_tool"),
        ("kind", "entry_by_kind"),
        ("flagged", "entry_flagged"),
        ("refused", "entry_refused"),
    ],
)
@pytest.mark.parametrize("order", [queries.NEWEST_FIRST, queries.OLDEST_FIRST])
def test_every_listing_of_the_log_walks_an_index(tmp_path: Path, condition: str, index: str, order: str) -> None:
    """Pages must not slow with the length of the log: both ends of a stretch are found in the index itself."""

    async def plan() -> str:
        narrowed = queries.INDEXED.get(condition, "")
        further = "".join(f" {each}" for name, each in queries.FURTHER.items() if name != condition)
        sql = f"EXPLAIN QUERY PLAN {queries.ENTRIES} {narrowed} {further} {queries.WITHIN} {order}"
        bounds = {"first_bundle": 0, "first_slot": 1, "end_bundle": 9, "end_slot": 9}
        words = dict.fromkeys(("session_id", "agent_id", "tool", "kind"), "x")
        engine = await SqliteEngine.open(tmp_path / "haldir.db")
        rows = await engine.fetch(sql, tenant=TENANT, limit=1, **bounds, **words)
        await engine.close()
        return str(rows[0][3])

    found = asyncio.run(plan())
    assert f"USING INDEX {index} " in found
    assert found.endswith("(bundle,slot)>(?,?) AND (bundle,slot)<(?,?))")


def test_no_page_sorts_the_log_though_nobody_has_counted_its_entries_yet(
    engine: Engine, runner: asyncio.Runner
) -> None:
    """A log that just grew is not in the planner's statistics, and to sort the little that they tell of looks cheap."""
    explain = "EXPLAIN QUERY PLAN" if isinstance(engine, SqliteEngine) else "EXPLAIN"
    bounds = {"first_bundle": 0, "first_slot": 0, "end_bundle": 1 << 40, "end_slot": 0}
    asked = {"session_id": "ses_1", "agent_id": "agent1", "tool": "tool1", "kind": "key.create"}

    async def store() -> None:
        wide = [
            msgspec.structs.replace(entry(index), body=bytes(index % 256 for _ in range(1800))) for index in range(1000)
        ]
        async with engine.transaction(TENANT) as transaction:
            await transaction.save(Entry, wide)

    def plan_of(condition: str, order: str) -> list[str]:
        sql = f"{explain} {queries.ENTRIES} {queries.INDEXED.get(condition, '')} {queries.WITHIN} {order}"
        named = {condition: asked[condition]} if condition in asked else {}
        return [str(row[-1]) for row in runner.run(engine.fetch(sql, tenant=TENANT, limit=100, **bounds, **named))]

    runner.run(store())
    for condition, order in itertools.product(["", *queries.INDEXED], [queries.NEWEST_FIRST, queries.OLDEST_FIRST]):
        plan = plan_of(condition, order)
        assert not [step for step in plan if "Sort" in step or "TEMP B-TREE" in step], (condition, plan)
