"""SQLite through apsw: one process, one writer thread, every commit on disk before it is answered."""

import asyncio
import functools
from collections.abc import AsyncIterator, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Self, TypeVar

import apsw

from haldir.kernel.errors import Unavailable
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Rejected
from haldir.storage.mapping import mapping
from haldir.storage.rows import Head, Key, Row
from haldir.storage.sqlite_file import FileLock, create_private, extend_wal, migrate, open_writer
from haldir.storage.sqlite_reader import READ_SETTING, SqliteReader, load_rows

T = TypeVar("T")

INSERT_SETTING = "INSERT INTO setting (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING"


class SqliteEngine(SqliteReader):
    """The writer of one database file, beside a reader of it."""

    parallel = 1
    shared = False

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the file, made and migrated where needed; FileInUse if another process has it."""
        return await asyncio.to_thread(cls, path)

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._writer: apsw.Connection | None = None
        self._writer_thread = ThreadPoolExecutor(1, "haldir-sqlite-writer")
        self._lock = FileLock(path)
        try:
            create_private(path)
            self._writer = open_writer(path)
            migrate(self._writer)
            extend_wal(self._writer)
        except BaseException as error:
            self._let_go()
            if isinstance(error, apsw.Error):
                raise Unavailable(f"{path} cannot be opened: {error}") from error
            raise

    async def run(self, batch: Coroutine[Any, Any, T]) -> T:
        if self._closed:
            batch.close()
            raise Unavailable("the store is closed")
        return await asyncio.get_running_loop().run_in_executor(self._writer_thread, drive, batch)

    @asynccontextmanager
    async def transaction(self, tenant: TenantId) -> AsyncIterator["SqliteTransaction"]:
        try:
            if self._writer is None:
                self._writer = open_writer(self._path)
            self._writer.execute("BEGIN IMMEDIATE")
            transaction = SqliteTransaction(self._writer, tenant)
            yield transaction
            self._writer.execute("COMMIT")
        except (apsw.ConstraintError, apsw.TooBigError, OverflowError) as error:
            self._roll_back()
            raise Rejected(str(error)) from error
        except apsw.Error as error:
            self._drop_writer()  # After a fault its state is not to be trusted.
            raise Unavailable(f"{self._path}: {error}") from error
        except BaseException:
            self._roll_back()
            raise

    async def put_setting_once(self, name: str, value: bytes) -> bytes:
        return await self.run(self._put_setting_once(name, value))

    async def close(self) -> None:
        self._closed = True
        await asyncio.to_thread(self._writer_thread.shutdown)
        await super().close()
        await asyncio.to_thread(self._let_go)

    async def _put_setting_once(self, name: str, value: bytes) -> bytes:
        async with self.transaction(TenantId("")) as transaction:
            transaction.connection.execute(INSERT_SETTING, {"name": name, "value": value})
            kept: bytes = transaction.connection.execute(READ_SETTING, {"name": name}).get
            return kept

    def _roll_back(self) -> None:
        try:
            if self._writer is not None and self._writer.in_transaction:
                self._writer.execute("ROLLBACK")
        except apsw.Error:
            self._drop_writer()

    def _drop_writer(self) -> None:
        if self._writer is not None:
            with suppress(apsw.Error):
                self._writer.close(force=True)
        self._writer = None

    def _let_go(self) -> None:
        self._drop_writer()
        self._lock.release()


class SqliteTransaction:
    """One batch on the writer connection. Each call is done when it returns: nothing here ever waits."""

    def __init__(self, connection: apsw.Connection, tenant: TenantId) -> None:
        self.connection, self._tenant = connection, tenant
        found = load_rows(connection, tenant, Head, (), [()])
        self.head = next((row for row in found if isinstance(row, Head)), Head())

    async def load(self, row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]) -> Iterable[Row]:
        return load_rows(self.connection, self._tenant, row_type, columns, values)

    async def save(self, row_type: type[Row], rows: Sequence[Row]) -> None:
        encode = mapping(row_type).encode
        self.connection.executemany(upsert(row_type), [(self._tenant, *encode(row)) for row in rows])

    async def drop(self, row_type: type[Row], keys: Sequence[Key]) -> None:
        deleted = [(self._tenant, *key) for key in keys]
        if not row_type.TABLE.shredded:
            self.connection.executemany(delete(row_type), deleted)
            return
        self.connection.execute("PRAGMA secure_delete = ON")  # Zeros what it frees; not worth its price elsewhere.
        self.connection.executemany(delete(row_type), deleted)
        self.connection.execute("PRAGMA secure_delete = OFF")


def drive(batch: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that never waits: here each engine call is done when it returns."""
    try:
        batch.send(None)
    except StopIteration as done:
        return done.value  # type: ignore[no-any-return]
    raise AssertionError("a batch on SQLite must not wait for anything but SQLite")


@functools.cache
def upsert(row_type: type[Row]) -> str:
    names = ("tenant", *mapping(row_type).names)
    places = ", ".join("?" * len(names))
    return f"INSERT INTO {row_type.TABLE.name} ({', '.join(names)}) VALUES ({places}) {mapping(row_type).on_conflict}"  # noqa: S608 - names of ours


@functools.cache
def delete(row_type: type[Row]) -> str:
    wanted = " AND ".join(f"{column} = ?" for column in ("tenant", *row_type.TABLE.key))
    return f"DELETE FROM {row_type.TABLE.name} WHERE {wanted}"  # noqa: S608 - names of ours
