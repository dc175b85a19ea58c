"""PostgreSQL: each step of a batch is one statement over arrays; batches of different tenants run side by side."""

import functools
import importlib
import re
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from types import ModuleType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from haldir.kernel.errors import HaldirError
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Values
from haldir.storage.mapping import SqlType, mapping
from haldir.storage.rows import Credential, Head, Key, Row

if TYPE_CHECKING:
    from haldir.storage.postgres_connections import Connection, Connections

T = TypeVar("T")

WRITERS = 4  # Tenants that one replica writes at the same time.
READERS = 4  # Reads are short; authentication never waits behind more than a few.

SQL_TYPES: dict[SqlType, str] = {"text": "text", "integer": "bigint", "bytes": "bytea"}
PARAMETER_TYPES = {str: "::text", int: "::bigint", bytes: "::bytea"}

LOCK_HEAD = "SELECT size, written_at, checkpoint FROM head WHERE tenant = $1 FOR UPDATE"
INSERT_HEAD = "INSERT INTO head (tenant, size, written_at, checkpoint) VALUES ($1, 0, 0, '') ON CONFLICT DO NOTHING"
FIND_CREDENTIAL = "SELECT tenant, sha256, kind, id FROM credential WHERE sha256 = :sha256"
READ_SIZES = "SELECT tenant, size FROM head WHERE size > 0"
LIST_TENANTS = "SELECT tenant FROM head WHERE size > 0 ORDER BY tenant"
READ_SETTING = "SELECT value FROM setting WHERE name = :name"
INSERT_SETTING = "INSERT INTO setting (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING"

_TEXT_CAST_OR_NAME = re.compile(r"'(?:[^']|'')*'|::|:([a-z_][a-z0-9_]*)")


class PostgresMissing(HaldirError):
    """The driver is an extra and not installed."""

    code = "postgres_missing"
    hint = "Install it with: pip install 'haldir-guardian[postgres]'"


class PostgresEngine:
    """Writers and readers of one PostgreSQL database, as one replica among others."""

    parallel = WRITERS
    shared = True

    @classmethod
    async def open(cls, dsn: str) -> Self:
        """Connect, and bring the schema up to date; PostgresMissing without the driver."""
        driver = _driver()
        engine = cls(driver.Connections(dsn, WRITERS), driver.Connections(dsn, READERS, read_only=True))
        async with engine._writers.use() as connection:
            await driver.migrate(connection)
        return engine

    @classmethod
    def open_to_read(cls, dsn: str) -> Self:
        """Return an engine that can only read, for a database that is to stay as it is."""
        driver = _driver()
        return cls(driver.Connections(dsn, 1, read_only=True), driver.Connections(dsn, READERS, read_only=True))

    def __init__(self, writers: "Connections", readers: "Connections") -> None:
        self._writers, self._readers = writers, readers

    async def run(self, batch: Coroutine[Any, Any, T]) -> T:
        return await batch

    @asynccontextmanager
    async def transaction(self, tenant: TenantId) -> AsyncIterator["PostgresTransaction"]:
        async with self._writers.use() as connection, connection.transaction():
            yield PostgresTransaction(connection, tenant, await _lock_head(connection, tenant))

    async def load(
        self, tenant: TenantId, row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]
    ) -> Iterable[Row]:
        async with self._readers.use() as connection:
            return await _load(connection, tenant, row_type, columns, values)

    async def fetch(self, sql: str, **params: str | int | bytes | None) -> list[Values]:
        text, names = positional(sql, tuple((name, type(value)) for name, value in params.items()))
        async with self._readers.use() as connection:
            return [tuple(found) for found in await connection.fetch(text, *(params[name] for name in names))]

    async def credential(self, sha256: str) -> tuple[TenantId, Credential] | None:
        found = await self.fetch(FIND_CREDENTIAL, sha256=sha256)
        return (TenantId(found[0][0]), Credential(*found[0][1:])) if found else None

    async def tenants(self) -> list[TenantId]:
        return [TenantId(tenant) for (tenant,) in await self.fetch(LIST_TENANTS)]

    async def sizes(self) -> dict[TenantId, int]:
        return {TenantId(tenant): size for tenant, size in await self.fetch(READ_SIZES)}

    async def setting(self, name: str) -> bytes | None:
        found = await self.fetch(READ_SETTING, name=name)
        return found[0][0] if found else None

    async def put_setting_once(self, name: str, value: bytes) -> bytes:
        async with self._writers.use() as connection:
            await connection.execute(INSERT_SETTING, name, value)
        kept = await self.setting(name)
        assert kept is not None
        return kept

    async def close(self) -> None:
        await self._writers.close()
        await self._readers.close()


class PostgresTransaction:
    """One batch on a writer connection, with the tenant's head locked."""

    def __init__(self, connection: "Connection", tenant: TenantId, head: Head) -> None:
        self._connection, self._tenant, self.head = connection, tenant, head

    async def load(self, row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]) -> Iterable[Row]:
        return await _load(self._connection, self._tenant, row_type, columns, values)

    async def save(self, row_type: type[Row], rows: Sequence[Row]) -> None:
        if rows:
            encoded = map(mapping(row_type).encode, rows)
            await self._connection.execute(upsert(row_type), self._tenant, *_by_column(encoded))

    async def drop(self, row_type: type[Row], keys: Sequence[Key]) -> None:
        if keys:
            await self._connection.execute(delete(row_type), self._tenant, *_by_column(keys))


def _driver() -> ModuleType:
    try:
        return importlib.import_module("haldir.storage.postgres_connections")  # An extra, and slow to import.
    except ImportError as error:
        raise PostgresMissing("A PostgreSQL database needs the driver asyncpg.") from error


async def _lock_head(connection: "Connection", tenant: TenantId) -> Head:
    found = await connection.fetchrow(LOCK_HEAD, tenant)
    if found is None:
        await connection.execute(INSERT_HEAD, tenant)
        found = await connection.fetchrow(LOCK_HEAD, tenant)
        assert found is not None
    return Head(*found)


async def _load(
    connection: "Connection",
    tenant: TenantId,
    row_type: type[Row],
    columns: tuple[str, ...],
    values: Sequence[Key],
) -> list[Row]:
    if not values:
        return []
    decode = mapping(row_type).decode
    found = await connection.fetch(select(row_type, columns), tenant, *_by_column(values))
    return [decode(tuple(record)) for record in found]


def _by_column(values: Iterable[Sequence[Any]]) -> list[list[Any]]:
    return list(map(list, zip(*values, strict=True)))


@functools.cache
def positional(sql: str, types: tuple[tuple[str, type], ...]) -> tuple[str, tuple[str, ...]]:
    """Return a statement with `$n` for each `:name`, typed as its value is, and the names in that order."""
    casts = {name: PARAMETER_TYPES.get(kind, "") for name, kind in types}
    names = tuple(dict.fromkeys(found[1] for found in _TEXT_CAST_OR_NAME.finditer(sql) if found[1]))

    def placed(found: re.Match[str]) -> str:
        return f"${names.index(found[1]) + 1}{casts[found[1]]}" if found[1] else found[0]

    return _TEXT_CAST_OR_NAME.sub(placed, sql), names


@functools.cache
def select(row_type: type[Row], columns: tuple[str, ...]) -> str:
    names = ", ".join(mapping(row_type).names)
    return f"SELECT {names} FROM {row_type.TABLE.name} WHERE tenant = $1{_among(row_type, columns)}"  # noqa: S608 - names of ours


@functools.cache
def upsert(row_type: type[Row]) -> str:
    names = mapping(row_type).names
    target = f"{row_type.TABLE.name} ({', '.join(('tenant', *names))})"
    source = f"SELECT $1, * FROM unnest({_arrays(row_type, names)}) AS rows"  # noqa: S608 - names of ours
    return f"INSERT INTO {target} {source} {mapping(row_type).on_conflict}"


@functools.cache
def delete(row_type: type[Row]) -> str:
    return f"DELETE FROM {row_type.TABLE.name} WHERE tenant = $1{_among(row_type, row_type.TABLE.key)}"  # noqa: S608 - names of ours


def _among(row_type: type[Row], columns: tuple[str, ...]) -> str:
    if not columns:
        return ""
    if len(columns) == 1:
        return f" AND {columns[0]} = ANY ({_arrays(row_type, columns)})"
    return f" AND ({', '.join(columns)}) IN (SELECT * FROM unnest({_arrays(row_type, columns)}) AS wanted)"  # noqa: S608 - names of ours


def _arrays(row_type: type[Row], columns: tuple[str, ...]) -> str:
    found = mapping(row_type)
    kinds = [SQL_TYPES[found.columns[found.names.index(column)].sql_type] for column in columns]
    return ", ".join(f"${at}::{kind}[]" for at, kind in enumerate(kinds, 2))
