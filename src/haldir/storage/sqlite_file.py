"""How a SQLite database file is opened: locked to one process, private, and never less than durable."""

import fcntl
import os
from pathlib import Path

import apsw

from haldir.kernel.errors import Unavailable
from haldir.storage.migrate import READ_APPLIED, migrations, pending

WAL_BYTES = 8 << 20  # Twice what SQLite lets a WAL reach before it starts over (1000 pages).
SPILLING_PAGES = 16  # So few that a growing transaction writes the rest at once.
CACHE_PAGES = 4_096  # 16 MB: the upper levels of every index.
BUSY_MILLISECONDS = 2_000  # Only a backup or a person's shell can hold the lock; waiters are told soon.
STATEMENTS_KEPT = 256  # Prepared statements per connection: more than there are.

# FULL, because NORMAL loses acknowledged commits on power loss; no mmap, because it hides I/O errors.
WRITER_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = FULL",
    "fullfsync = ON",
    f"cache_size = {CACHE_PAGES}",
    "mmap_size = 0",
    "trusted_schema = OFF",
)
READER_PRAGMAS = ("query_only = ON", "mmap_size = 0", "trusted_schema = OFF")

CREATE_MIGRATION = """
CREATE TABLE IF NOT EXISTS migration (
    number INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT
"""
RECORD_MIGRATION = """
INSERT INTO migration VALUES (?, ?, ?, CAST(unixepoch('subsec') * 1000000 AS INTEGER))
"""


class FileInUse(Unavailable):
    """Another process has this database open; two writers with caches of their own are one too many."""

    code = "file_in_use"
    hint = "Stop the other Haldir, or give this one another data folder."


class FileLock:
    """The right to write one database file, held by one process at a time; it ends with the process."""

    def __init__(self, path: Path) -> None:
        lock_path = path.with_name(f"{path.name}.lock")
        self._handle = os.open(lock_path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(self._handle, 20, 0).decode(errors="replace").strip()
            os.close(self._handle)
            raise FileInUse(f"{path} is in use by the process {holder or '(unknown)'}.") from None
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, str(os.getpid()).encode(), 0)

    def release(self) -> None:
        os.close(self._handle)


def create_private(path: Path) -> None:
    """Make sure that the file is there and that nobody else can read it; its WAL inherits the mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    path.chmod(0o600)


def open_writer(path: Path) -> apsw.Connection:
    return _open(path, apsw.SQLITE_OPEN_READWRITE, WRITER_PRAGMAS)


def open_reader(path: Path) -> apsw.Connection:
    return _open(path, apsw.SQLITE_OPEN_READONLY, READER_PRAGMAS)


def extend_wal(connection: apsw.Connection) -> None:
    """Grow the WAL once, for it to be overwritten from now on: growing it doubles a commit's cost.

    What a transaction spills out of a small cache stays in the file when it is rolled back, and counts for nothing.
    """
    for statement in (
        f"PRAGMA cache_size = {SPILLING_PAGES}",
        "BEGIN IMMEDIATE",
        f"CREATE TABLE ballast AS SELECT zeroblob({WAL_BYTES}) AS zeros",
        "ROLLBACK",
        f"PRAGMA cache_size = {CACHE_PAGES}",
    ):
        connection.execute(statement)


def migrate(connection: apsw.Connection) -> None:
    connection.execute(CREATE_MIGRATION)
    for migration in pending(migrations("sqlite"), connection.execute(READ_APPLIED)):
        with connection:
            connection.execute(migration.sql)
            connection.execute(RECORD_MIGRATION, (migration.number, migration.name, migration.sha256))


def _open(path: Path, flags: int, pragmas: tuple[str, ...]) -> apsw.Connection:
    connection = apsw.Connection(str(path), flags, statementcachesize=STATEMENTS_KEPT)
    connection.set_busy_timeout(BUSY_MILLISECONDS)
    for pragma in pragmas:
        connection.execute(f"PRAGMA {pragma}")
    return connection
