"""A Haldir under load that kills (or stops) itself at a planned step, and tells until then what was acknowledged."""

import asyncio
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Literal

import msgspec

from faults.mortal import MortalEngine, MortalJournal, MortalPool
from faults.watched_files import watched_files
from haldir import app
from haldir.journal.command import Command, CredentialRef, Outcome
from haldir.kernel.errors import Unavailable
from haldir.kernel.ids import TenantId
from haldir.kernel.secret import Secret
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.operator import sync_operator_upstreams
from haldir.operations.payment_commands import AuthorizePayment
from haldir.operations.tenants import first_tenant
from haldir.operations.verbs.proxy_call import CallToolRequest
from haldir.operations.verbs.proxy_call import call as call_by_rest
from haldir.operations.verbs.sessions import CreateSessionRequest, create_session
from haldir.operations.wire import Amount, JsonObject
from haldir.proxy.model import Price, ToolRule, UpstreamConfig
from haldir.settings import Settings
from haldir.storage import postgres_connections

PAYERS, CALLERS = 4, 6
LIMIT_MICROS = 10**12
PRICE_MICROS = 1_000
DEADLINE_SECONDS = 5.0
ZOMBIE_SECONDS = 2
ANY_STEP = "any"


class Plan(msgspec.Struct, frozen=True):
    """Where and when to die: at the nth time of a step (or of any), counted from the start or from when the load begins.

    A `zombie` does not die but stops, and PostgreSQL is told to wait a shorter time for it than usual.
    """

    data: Path
    dsn: str | None
    upstream_url: str
    round: str
    step: str
    nth: int
    from_start: bool
    zombie: bool = False

    @property
    def settings(self) -> Settings:
        return Settings(data=self.data, database_url=Secret(self.dsn) if self.dsn else None)


class Told(msgspec.Struct, frozen=True):
    """What the victim's callers had heard before it died. `index` is where the log keeps a payment."""

    kind: Literal["session", "payment", "call", "dying"]
    name: str
    index: int = -1


class Reaper:
    """Counts steps, on whatever thread they are taken, and kills the process at the planned one."""

    def __init__(self, plan: Plan, tell: Callable[[Told], None]) -> None:
        self._plan, self._tell = plan, tell
        self._left = plan.nth
        self._counting = threading.Lock()
        self.armed = plan.from_start

    def __call__(self, step: str) -> None:
        if not self.armed or self._plan.step not in {step, ANY_STEP}:
            return
        with self._counting:
            self._left -= 1
            if self._left == 0:
                self._tell(Told("dying", step))
                os.kill(os.getpid(), signal.SIGSTOP if self._plan.zombie else signal.SIGKILL)


def run(plan: Plan, telling: Connection) -> None:
    """Live until the planned step; the process's main function."""

    def tell(told: Told) -> None:
        telling.send_bytes(msgspec.json.encode(told))

    if plan.zombie:
        assert "idle_in_transaction_session_timeout" in postgres_connections.SETTINGS
        postgres_connections.SETTINGS["idle_in_transaction_session_timeout"] = f"{ZOMBIE_SECONDS}s"
    reaper = Reaper(plan, tell)
    sys.addaudithook(lambda event, _: reaper("file.renamed") if event == "os.rename" else None)
    files = nullcontext() if plan.dsn else watched_files(lambda change: reaper(f"file.{change.kind}"))
    with files:
        asyncio.run(_live(plan, reaper, tell))


def payments(plan_round: str, payer: int, session_id: str) -> Iterator[AuthorizePayment]:
    """Yield what one payer of a round asks for, one after another: an autopsy asks for the same."""
    for number in itertools.count():
        name = f"{plan_round}-{payer}-{number}"
        yield AuthorizePayment(op_id=name, payment_id=f"pay_{name}", session_id=session_id, amount_micros=1)


async def _live(plan: Plan, reaper: Reaper, tell: Callable[[Told], None]) -> None:
    open_store = app._open_store

    async def open_mortal_store(settings: Settings) -> Any:
        return MortalEngine(await open_store(settings), reaper)

    app._open_store = open_mortal_store
    async with app.open_context(plan.settings) as whole:
        ctx = msgspec.structs.replace(
            whole, journal=MortalJournal(whole.journal, reaper), pool=MortalPool(whole.pool, reaper)
        )
        caller = await first_caller(ctx, plan.upstream_url)
        asked = CreateSessionRequest("agent", ["execute"], spend_limit=Amount(LIMIT_MICROS))
        session_id = (await create_session(ctx, caller, asked)).session_id
        tell(Told("session", session_id))
        reaper.armed = True
        payers = [_pay(ctx, caller.tenant, payments(plan.round, n, session_id), tell) for n in range(PAYERS)]
        callers = [_call(ctx, caller, f"{plan.round}-{n}", session_id, tell) for n in range(CALLERS)]
        await asyncio.gather(*payers, *callers)


async def first_caller(ctx: Context, upstream_url: str) -> Caller:
    """Return the operator as a caller, with one upstream that has a price."""
    first = await first_tenant(ctx)
    rule = ToolRule("do", price=Price(fixed_micros=PRICE_MICROS))
    config = UpstreamConfig(url=upstream_url, deadline_seconds=DEADLINE_SECONDS)
    await sync_operator_upstreams(ctx, first.tenant, [("up", config, (rule,))])
    return Caller(first.tenant, CredentialRef("key", first.key.reveal()[:12]), ("*",))


async def _pay(
    ctx: Context, tenant: TenantId, commands: Iterator[AuthorizePayment], tell: Callable[[Told], None]
) -> None:
    for command in commands:
        outcome = await _applied(ctx, tenant, command)
        assert outcome.allowed, outcome
        tell(Told("payment", command.op_id, outcome.index))


async def _applied(ctx: Context, tenant: TenantId, command: Command) -> Outcome:
    """Ask until there is an answer, as whoever kept the op_id may."""
    while True:
        try:
            return await ctx.journal.apply(tenant, command)
        except Unavailable:
            continue


async def _call(ctx: Context, caller: Caller, name: str, session_id: str, tell: Callable[[Told], None]) -> None:
    for number in itertools.count():
        asked = CallToolRequest("up.do", session_id, JsonObject({"name": f"{name}-{number}"}))
        try:
            answer = await call_by_rest(ctx, caller, asked)
        except Unavailable:
            continue  # Nothing was forwarded. A call is never asked for twice.
        assert answer.status in {200, 503}, answer
        if answer.status == 200:
            tell(Told("call", f"{name}-{number}"))
