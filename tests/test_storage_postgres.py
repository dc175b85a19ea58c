"""PostgreSQL when things go wrong: callers are answered soon, nothing is acknowledged that is not kept, and it recovers."""

import asyncio
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from haldir.kernel.errors import Unavailable
from haldir.kernel.ids import TenantId
from haldir.storage import postgres_connections
from haldir.storage.postgres import READERS, WRITERS, PostgresEngine, PostgresMissing
from journal_samples import TENANT, Spend, entries_of, journal, run_async, tree_of

OTHER = TenantId("fedcba9876543210")
LOCK_HEAD = "SELECT 1 FROM head WHERE tenant = $1 FOR UPDATE"


def spend(op_id: str) -> Spend:
    return Spend(op_id=op_id, holder="h", micros=1)


async def backends(dsn: str) -> list[int]:
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetch(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'haldir' AND datname = current_database()"
        )
        return [row["pid"] for row in found]
    finally:
        await connection.close()


async def applied_in_the_end(log: Any, op_id: str) -> int:
    """Ask until there is an answer, as a caller would: the op_id stays the same."""
    for _ in range(50):
        try:
            return int((await log.apply(TENANT, spend(op_id))).index)
        except Unavailable:
            await asyncio.sleep(0.05)  # What a caller does between tries.
    raise AssertionError("the store never recovered")


@run_async
async def test_connections_killed_by_the_server_are_replaced(fresh_postgres_dsn: str) -> None:
    engine = await PostgresEngine.open(fresh_postgres_dsn)
    async with journal(engine) as log:
        for number in range(3):
            assert await applied_in_the_end(log, f"a{number}") == number
            for pid in await backends(fresh_postgres_dsn):
                os.kill(pid, signal.SIGTERM)
        assert await applied_in_the_end(log, "a9") == 3
        assert await engine.tenants() == [TENANT]
    tree_of(await entries_of(engine, TENANT))
    await engine.close()


@run_async
async def test_a_server_that_hangs_keeps_nobody_waiting(fresh_postgres_dsn: str) -> None:
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(postgres_connections, "STATEMENT_SECONDS", 0.3)
        engine = await PostgresEngine.open(fresh_postgres_dsn)
        await engine.tenants()
    async with journal(engine) as log:
        await log.apply(TENANT, spend("a"))
        frozen = await backends(fresh_postgres_dsn)
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            started = time.monotonic()
            for ask in (log.apply(TENANT, spend("b")), engine.tenants()):
                with pytest.raises(Unavailable):
                    await ask
            assert time.monotonic() - started < 3
            assert (await log.apply(OTHER, spend("b"))).index == 0
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        assert await applied_in_the_end(log, "b") == 1
    await engine.close()


@run_async
async def test_a_replica_that_holds_a_log_head_delays_only_that_tenant_and_not_for_ever(
    fresh_postgres_dsn: str,
) -> None:
    with pytest.MonkeyPatch.context() as limits:
        limits.setitem(postgres_connections.SETTINGS, "lock_timeout", "300ms")
        engine = await PostgresEngine.open(fresh_postgres_dsn)
    holder = await asyncpg.connect(fresh_postgres_dsn)
    async with journal(engine) as log:
        for tenant in (TENANT, OTHER):
            await log.apply(tenant, spend("a"))
        async with holder.transaction():
            await holder.fetch(LOCK_HEAD, TENANT)
            waiting = asyncio.ensure_future(log.apply(TENANT, spend("b")))
            for number in range(1, 20):
                assert (await log.apply(OTHER, spend(f"b{number}"))).index == number
            with pytest.raises(Unavailable):
                await waiting
        assert (await log.apply(TENANT, spend("b"))).index == 1
    await holder.close()
    await engine.close()


@run_async
async def test_no_more_connections_are_opened_than_said(fresh_postgres_dsn: str) -> None:
    engine = await PostgresEngine.open(fresh_postgres_dsn)
    async with journal(engine) as log:
        tenants = [TenantId(f"{n:016x}") for n in range(30)]
        await asyncio.gather(*(log.apply(tenant, spend("a")) for tenant in tenants))
        assert len(await backends(fresh_postgres_dsn)) <= WRITERS
        await asyncio.gather(*(engine.tenants() for _ in range(50)))
        assert len(await backends(fresh_postgres_dsn)) <= WRITERS + READERS
    await engine.close()


@run_async
async def test_commits_are_durable_even_where_the_server_is_told_otherwise(fresh_postgres_dsn: str) -> None:
    connection = await asyncpg.connect(fresh_postgres_dsn)
    name = await connection.fetchval("SELECT current_database()")
    await connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    await connection.close()
    engine = await PostgresEngine.open(fresh_postgres_dsn)
    assert await engine.fetch("SELECT current_setting('synchronous_commit')") == [("on",)]
    await engine.close()


@run_async
async def test_a_reader_cannot_write(fresh_postgres_dsn: str) -> None:
    engine = await PostgresEngine.open(fresh_postgres_dsn)
    with pytest.raises(Unavailable, match="read-only"):
        await engine.fetch("DELETE FROM entry RETURNING 1")
    await engine.close()


@run_async
async def test_a_server_that_is_not_there_is_unavailable_and_no_password_is_told(tmp_path: Path) -> None:
    for dsn in (f"postgresql://someone:hunter2@/x?host={tmp_path}", "postgresql://someone:hunter2@127.0.0.1:1/x"):
        with pytest.raises(Unavailable, match="cannot be reached") as raised:
            await PostgresEngine.open(dsn)
        assert "hunter2" not in str(raised.value)
    with pytest.raises(Unavailable):
        await PostgresEngine.open("nonsense://")


@run_async
async def test_a_missing_driver_is_named(fresh_postgres_dsn: str) -> None:
    with pytest.MonkeyPatch.context() as modules:
        modules.setitem(sys.modules, "haldir.storage.postgres_connections", None)
        with pytest.raises(PostgresMissing) as raised:
            await PostgresEngine.open(fresh_postgres_dsn)
    assert "haldir-guardian[postgres]" in raised.value.hint
