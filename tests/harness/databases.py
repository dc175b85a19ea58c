"""Databases of a PostgreSQL server, one for each test that wants one."""

import asyncio
import itertools

import pytest

_numbers = itertools.count()


def fresh_database(dsn: str) -> str:
    """Make an empty database on the server of this DSN; return the DSN of the new one."""
    return asyncio.run(_fresh_database(dsn, f"haldir_{next(_numbers)}"))


def dsn_of(request: pytest.FixtureRequest, store: str | None = None) -> str | None:
    """Return a fresh database where a test, or its fixture's parameter, asks for PostgreSQL."""
    if (store or getattr(request, "param", "sqlite")) != "postgres":
        return None
    return fresh_database(request.getfixturevalue("postgres_dsn"))


async def _fresh_database(dsn: str, name: str) -> str:
    import asyncpg  # noqa: PLC0415 - only where a test needs it.

    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {name}")
        await connection.execute(f"CREATE DATABASE {name}")
    finally:
        await connection.close()
    return dsn.replace("/postgres?", f"/{name}?", 1)
