"""What must be true of a store after its process was killed: asked by a process of its own, and of the upstream."""

import asyncio
import itertools
from collections import Counter, defaultdict
from collections.abc import Sequence

from faults.victim import DEADLINE_SECONDS, PAYERS, Plan, Told, payments
from haldir.app import check, open_context, wall_clock
from haldir.journal.command import Outcome
from haldir.kernel import strict_json
from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.ids import TenantId
from haldir.operations.call_ending_commands import LAPSE_GRACE_SECONDS
from haldir.operations.context import Context
from haldir.operations.tenants import first_tenant
from haldir.proxy.model import Call
from haldir.workers.sweep import sweep
from journal_laws import asked, assert_lawful
from journal_samples import entries_of, rows_of, state_of

AT_ONCE = 512  # Commands asked for together: a tenant's queue takes 1,024.
OVERDUE: Micros = round((DEADLINE_SECONDS + LAPSE_GRACE_SECONDS + 1) * SECOND)


class Clock:
    """The wall clock, never behind the log's, and what the autopsy adds to it."""

    def __init__(self) -> None:
        self.at_least: Micros = 0

    def __call__(self) -> Micros:
        return max(wall_clock(), self.at_least)


class Autopsy:
    """One store through all the deaths in it."""

    def __init__(self, executions: Counter[str]) -> None:
        self._executions = executions
        self._acknowledged: list[str] = []  # Calls, over all deaths.

    def examine(self, plan: Plan, told: Sequence[Told]) -> None:
        """Start again on what the dead process left, and hold it against what was told and executed."""
        self._acknowledged += [each.name for each in told if each.kind == "call"]
        asyncio.run(self._examine(plan, told))
        report = check(plan.settings)
        assert report.ok, report
        assert report.entries_checked > 0

    async def _examine(self, plan: Plan, told: Sequence[Told]) -> None:
        clock = Clock()
        async with open_context(plan.settings, clock) as ctx:
            tenant = (await first_tenant(ctx)).tenant
            await _assert_payments_stand(ctx, tenant, plan, told)
            await _lapse_open_calls(ctx, tenant, clock)
            await self._assert_calls_stand(ctx, tenant)
            log = [asked(entry) for entry in await entries_of(ctx.store, tenant)]
            assert_lawful(await state_of(ctx.store, tenant), log)

    async def _assert_calls_stand(self, ctx: Context, tenant: TenantId) -> None:
        """Whatever the upstream did was recorded before, was done once, and ended as the caller was told."""
        keys = await ctx.keyring.tenant(tenant)
        calls = {call.arguments_digest: call for call in await rows_of(ctx.store, tenant, Call)}
        states = {
            name: calls[keys.digest("arguments", strict_json.encode({"name": name}))].state for name in self._executions
        }
        assert {name: count for name, count in self._executions.items() if count != 1} == {}
        assert set(states.values()) <= {"posted", "indeterminate"}
        assert {name: states.get(name) for name in self._acknowledged if states.get(name) != "posted"} == {}
        settled = [call for call in calls.values() if call.state != "indeterminate"]
        assert len(settled) <= len(self._executions)  # Nothing is paid for that was not executed.


async def _assert_payments_stand(ctx: Context, tenant: TenantId, plan: Plan, told: Sequence[Told]) -> None:
    """What was acknowledged has its place in the log; what was under way is decided now, once."""
    session_id = next((each.name for each in told if each.kind == "session"), None)
    if session_id is None:
        return
    paid = {each.name: each.index for each in told if each.kind == "payment"}
    payers = Counter(name.rpartition("-")[0] for name in paid)
    commands = [
        command
        for payer in range(PAYERS)
        for command in itertools.islice(payments(plan.round, payer, session_id), payers[f"{plan.round}-{payer}"] + 1)
    ]
    outcomes: list[Outcome] = []
    for at in range(0, len(commands), AT_ONCE):
        some = (ctx.journal.apply(tenant, command) for command in commands[at : at + AT_ONCE])
        outcomes += await asyncio.gather(*some)
    for command, outcome in zip(commands, outcomes, strict=True):
        assert outcome.allowed
        assert paid.get(command.op_id, outcome.index) == outcome.index
    entries = defaultdict[str, list[int]](list)
    for entry in await entries_of(ctx.store, tenant):
        entries[entry.op_id].append(entry.index)
    assert [entries[command.op_id] for command in commands] == [[outcome.index] for outcome in outcomes]


async def _lapse_open_calls(ctx: Context, tenant: TenantId, clock: Clock) -> None:
    """Let time pass until nobody can come back for the calls that were under way."""
    left_open = [call.id for call in await rows_of(ctx.store, tenant, Call) if call.state == "open"]
    assert await sweep(ctx) == 0
    clock.at_least = (await ctx.journal.head(tenant)).written_at + OVERDUE
    assert await sweep(ctx) == len(left_open)
    lapsed = {call.id: (call.state, call.error) for call in await rows_of(ctx.store, tenant, Call)}
    assert [lapsed[call_id] for call_id in left_open] == [("indeterminate", "lapsed")] * len(left_open)
