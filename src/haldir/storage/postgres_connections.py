"""A few connections to PostgreSQL, each used by one caller at a time; one that failed is never used again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg

from haldir.kernel.errors import Unavailable
from haldir.storage.engine import Rejected
from haldir.storage.migrate import READ_APPLIED, migrations, pending

CONNECT_SECONDS = 5.0  # For a server that does not answer at all.
STATEMENT_SECONDS = 10.0  # No statement of ours takes a second; a caller is told before it gives up.
MIGRATION_SECONDS = 600.0  # A migration may rewrite a table.
WAIT_SECONDS = 5.0  # For a free connection.
STATEMENTS_KEPT = 256  # Prepared statements per connection: more than there are.
MIGRATION_LOCK = 0x48414C444952  # "HALDIR": replicas that start together migrate one after another.

# Plans made for an empty table would scan it for ever, and statistics are behind while a log grows: each of our reads
# has an index that holds what it wants in order, so none needs to look at more. A hung replica must not keep a head.
SETTINGS = {
    "application_name": "haldir",
    "plan_cache_mode": "force_custom_plan",
    "enable_bitmapscan": "off",
    "enable_seqscan": "off",
    "idle_in_transaction_session_timeout": "10s",
    "lock_timeout": "5s",
    "jit": "off",
}
# What was acknowledged must survive a crash of the server, whatever it was configured to do.
KEEP_COMMITS = (
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'"
)

CREATE_MIGRATION = """
CREATE TABLE IF NOT EXISTS migration (
    number bigint NOT NULL PRIMARY KEY,
    name text NOT NULL,
    sha256 text NOT NULL,
    applied_at bigint NOT NULL
)
"""
RECORD_MIGRATION = """
INSERT INTO migration VALUES ($1, $2, $3, CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint))
"""

if TYPE_CHECKING:
    Connection = asyncpg.Connection[asyncpg.Record]  # Generic in the driver's types, not when it runs.


class Connections:
    """At most `size` open connections. A fault of one is raised as Unavailable, one of the rows as Rejected."""

    def __init__(self, dsn: str, size: int, *, read_only: bool = False) -> None:
        self._dsn = dsn
        self._settings = SETTINGS | ({"default_transaction_read_only": "on"} if read_only else {})
        self._free = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._closed = False

    @asynccontextmanager
    async def use(self) -> AsyncIterator["Connection"]:
        try:
            await asyncio.wait_for(self._free.acquire(), WAIT_SECONDS)
        except TimeoutError as error:
            raise Unavailable("All connections to the database are busy.") from error
        try:
            connection = await self._connection()
            try:
                yield connection
            except BaseException as error:
                if _at_fault(error) or connection.is_in_transaction():
                    connection.terminate()
                _raise_as_ours(error)
                raise
            self._put_back(connection)
        finally:
            self._free.release()

    async def close(self) -> None:
        self._closed = True
        while self._idle:
            self._idle.pop().terminate()  # Nothing is under way on them, so nothing is lost.

    async def _connection(self) -> "Connection":
        while self._idle:
            if not (connection := self._idle.pop()).is_closed():
                return connection
        if self._closed:
            raise Unavailable("The store is closed.")
        try:
            return await self._connect()
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError, ValueError) as error:
            raise Unavailable(f"PostgreSQL cannot be reached: {error or type(error).__name__}") from error

    async def _connect(self) -> "Connection":
        connection = await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            statement_cache_size=STATEMENTS_KEPT,
            server_settings=self._settings,
        )
        await connection.execute(KEEP_COMMITS)
        return connection

    def _put_back(self, connection: "Connection") -> None:
        if self._closed:
            connection.terminate()
        else:
            self._idle.append(connection)


async def migrate(connection: "Connection") -> None:
    """Bring the schema up to date, while other replicas wait."""
    await connection.execute("SELECT pg_advisory_lock($1)", MIGRATION_LOCK)
    await connection.execute(CREATE_MIGRATION)
    applied = [(row["number"], row["name"], row["sha256"]) for row in await connection.fetch(READ_APPLIED)]
    for migration in pending(migrations("postgres"), applied):
        async with connection.transaction():
            await connection.execute(migration.sql, timeout=MIGRATION_SECONDS)
            await connection.execute(RECORD_MIGRATION, migration.number, migration.name, migration.sha256)
    await connection.execute("SELECT pg_advisory_unlock($1)", MIGRATION_LOCK)


def _at_fault(error: BaseException) -> bool:
    """Tell whether a connection is to be given up: after a fault its state is not to be trusted."""
    if isinstance(error, asyncpg.PostgresError):
        return not _is_of_rows(error)
    return isinstance(error, (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, asyncio.CancelledError))


def _raise_as_ours(error: BaseException) -> None:
    if _is_of_rows(error):
        raise Rejected(str(error)) from error
    if isinstance(error, asyncpg.SyntaxOrAccessError):
        return  # The statement is wrong, not the store.
    if isinstance(
        error, (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError)
    ):
        raise Unavailable(f"PostgreSQL failed: {error or type(error).__name__}") from error


def _is_of_rows(error: BaseException) -> bool:
    """Tell whether the rows are at fault: a constraint, a value that does not fit, a key too long for an index."""
    if isinstance(error, asyncpg.InterfaceError):
        return isinstance(error, ValueError)  # The driver could not encode a value.
    return isinstance(
        error, (asyncpg.IntegrityConstraintViolationError, asyncpg.DataError, asyncpg.ProgramLimitExceededError)
    )
