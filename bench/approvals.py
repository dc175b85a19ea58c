"""What many pending approvals cost: `approvals.py [sqlite|postgres] [SIZE…]`, by default SQLite with 100 and 10,000.

What waits is made as in life: each of many agents made a call, and then asked for a hundred others that a rule holds.
Then a `haldir up` on the same data is asked over HTTP; `x` is how many times what the first size takes.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import uvloop
from growth import Client, serving
from postgres import postgres

from haldir.app import open_context
from haldir.approvals.commands import AddApprovalRule
from haldir.approvals.pending import PENDING_PER_SESSION_MAX
from haldir.kernel import ids
from haldir.kernel.ids import TenantId
from haldir.kernel.secret import Secret
from haldir.operations.call_commands import Admit, Charge
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.operations.payload_commands import part_name
from haldir.operations.pending_watch import read_pending_count
from haldir.operations.session_commands import CreateSession
from haldir.operations.tenants import first_tenant
from haldir.policy.judgement import Judgement
from haldir.proxy.commands import AddUpstream, ObserveTools, SeenTool
from haldir.proxy.model import Upstream, UpstreamConfig
from haldir.settings import Settings

SIZES = (100, 10_000)
ROUNDS = 50
MOST_OF_ROUNDS = 0.99
ASKED_AT_ONCE = 200
HELD_MICROS = 1_000_000
HEADS = ("list 100", "of an agent", "show one", "approve", "deny")


class Asker:
    """An agent in a session of its own, that calls one tool with arguments of some hundred bytes."""

    def __init__(self, ctx: Context, tenant: TenantId, number: int, version: int) -> None:
        self._ctx, self._tenant, self._version = ctx, tenant, version
        self.agent, self.session = f"agent-{number}", ""

    async def open(self) -> None:
        op_id = self._ctx.new_op()
        self.session = ids.session_id(op_id)
        opened = CreateSession(
            op_id=op_id,
            session_id=self.session,
            agent_id=self.agent,
            token_sha256=op_id,
            scopes=("execute", "spend"),
            ttl_seconds=0,
        )
        assert (await self._ctx.journal.apply(self._tenant, opened)).allowed

    async def call(self, number: int, micros: int) -> str:
        """Call the tool at a price; return the code of the refusal, if it was refused."""
        op_id = self._ctx.new_op()
        call_id = ids.call_id(op_id)
        keys = await self._ctx.keyring.tenant(self._tenant)
        arguments = f'{{"items":[{number},2,3],"note":"{"as agreed " * 20}","to":"{self.agent}"}}'.encode()
        part = keys.seal_as(part_name(call_id, "arguments"), arguments, self._ctx.clock())
        admit = Admit(
            op_id=op_id,
            call_id=call_id,
            session_id=self.session,
            upstream="shop",
            upstream_version=self._version,
            tool="buy",
            arguments_digest=f"{self.agent} {number}",
            judgement=Judgement(0),
            charge=Charge(micros, ruled=True),
            deadline_ms=30_000,
            details_digest=part.digest,
        )
        return (await self._ctx.journal.apply(self._tenant, admit, [part])).code


def main(engine: str, sizes: list[int]) -> None:
    print(f"{engine}, times in ms: median of {ROUNDS}, the slowest of 99 in 100, and x times the first size\n")
    print(f"{'pending':>10}" + "".join(f"{head:>26}" for head in HEADS), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if engine == "sqlite":
            show(Settings(data=folder), sizes)
        else:
            with postgres(folder / "postgres") as url:
                show(Settings(data=folder, database_url=Secret(url)), sizes)


def show(settings: Settings, sizes: list[int]) -> None:
    first: list[float] = []
    for size in sizes:
        key, pending = uvloop.run(filled(settings, size))
        with serving(settings) as haldir:
            client = Client(haldir.url, key)
            client.warm_up()
            took = list(measured(client))
        medians = [statistics.median(each) for each in took]
        first = first or medians
        cells = (
            f"{median:9.2f} {slowest(each):8.2f} {median / before:6.2f}x"
            for median, each, before in zip(medians, took, first, strict=True)
        )
        print(f"{pending:>10,}" + "".join(f"{cell:>26}" for cell in cells), flush=True)


def slowest(took: list[float]) -> float:
    return sorted(took)[round(len(took) * MOST_OF_ROUNDS) - 1]


def measured(client: Client) -> list[list[float]]:
    """Return what each request took, in the order of HEADS."""
    waiting = client.get(f"/v1/approvals/pending?limit={2 * ROUNDS}")["requests"]
    names = [each["request_id"] for each in waiting]
    assert all(each["compared"]["state"] == "compared" and len(each["changes"]) == 1 for each in waiting)
    agent = waiting[0]["agent_id"]
    return [
        milliseconds(lambda _: client.get("/v1/approvals/pending")),
        milliseconds(lambda _: client.get(f"/v1/approvals/pending?agent_id={agent}")),
        milliseconds(lambda at: client.get(f"/v1/approvals/{names[at]}")),
        milliseconds(lambda at: client.post(f"/v1/approvals/{names[2 * at]}/approve")),
        milliseconds(lambda at: client.post(f"/v1/approvals/{names[2 * at + 1]}/deny")),
    ]


def milliseconds(ask: Callable[[int], object]) -> list[float]:
    took = []
    for at in range(ROUNDS):
        began = time.perf_counter()
        ask(at)
        took.append((time.perf_counter() - began) * 1e3)
    return took


async def filled(settings: Settings, size: int) -> tuple[str, int]:
    """Have about `size` approvals wait; return the key to ask with, and how many do."""
    async with open_context(settings) as ctx:
        first = await first_tenant(ctx)
        count = await read_pending_count(ctx.store, first.tenant)
        version = await prepared(ctx, first.tenant)
        missing = size - count.pending
        numbers = range(count.asked, count.asked + missing, PENDING_PER_SESSION_MAX)
        askers = [Asker(ctx, first.tenant, number, version) for number in numbers]
        for asker in askers:
            await asker.open()
            assert not await asker.call(0, 0)
        for start in range(0, missing, ASKED_AT_ONCE):
            asking = range(start, min(start + ASKED_AT_ONCE, missing))
            codes = await asyncio.gather(
                *(askers[at // PENDING_PER_SESSION_MAX].call(at + 1, HELD_MICROS) for at in asking)
            )
            assert set(codes) == {"approval_required"}, set(codes)
        return first.key.reveal(), (await read_pending_count(ctx.store, first.tenant)).pending


async def prepared(ctx: Context, tenant: TenantId) -> int:
    """Have an upstream, and a rule that holds what costs anything; return the version of the upstream."""
    if upstream := await find_row(ctx, tenant, Upstream, "shop"):
        return upstream.version
    keys = await ctx.keyring.tenant(tenant)
    config = keys.seal(msgspec.json.encode(UpstreamConfig(url="http://127.0.0.1:9/mcp")), "upstream.config")
    added = AddUpstream(op_id=ctx.new_op(), name="shop", transport="http", config_digest=config.digest)
    seen = ObserveTools(op_id=ctx.new_op(), upstream="shop", tools=(SeenTool("buy", "hash"),))
    rule = AddApprovalRule(op_id=ctx.new_op(), rule_id="apl_bench", rule_kind="spend_over")
    for command, parts in ((added, [config]), (seen, []), (rule, [])):
        assert (await ctx.journal.apply(tenant, command, parts)).allowed
    return await prepared(ctx, tenant)


if __name__ == "__main__":
    asked = sys.argv[1:]
    main(asked[0] if asked else "sqlite", [int(size) for size in asked[1:]] or list(SIZES))
