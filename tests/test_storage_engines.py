"""The same contract for SQLite and PostgreSQL: rows in, the same rows out, all of a batch or nothing."""

import asyncio
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import OpenEngine
from haldir.gate.model import Session
from haldir.kernel.errors import Unavailable
from haldir.kernel.ids import TenantId
from haldir.ledger.model import Budget
from haldir.proxy.model import Price, Tool, ToolRule, Upstream
from haldir.storage.engine import Engine, Rejected
from haldir.storage.mapping import mapping
from haldir.storage.memory import MemoryEngine
from haldir.storage.postgres import positional
from haldir.storage.rows import Credential, Entry, Head, Row, name_of
from journal_samples import TABLES, TENANT, run_async

OTHER = TenantId("fedcba9876543210")


def entry(index: int, op_id: str, **columns: Any) -> Entry:
    return Entry(index // 256, index % 256, op_id, bytes(32), b"{}", **{"kind": "test"} | columns)


async def save(engine: Engine, *rows: Row, tenant: TenantId = TENANT) -> None:
    async def batch() -> None:
        async with engine.transaction(tenant) as transaction:
            for row in rows:
                await transaction.save(type(row), [row])

    await engine.run(batch())


async def drop(engine: Engine, *rows: Row) -> None:
    async def batch() -> None:
        async with engine.transaction(TENANT) as transaction:
            for row in rows:
                await transaction.drop(type(row), [name_of(row)[1]])

    await engine.run(batch())


async def load(engine: Engine, row_type: type[Row], *keys: Any, tenant: TenantId = TENANT) -> list[Row]:
    return list(await engine.load(tenant, row_type, row_type.TABLE.key, list(keys)))


# By the schemas: what counts from one, and what is never more than what.
AT_LEAST_ONE = frozenset({"version", "key_version", "approvers"})
NO_MORE_THAN = (("standing", "last_id"), ("pending", "asked"), ("posted_micros", "micros"))


@pytest.mark.parametrize("row_type", TABLES, ids=lambda row_type: row_type.TABLE.name)
def test_every_kind_of_row_comes_back_as_it_was_put(
    engine: Engine, runner: asyncio.Runner, row_type: type[Row]
) -> None:
    """All row types on both engines, with odd text, the largest integers and bytes that are no text."""

    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.from_type(row_type).map(_storable))
    def law(row: Row) -> None:
        key = name_of(row)[1]

        async def there_and_back() -> list[Row]:
            if not row_type.TABLE.append_only:
                await save(engine, row)
                await save(engine, row)
                return await load(engine, row_type, key)
            if not await load(engine, row_type, key):
                await save(engine, row)
                return await load(engine, row_type, key)
            return [row]

        assert runner.run(there_and_back()) == [row]

    law()


def _storable(row: Row) -> Row:
    """Bend a random row to what the schemas demand; text and size are the journal's and the faces' to refuse."""
    changes: dict[str, Any] = {}
    for column in mapping(type(row)).columns:
        value = getattr(row, column.name)
        if isinstance(value, str):
            changes[column.name] = value.replace("\0", "␀").encode(errors="replace").decode()[:200]
        elif isinstance(value, int) and not isinstance(value, bool):
            changes[column.name] = abs(value) % 2**62
    match row:
        case Entry():
            changes |= {
                "slot": row.slot % 256,
                "leaf": row.leaf[:32].ljust(32, b"\0"),
                "op_id": f"{row.bundle}.{row.slot}",
            }
        case Budget():
            changes |= {"limit_micros": None, "spent_micros": abs(row.spent_micros) % 2**61}
        case _:
            pass
    for name in AT_LEAST_ONE & changes.keys():
        changes[name] = max(1, changes[name])
    for less, more in NO_MORE_THAN:
        if less in changes and more in changes:
            changes[less] = min(changes[less], changes[more])
    if "until_epoch" in changes:
        changes["until_epoch"] = max(changes["until_epoch"], changes["since_epoch"] + 1)
    return row.but(**changes)


@run_async
async def test_structs_and_booleans_keep_their_meaning(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    rules = (ToolRule("pay", price=Price(pointer="/amount")), ToolRule("read", scope="read"))
    for operator in (True, False):
        await save(engine, Upstream("files", "http", "digest", operator, rules, 3, 9))
        [found] = await load(engine, Upstream, ("files",))
        assert found == Upstream("files", "http", "digest", operator, rules, 3, 9)
        assert isinstance(found, Upstream)
        assert found.operator is operator
        assert await engine.fetch("SELECT operator FROM upstream WHERE tenant = :tenant", tenant=TENANT) == [
            (int(operator),)
        ]
    await engine.close()


@run_async
async def test_nothing_of_a_failed_batch_is_kept_and_the_next_one_works(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    beyond = Budget("b", limit_micros=1, spent_micros=2)
    with pytest.raises(Rejected):
        await save(engine, Budget("a", limit_micros=1), beyond)
    with pytest.raises(ZeroDivisionError):
        await engine.run(_fail_midway(engine))
    assert await load(engine, Budget, ("a",), ("b",)) == []
    await save(engine, Budget("a", limit_micros=1))
    assert await load(engine, Budget, ("a",), ("b",)) == [Budget("a", limit_micros=1)]
    await engine.close()


async def _fail_midway(engine: Engine) -> None:
    async with engine.transaction(TENANT) as transaction:
        await transaction.save(Budget, [Budget("a", limit_micros=1)])
        raise ZeroDivisionError


@run_async
async def test_history_is_never_replaced_and_state_is(open_engine: OpenEngine) -> None:
    for engine in (await open_engine(), MemoryEngine()):
        await save(engine, entry(0, "op0"), Budget("a", 5))
        for again in (entry(0, "op1"), entry(1, "op0")):
            with pytest.raises(Rejected):
                await save(engine, again)
        await save(engine, Budget("a", 7))
        assert await load(engine, Entry, (0, 0), (0, 1)) == [entry(0, "op0")]
        assert await load(engine, Budget, ("a",)) == [Budget("a", 7)]
        await engine.close()


@run_async
async def test_what_does_not_fit_a_column_is_the_rows_fault_not_the_stores(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    for misfit in (Budget("a", limit_micros=2**63), Budget("a", limit_micros=-1)):
        with pytest.raises(Rejected):
            await save(engine, misfit)
    await save(engine, Budget("a", limit_micros=2**63 - 1))
    await engine.close()


@run_async
async def test_a_credential_belongs_to_one_tenant_only(open_engine: OpenEngine) -> None:
    for engine in (await open_engine(), MemoryEngine()):
        theirs = Credential("f" * 64, "key", "hld_1")
        await save(engine, theirs)
        await save(engine, theirs)
        with pytest.raises(Rejected):
            await save(engine, Credential("f" * 64, "key", "hld_2"), tenant=OTHER)
        assert await engine.credential("f" * 64) == (TENANT, theirs)
        assert await engine.credential("0" * 64) is None
        await engine.close()


@run_async
async def test_tenants_never_see_each_others_rows(open_engine: OpenEngine) -> None:
    for engine in (await open_engine(), MemoryEngine()):
        await save(engine, Budget("a", 1))
        await save(engine, Budget("a", 2), tenant=OTHER)
        assert await load(engine, Budget, ("a",)) == [Budget("a", 1)]
        assert await load(engine, Budget, ("a",), tenant=OTHER) == [Budget("a", 2)]
        await drop(engine, Budget("a", 1))
        assert await load(engine, Budget, ("a",)) == []
        assert await load(engine, Budget, ("a",), tenant=OTHER) == [Budget("a", 2)]
        await engine.close()


@run_async
async def test_rows_are_found_by_key_by_an_indexed_column_or_all_of_them(open_engine: OpenEngine) -> None:
    for engine in (await open_engine(), MemoryEngine()):
        tools = [Tool(upstream, name, "p", "p", 1) for upstream in ("x", "y") for name in ("a", "b")]
        await save(engine, *tools)
        assert await load(engine, Tool, ("x", "b"), ("y", "z")) == [tools[1]]
        found = await engine.load(TENANT, Tool, ("upstream",), [("y",), ("z",)])
        assert sorted(found, key=repr) == tools[2:]
        assert sorted(await engine.load(TENANT, Tool, (), [()]), key=repr) == tools
        assert list(await engine.load(TENANT, Tool, ("upstream",), [])) == []
        await engine.close()


@run_async
async def test_tenants_with_a_log_are_listed(open_engine: OpenEngine) -> None:
    for engine in (await open_engine(), MemoryEngine()):
        await save(engine, Head(1, 2, "note"))
        await save(engine, Head(0, 0, ""), tenant=OTHER)
        assert await engine.tenants() == [TENANT]
        await engine.close()


@run_async
async def test_a_setting_is_written_once(open_engine: OpenEngine) -> None:
    for engine in (await open_engine(), MemoryEngine()):
        assert await engine.setting("origin") is None
        assert await engine.put_setting_once("origin", b"first") == b"first"
        assert await engine.put_setting_once("origin", b"second") == b"first"
        assert await engine.setting("origin") == b"first"
        await engine.close()


@run_async
async def test_hand_written_reads_page_by_key_with_named_parameters(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    await save(engine, *(entry(n, f"op{n}", kind="call.admit", session_id="s") for n in range(250, 270)))
    page = """
    SELECT bundle, slot, op_id, 'a :name in text' FROM entry
    WHERE tenant = :tenant AND session_id = :session_id AND kind IN ('action.log', 'call.admit')
      AND (bundle, slot) < (:bundle, :slot)
    ORDER BY bundle DESC, slot DESC LIMIT :most
    """
    found = await engine.fetch(page, tenant=TENANT, session_id="s", bundle=1, slot=2, most=3)
    assert found == [
        (1, 1, "op257", "a :name in text"),
        (1, 0, "op256", "a :name in text"),
        (0, 255, "op255", "a :name in text"),
    ]
    assert await engine.fetch("SELECT slot FROM entry WHERE op_id = :op_id", op_id=None) == []
    await engine.close()


def test_named_parameters_become_numbered_ones_with_the_type_of_their_value() -> None:
    sql = "SELECT ':no', x::text FROM t WHERE a = :a AND b = :b AND (c, d) > (:a, :c) AND e = 'it''s :no'"
    text, names = positional(sql, (("c", type(None)), ("b", int), ("a", str)))
    assert names == ("a", "b", "c")
    assert text == (
        "SELECT ':no', x::text FROM t WHERE a = $1::text AND b = $2::bigint AND (c, d) > ($1::text, $3) AND e = 'it''s :no'"
    )


@run_async
async def test_a_statement_that_is_wrong_is_no_outage(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    with pytest.raises(Exception, match=r"nowhere") as raised:
        await engine.fetch("SELECT 1 FROM nowhere")
    assert not isinstance(raised.value, Unavailable)
    assert await engine.tenants() == []
    await engine.close()


@run_async
async def test_the_memory_engine_says_that_it_knows_no_sql() -> None:
    with pytest.raises(NotImplementedError, match="knows no SQL"):
        await MemoryEngine().fetch("SELECT 1")


@run_async
async def test_a_closed_engine_is_unavailable(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    await engine.close()
    with pytest.raises(Unavailable):
        await engine.tenants()
    with pytest.raises(Unavailable):
        await save(engine, Budget("a", 1))


def test_rows_are_plain_tuples_of_scalars_to_a_driver() -> None:
    upstream = Upstream("files", "http", "digest", True, (ToolRule("pay"),), 3, 9)
    values = mapping(Upstream).encode(upstream)
    assert values == ("files", "http", "digest", 1, '[{"tool":"pay"}]', 3, 9)
    assert mapping(Upstream).decode(values) == upstream
    assert mapping(Session).columns[2].optional
    assert msgspec.structs.fields(Session)[2].name == mapping(Session).names[2]
