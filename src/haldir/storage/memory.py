"""The engine of dicts: the model that the durable engines are held against."""

import functools
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from haldir.kernel.ids import TenantId
from haldir.storage.engine import Rejected, Values
from haldir.storage.rows import Credential, Head, Key, Row, reader

T = TypeVar("T")
Place = tuple[TenantId, type[Row]]


class MemoryEngine:
    """Keeps rows for as long as it lives. `fetch` needs SQL, which it has not."""

    parallel = 1
    shared = False

    def __init__(self) -> None:
        self._tables: dict[Place, dict[Key, Row]] = {}
        self._indexes: dict[tuple[Place, tuple[str, ...]], dict[Key, dict[Key, Row]]] = {}
        self._settings: dict[str, bytes] = {}

    async def run(self, batch: Coroutine[Any, Any, T]) -> T:
        return await batch

    @asynccontextmanager
    async def transaction(self, tenant: TenantId) -> AsyncIterator["MemoryTransaction"]:
        head = next((row for row in await self.load(tenant, Head, (), [()]) if isinstance(row, Head)), Head())
        transaction = MemoryTransaction(self, tenant, head)
        yield transaction
        for write in transaction.writes:
            write()

    async def load(
        self, tenant: TenantId, row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]
    ) -> Iterable[Row]:
        table = self._tables.get((tenant, row_type), {})
        if columns == row_type.TABLE.key:
            return [table[value] for value in values if value in table]
        if columns in indexed(row_type):
            index = self._indexes.get(((tenant, row_type), columns), {})
            return [row for value in values for row in index.get(value, {}).values()]
        read, wanted = reader(columns), set(values)
        return [row for row in table.values() if read(row) in wanted]

    async def fetch(self, sql: str, **params: str | int | bytes | None) -> list[Values]:
        raise NotImplementedError(f"the memory engine knows no SQL, but was asked for {sql!r} of {sorted(params)}")

    async def credential(self, sha256: str) -> tuple[TenantId, Credential] | None:
        return next(((tenant, found) for tenant, found in self._credentials() if found.sha256 == sha256), None)

    async def tenants(self) -> list[TenantId]:
        return sorted(await self.sizes())

    async def sizes(self) -> dict[TenantId, int]:
        heads = ((tenant, table[()]) for (tenant, row_type), table in self._tables.items() if row_type is Head)
        return {tenant: head.size for tenant, head in heads if isinstance(head, Head) and head.size}

    async def setting(self, name: str) -> bytes | None:
        return self._settings.get(name)

    async def put_setting_once(self, name: str, value: bytes) -> bytes:
        return self._settings.setdefault(name, value)

    async def close(self) -> None:
        """Forget nothing: whoever holds the engine may go on reading."""

    def refuse_duplicates(self, tenant: TenantId, row_type: type[Row], rows: Iterable[Row]) -> None:
        """Hold rows against the constraints that the SQL schemas have."""
        table, own_key = row_type.TABLE, reader(row_type.TABLE.key)
        kept = self._tables.get((tenant, row_type), {})
        for row in rows:
            if table.append_only and own_key(row) in kept:
                raise Rejected(f"{table.name} {own_key(row)} is there already")
            for column in table.unique:
                value = reader((column,))(row)
                same = self._indexes.get(((tenant, row_type), (column,)), {}).get(value, {})
                if any(key != own_key(row) for key in same):
                    raise Rejected(f"{table.name}.{column} {value} is there already")
            if isinstance(row, Credential) and any(
                other != tenant and found.sha256 == row.sha256 for other, found in self._credentials()
            ):
                raise Rejected("this credential belongs to another tenant")

    def put(self, tenant: TenantId, row_type: type[Row], key: Key, row: Row | None) -> None:
        """Replace a row, or drop it if `row` is None, and keep the indexes true."""
        place = (tenant, row_type)
        table = self._tables.setdefault(place, {})
        before = table.pop(key, None)
        if row is not None:
            table[key] = row
        for columns in indexed(row_type):
            index, read = self._indexes.setdefault((place, columns), {}), reader(columns)
            if before is not None:
                index[read(before)].pop(key)
            if row is not None:
                index.setdefault(read(row), {})[key] = row

    def _credentials(self) -> Iterable[tuple[TenantId, Credential]]:
        for (tenant, row_type), table in self._tables.items():
            if row_type is Credential:
                yield from ((tenant, row) for row in table.values() if isinstance(row, Credential))


@functools.cache
def indexed(row_type: type[Row]) -> frozenset[tuple[str, ...]]:
    return frozenset((column,) for column in (*row_type.TABLE.index, *row_type.TABLE.unique))


class MemoryTransaction:
    """Writes that happen together, once the batch is through."""

    def __init__(self, engine: MemoryEngine, tenant: TenantId, head: Head) -> None:
        self._engine, self._tenant, self.head = engine, tenant, head
        self.writes: list[Callable[[], None]] = []

    async def load(self, row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]) -> Iterable[Row]:
        return await self._engine.load(self._tenant, row_type, columns, values)

    async def save(self, row_type: type[Row], rows: Sequence[Row]) -> None:
        self._engine.refuse_duplicates(self._tenant, row_type, rows)
        read = reader(row_type.TABLE.key)
        self.writes += [functools.partial(self._engine.put, self._tenant, row_type, read(row), row) for row in rows]

    async def drop(self, row_type: type[Row], keys: Sequence[Key]) -> None:
        self.writes += [functools.partial(self._engine.put, self._tenant, row_type, key, None) for key in keys]
