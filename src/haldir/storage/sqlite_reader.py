"""Reads of a SQLite database, on a connection and a thread of their own: they never wait for the writer.

Whatever waits goes to the thread in one trip, since a trip and the way back cost several times what a read by key does.
"""

import asyncio
import functools
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeVar

import apsw

from haldir.kernel.errors import Unavailable
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Values
from haldir.storage.mapping import mapping
from haldir.storage.rows import Credential, Key, Row
from haldir.storage.sqlite_file import open_reader

T = TypeVar("T")

FIND_CREDENTIAL = "SELECT tenant, sha256, kind, id FROM credential WHERE sha256 = :sha256"
READ_SIZES = "SELECT tenant, size FROM head WHERE size > 0"
LIST_TENANTS = "SELECT tenant FROM head WHERE size > 0 ORDER BY tenant"
READ_SETTING = "SELECT value FROM setting WHERE name = :name"


Read = Callable[[apsw.Connection], T]


class Reading(NamedTuple):
    """A read that waits for its answer."""

    read: Read[Any]
    answer: asyncio.Future[Any]

    def settle(self, answer: Any) -> None:
        """Hand over what was read, or the error; whoever was cancelled meanwhile waits no more."""
        if self.answer.done():
            return
        if isinstance(answer, Exception):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class SqliteReader:
    """A read-only view of a database file, whether or not a server is writing it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: apsw.Connection | None = None
        self._thread = ThreadPoolExecutor(1, "haldir-sqlite-reader")
        self._waiting: list[Reading] = []
        self._trips: asyncio.Task[None] | None = None  # While anything waits.
        self._closed = False

    async def load(
        self, tenant: TenantId, row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]
    ) -> Iterable[Row]:
        return await self._read(lambda connection: load_rows(connection, tenant, row_type, columns, values))

    async def fetch(self, sql: str, **params: str | int | bytes | None) -> list[Values]:
        return await self._read(lambda connection: connection.execute(sql, params).fetchall())

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

    async def close(self) -> None:
        self._closed = True
        if self._trips is not None:
            await self._trips
        await asyncio.to_thread(self._thread.shutdown)
        if self._connection is not None:
            with suppress(apsw.Error):  # There is nothing to lose any more: a broken disk may still say no.
                self._connection.close(force=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _read(self, read: Read[T]) -> T:
        if self._closed:
            raise Unavailable("the store is closed")
        reading = Reading(read, asyncio.get_running_loop().create_future())
        self._waiting.append(reading)
        if self._trips is None:
            self._trips = asyncio.create_task(self._make_trips())
        answer: T = await reading.answer
        return answer

    async def _make_trips(self) -> None:
        """Take what waits to the thread, and the answers back, until nothing waits."""
        try:
            while taken := self._waiting:
                self._waiting = []
                reads = [reading.read for reading in taken]
                answers = await asyncio.get_running_loop().run_in_executor(self._thread, self._on_thread, reads)
                for reading, answer in zip(taken, answers, strict=True):
                    reading.settle(answer)
        finally:
            self._trips = None

    def _on_thread(self, reads: Sequence[Read[Any]]) -> list[Any]:
        return [self._answer(read) for read in reads]

    def _answer(self, read: Read[Any]) -> Any:
        """Return what was read, or the error that says why it could not be."""
        try:
            if self._connection is None:
                self._connection = open_reader(self._path)
            return read(self._connection)
        except (apsw.SQLError, apsw.BindingsError) as error:
            return error  # The statement is wrong, not the store.
        except apsw.Error as error:
            if self._connection is not None:
                self._connection.close(force=True)
            self._connection = None
            unavailable = Unavailable(f"{self._path}: {error}")
            unavailable.__cause__ = error
            return unavailable
        except Exception as error:  # noqa: BLE001 - whatever one read did, the others of this trip are not at fault.
            return error


def load_rows(
    connection: apsw.Connection,
    tenant: TenantId,
    row_type: type[Row],
    columns: tuple[str, ...],
    values: Sequence[Key],
) -> list[Row]:
    """Return all rows whose `columns` equal one of `values`: one prepared statement, run for each."""
    sql, decode, execute = select(row_type, columns), mapping(row_type).decode, connection.execute
    return [decode(found) for value in values for found in execute(sql, (tenant, *value))]


@functools.cache
def select(row_type: type[Row], columns: tuple[str, ...]) -> str:
    wanted = " AND ".join(f"{column} = ?" for column in ("tenant", *columns))
    return f"SELECT {', '.join(mapping(row_type).names)} FROM {row_type.TABLE.name} WHERE {wanted}"  # noqa: S608 - names of ours
