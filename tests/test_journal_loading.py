"""How often a batch asks the store: what slows every command down when it goes wrong, and changes no outcome."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any, ClassVar

import pytest

from haldir.journal import journal as journal_module
from haldir.journal.command import Command, Decision, Observation, Observer, allow
from haldir.journal.journal import Journal
from haldir.journal.witness import NoWitness
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.ledger.model import Budget
from haldir.operations.payment_commands import AuthorizePayment
from haldir.operations.session_commands import CreateSession
from haldir.storage.memory import MemoryEngine
from haldir.storage.rows import Find, Row
from journal_samples import SIGNER, TENANT, Spend, journal, run_async, ticking


class Counting(MemoryEngine):
    """A memory engine that counts how often rows of a table are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = Counter[str]()

    async def load(self, tenant: TenantId, row_type: type[Row], columns: tuple[str, ...], values: Any) -> Iterable[Row]:
        self.loads[row_type.TABLE.name] += 1
        return await super().load(tenant, row_type, columns, values)


class Asked(Command, frozen=True, tag="test.asked"):
    """Counts how often it is asked what it needs."""

    times: ClassVar[Counter[str]] = Counter()

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        self.times[self.op_id] += 1
        yield Budget.at(self.op_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        rows.get(Budget, self.op_id)
        return allow()


class Comparing(Observer):
    """Looks at one budget whatever is decided."""

    def needs(self, rows: WorkingSet, command: Command) -> Iterable[Find]:
        yield Budget.at("compared")

    def see(self, rows: WorkingSet, command: Command, decision: Decision, now: Micros) -> Observation:
        rows.get(Budget, "compared")
        return Observation()


@run_async
async def test_a_command_is_asked_what_it_needs_until_that_is_nothing_new_and_no_oftener() -> None:
    Asked.times.clear()
    async with journal(MemoryEngine()) as log:
        await asyncio.gather(*(log.apply(TENANT, Asked(op_id=op_id)) for op_id in "abc"))
    assert Asked.times == {"a": 2, "b": 2, "c": 2}


@run_async
async def test_what_an_observer_looks_at_is_loaded_with_what_the_command_needs() -> None:
    engine = Counting()
    async with Journal(engine, SIGNER, ticking(), NoWitness(), observer=Comparing()) as log:
        await log.apply(TENANT, Spend(op_id="a", holder="h", micros=1))
    assert engine.loads["budget"] == 1


@run_async
async def test_what_the_commands_of_a_batch_name_is_loaded_at_once_and_only_once() -> None:
    engine = Counting()
    async with journal(engine) as log:
        asks = [Spend(op_id=f"a{n}", holder=f"h{n % 50}", micros=1) for n in range(100)]
        await asyncio.gather(*(log.apply(TENANT, ask) for ask in asks))
        await log.apply(TENANT, Spend(op_id="b", holder="h7", micros=1))
    assert engine.loads["budget"] == 1


@run_async
async def test_a_batch_of_many_follows_what_rows_name_in_as_many_rounds_as_one_command() -> None:
    def opening(session_id: str, parent: str | None) -> CreateSession:
        return CreateSession(
            op_id=session_id, session_id=session_id, agent_id="x", token_sha256="", scopes=("spend",), parent_id=parent
        )

    def paying(op_id: str, session_id: str) -> AuthorizePayment:
        return AuthorizePayment(op_id=op_id, payment_id=op_id, session_id=session_id, amount_micros=1)

    engine = Counting()
    async with journal(engine) as log:
        for depth in range(4):
            for line in range(8):
                above = f"s{line}.{depth - 1}" if depth else None
                await log.apply(TENANT, opening(f"s{line}.{depth}", above))
    counted = []
    for lines in (1, 8):
        async with journal(engine) as cold:
            engine.loads.clear()
            await asyncio.gather(*(cold.apply(TENANT, paying(f"p{lines}.{n}", f"s{n}.3")) for n in range(lines)))
            counted.append((engine.loads["session"], engine.loads["budget"], engine.loads["agent"]))
    assert counted == [(2, 1, 1)] * 2


@run_async
async def test_what_is_remembered_between_batches_is_bounded_and_what_was_used_last_is_kept() -> None:
    engine = Counting()
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "WARM_ROWS_MAX", 6)
        limits.setattr(journal_module, "WARM_TENANTS_MAX", 3)
        async with journal(engine) as log:
            tenants = [TenantId(f"tenant{n}") for n in range(5)]
            for tenant in tenants:
                for n in range(6):
                    await log.apply(tenant, Spend(op_id=f"a{n}", holder=f"h{n}", micros=1))
            assert list(log._logs) == tenants[2:]
            assert [len(kept.rows) for kept in log._logs.values()] == [6, 6, 6]
            await log.apply(tenants[2], Spend(op_id="b", holder="h6", micros=1))
            assert len(log._logs[tenants[2]].rows) == 3
            engine.loads.clear()
            for n in (4, 5, 6):
                await log.apply(tenants[2], Spend(op_id=f"c{n}", holder=f"h{n}", micros=1))
            assert engine.loads["budget"] == 0
            await log.apply(tenants[2], Spend(op_id="d", holder="h3", micros=1))
            assert engine.loads["budget"] == 1
