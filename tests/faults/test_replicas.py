"""Several replicas on one PostgreSQL: none overspends, and one that hangs keeps the others waiting only so long."""

import asyncio
import base64
import random
import shutil
import signal
import socket
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from faults.autopsy import OVERDUE, Autopsy, Clock
from faults.life import Life
from faults.payments import paying
from faults.victim import DEADLINE_SECONDS, ZOMBIE_SECONDS, Plan
from haldir.app import open_context
from haldir.kernel.ids import TenantId
from haldir.kernel.secret import Secret
from haldir.operations.call_commands import Admit
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed
from haldir.operations.session_commands import CreateSession
from haldir.operations.tenants import create_tenant
from haldir.policy.judgement import Judgement
from haldir.proxy.commands import AddUpstream, ObserveTools, SeenTool
from haldir.settings import Settings
from haldir.storage import postgres_connections
from haldir.workers.sweep import sweep
from harness.processes import Up
from journal_samples import run_async
from upstreams import raw
from upstreams.raw import raw_upstream

CALLERS = 20


@run_async
async def test_a_tenant_whose_head_is_held_keeps_no_other_tenants_calls_from_lapsing(
    fresh_postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(postgres_connections.SETTINGS, "lock_timeout", "300ms")
    clock = Clock()
    holder = await asyncpg.connect(fresh_postgres_dsn)
    async with open_context(Settings(data=tmp_path, database_url=Secret(fresh_postgres_dsn)), clock) as ctx:
        tenants = sorted([(await create_tenant(ctx, ctx.new_op(), "t", "k")).tenant for _ in range(3)])
        for tenant in tenants:
            await leave_a_call_open(ctx, tenant)
        clock.at_least = clock() + OVERDUE
        async with holder.transaction():
            await holder.fetch("SELECT 1 FROM head WHERE tenant = $1 FOR UPDATE", tenants[0])
            assert await sweep(ctx) == 2
        assert await sweep(ctx) == 1
    await holder.close()


def test_two_replicas_on_one_hot_budget_never_overspend_it_and_never_fall_short(
    fresh_postgres_dsn: str, tmp_path: Path
) -> None:
    root_key = base64.b64encode(bytes(range(32))).decode()
    options = ("--database-url", fresh_postgres_dsn)
    chance = random.Random(0)
    with (
        Up(tmp_path / "one", *options, HALDIR_ROOT_KEY=root_key) as one,
        Up(tmp_path / "other", *options, HALDIR_ROOT_KEY=root_key) as other,
    ):
        session = one.session(agent_id="a", spend_limit=20)["session_id"]
        asked = [(chance.choice((one, other)), chance.randint(1, 40) / 100) for _ in range(200)]

        def pay(where: Up, amount: float) -> tuple[float, int]:
            return amount, where.post("/v1/payments/authorize", {"session_id": session, "amount": amount}).status

        with ThreadPoolExecutor(CALLERS) as pool:
            answers = list(pool.map(lambda each: pay(*each), asked))
        allowed = round(sum(amount for amount, status in answers if status == 200), 6)
        refused = [amount for amount, status in answers if status == 403]
        assert {status for _, status in answers} == {200, 403}
        assert allowed <= 20 < allowed + min(refused)
        for replica in (one, other):
            assert replica.rest("GET", f"/v1/sessions/{session}")["spent"] == allowed
            assert replica.rest("GET", "/v1/audit/verify")["verified"]


@pytest.mark.parametrize("step", ["head.locked", "rows.saved", "commit.asked"])
def test_a_zombie_that_holds_a_head_is_timed_out_and_what_it_says_when_it_wakes_is_true(
    fresh_postgres_dsn: str, tmp_path: Path, step: str
) -> None:
    """A replica is stopped within a batch; another goes on; woken, the first finds its batch void and asks again."""
    zombie, replica = (tmp_path / name for name in ("zombie", "replica"))
    for folder in (zombie, replica):
        folder.mkdir()
    executioner = Counter[str]()

    def execute(connection: socket.socket, message: dict[str, Any]) -> None:
        executioner[message["params"]["arguments"]["name"]] += 1
        raw.honest(connection, message)

    with raw_upstream(execute) as upstream:
        plan = Plan(zombie, fresh_postgres_dsn, upstream.url, "zombie", step, 7, from_start=False, zombie=True)
        life = Life(plan)
        life.until_planned_step()
        shutil.copy(zombie / "root.key", replica)
        asyncio.run(_go_on_without_it(Settings(data=replica, database_url=Secret(fresh_postgres_dsn))))
        life.signal(signal.SIGCONT)
        life.until_told("payment", CALLERS)
        life.signal(signal.SIGKILL)
        Autopsy(executioner).examine(plan, life.until_dead())


async def leave_a_call_open(ctx: Context, tenant: TenantId) -> None:
    """Admit a call that nobody will settle."""
    session = CreateSession(
        op_id=ctx.new_op(), session_id="ses", agent_id="a", token_sha256=f"{tenant:0<64}", scopes=("execute",)
    )
    upstream = AddUpstream(op_id=ctx.new_op(), name="up", transport="http", config_digest="")
    tools = ObserveTools(op_id=ctx.new_op(), upstream="up", tools=(SeenTool("do", "hash"),))
    await allowed(ctx, tenant, session)
    version = (await allowed(ctx, tenant, upstream)).at
    await allowed(ctx, tenant, tools)
    admit = Admit(
        op_id=ctx.new_op(),
        call_id="call",
        session_id="ses",
        upstream="up",
        upstream_version=version,
        tool="do",
        arguments_digest="",
        judgement=Judgement(0),
        deadline_ms=round(DEADLINE_SECONDS * 1000),
    )
    await allowed(ctx, tenant, admit)


async def _go_on_without_it(settings: Settings) -> None:
    started = time.monotonic()
    async with paying(settings) as pay:  # What waits for the head waits as long as the database does.
        await pay("while the head is held")
        assert time.monotonic() - started < 5 * ZOMBIE_SECONDS
        assert len(await pay.indexes([f"afterwards {n}" for n in range(CALLERS)])) == CALLERS
