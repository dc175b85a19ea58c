"""Schemas and rows agree on both engines, and a store that is not ours to change is left alone."""

import asyncio
import importlib
import pkgutil
import sqlite3
from pathlib import Path

import asyncpg
import pytest

import haldir
from conftest import OpenEngine
from haldir.ledger.model import Budget
from haldir.storage.engine import Engine
from haldir.storage.mapping import SqlType, mapping
from haldir.storage.migrate import Migration, SchemaError, migrations, pending
from haldir.storage.postgres import SQL_TYPES, PostgresEngine
from haldir.storage.rows import Row
from haldir.storage.sqlite import SqliteEngine
from journal_samples import STATE, TABLES, TENANT, run_async

SQLITE_TYPES: dict[SqlType, str] = {"text": "TEXT", "integer": "INTEGER", "bytes": "BLOB"}
READ_COLUMNS = {
    "sqlite": 'SELECT name, type, "notnull" FROM pragma_table_info(:table_name) ORDER BY cid',
    "postgres": """
    SELECT column_name, data_type, CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END FROM information_schema.columns
    WHERE table_schema = current_schema() AND table_name = :table_name ORDER BY ordinal_position
    """,
}
READ_TABLES = {
    "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
    "postgres": "SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()",
}


def dialect(engine: Engine) -> str:
    return "sqlite" if isinstance(engine, SqliteEngine) else "postgres"


def subclasses(row_type: type[Row]) -> set[type[Row]]:
    return {row_type, *(found for each in row_type.__subclasses__() for found in subclasses(each))}


def test_no_kind_of_row_is_missing_from_these_tests() -> None:
    for module in pkgutil.walk_packages(haldir.__path__, "haldir."):
        if module.name.endswith((".model", ".rows")):
            importlib.import_module(module.name)
    assert {row_type for row_type in subclasses(Row) if row_type.__module__.startswith("haldir.")} - {Row} == set(
        TABLES
    )
    assert len(STATE) == len(set(STATE))


@run_async
async def test_every_row_type_has_a_table_with_its_columns_and_no_others(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    sql_types = SQLITE_TYPES if dialect(engine) == "sqlite" else SQL_TYPES
    for row_type in TABLES:
        found = await engine.fetch(READ_COLUMNS[dialect(engine)], table_name=row_type.TABLE.name)
        wanted = [
            (column.name, sql_types[column.sql_type], int(not column.optional)) for column in mapping(row_type).columns
        ]
        assert found == [("tenant", sql_types["text"], 1), *wanted], row_type
    tables = {name for (name,) in await engine.fetch(READ_TABLES[dialect(engine)])}
    assert tables == {row_type.TABLE.name for row_type in TABLES} | {"migration", "setting"}
    await engine.close()


@run_async
async def test_opening_again_changes_nothing(open_engine: OpenEngine) -> None:
    applied = "SELECT number, name, sha256, applied_at FROM migration ORDER BY number"
    engine = await open_engine()
    first = await engine.fetch(applied)
    assert [number for number, *_ in first] == [migration.number for migration in migrations("sqlite")]
    await engine.close()
    engine = await open_engine()
    assert await engine.fetch(applied) == first
    await engine.close()


def test_both_dialects_have_the_same_migrations() -> None:
    assert [each.name for each in migrations("sqlite")] == [each.name for each in migrations("postgres")]
    numbers = [each.number for each in migrations("sqlite")]
    assert len(numbers) == len(set(numbers))


def test_what_was_applied_is_held_against_the_files() -> None:
    known = [Migration(number, f"000{number}_x.sql", f"hash{number}", "SELECT 1") for number in (1, 2)]
    applied = [(each.number, each.name, each.sha256) for each in known]
    assert pending(known, []) == known
    assert pending(known, applied[:1]) == known[1:]
    assert pending(known, applied) == []
    with pytest.raises(SchemaError, match=r"migration 3 \(0003_new.sql\).*newer"):
        pending(known, [*applied, (3, "0003_new.sql", "hash3")])
    with pytest.raises(SchemaError, match=r"Migration 2 .* 0002_x.sql"):
        pending(known, [applied[0], (2, "0002_x.sql", "another")])


def test_a_newer_or_altered_sqlite_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "haldir.db"

    async def open_and_close() -> None:
        await (await SqliteEngine.open(path)).close()

    asyncio.run(open_and_close())
    for change, back in (
        ("INSERT INTO migration VALUES (9999, '9999_future.sql', 'x', 0)", "DELETE FROM migration WHERE number = 9999"),
        ("UPDATE migration SET number = 0 - number", "UPDATE migration SET number = 0 - number"),
        ("UPDATE migration SET name = sha256, sha256 = name", "UPDATE migration SET name = sha256, sha256 = name"),
    ):
        alter(path, change)
        with pytest.raises(SchemaError):
            asyncio.run(open_and_close())
        alter(path, back)
    asyncio.run(open_and_close())


def alter(path: Path, sql: str) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute(sql)
    connection.close()


@run_async
async def test_a_newer_postgresql_database_is_refused(fresh_postgres_dsn: str) -> None:
    await (await PostgresEngine.open(fresh_postgres_dsn)).close()
    connection = await asyncpg.connect(fresh_postgres_dsn)
    await connection.execute("INSERT INTO migration VALUES (9999, '9999_future.sql', 'x', 0)")
    await connection.close()
    with pytest.raises(SchemaError, match=r"9999_future\.sql"):
        await PostgresEngine.open(fresh_postgres_dsn)


@run_async
async def test_replicas_that_start_together_migrate_once(fresh_postgres_dsn: str) -> None:
    engines = await asyncio.gather(*(PostgresEngine.open(fresh_postgres_dsn) for _ in range(4)))
    found = await engines[0].fetch("SELECT count(*) FROM migration")
    assert found == [(len(migrations("postgres")),)]
    assert list(await engines[3].load(TENANT, Budget, (), [()])) == []
    for engine in engines:
        await engine.close()
