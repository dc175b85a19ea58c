"""The journal's promises, one by one: nothing is decided twice, lost, or left without an answer."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import pytest

from conftest import OpenEngine
from haldir.journal import batch
from haldir.journal import journal as journal_module
from haldir.journal.checkpoint import verify_checkpoint
from haldir.journal.command import Command, Decision, Outcome, Record, deny
from haldir.journal.errors import Unstorable
from haldir.journal.journal import COMMAND_BYTES_MAX, Journal
from haldir.journal.witness import NoWitness
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.errors import Conflict, InvalidRequest, Overloaded, PayloadTooLarge, Unavailable
from haldir.kernel.ids import TenantId
from haldir.ledger.model import Budget
from haldir.storage.memory import MemoryEngine, MemoryTransaction
from haldir.storage.rows import Find, Head, Part
from journal_samples import (
    SIGNER,
    TENANT,
    Break,
    Erase,
    Outdated,
    Spend,
    entries_of,
    journal,
    rows_of,
    run_async,
    ticking,
    tree_of,
)

T = TypeVar("T")
OTHER = TenantId("fedcba9876543210")


def spend(op_id: str, micros: int = 1, **more: Any) -> Spend:
    return Spend(op_id=op_id, holder="h", micros=micros, **more)


class Fragile(MemoryEngine):
    """A memory engine that counts its transactions and fails where it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions = 0
        self.failing = False
        self.asked = asyncio.Event()
        self.gate: asyncio.Event | None = None

    async def run(self, batch: Coroutine[Any, Any, T]) -> T:
        self.asked.set()
        try:
            if self.gate is not None:
                await self.gate.wait()
        except asyncio.CancelledError:
            batch.close()
            raise
        return await batch

    @asynccontextmanager
    async def transaction(self, tenant: TenantId) -> AsyncIterator[MemoryTransaction]:
        self.transactions += 1
        async with super().transaction(tenant) as transaction:
            yield transaction
            if self.failing:
                raise Unavailable("the disk is gone")


class Verbose(Command, frozen=True, tag="test.verbose"):
    """Refuse with more words than an entry has room for."""

    words: int

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return deny("exists", "no " * self.words)


class Padded(Command, frozen=True, tag="test.padded"):
    """Refuse with a reason of so many letters."""

    letters: int

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return deny("exists", "x" * self.letters)


class Confused(Command, frozen=True, tag="test.confused"):
    """Fail in the middle of a decision."""

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        raise ZeroDivisionError


@run_async
async def test_a_repeated_op_id_gets_the_recorded_outcome_and_nothing_happens_twice(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    async with journal(engine) as log:
        first = await log.apply(TENANT, spend("a", 7))
        refused = await log.apply(TENANT, spend("b", 2_000_000))
        again = await asyncio.gather(*(log.apply(TENANT, spend("a", 7)) for _ in range(3)))
        recalled = msgspec.structs.replace(first, recalled=True)
        assert not first.recalled
        assert again == [recalled] * 3
    async with journal(engine) as cold:
        assert await cold.apply(TENANT, spend("a", 7)) == recalled
        assert await cold.apply(TENANT, spend("b", 2_000_000)) == msgspec.structs.replace(refused, recalled=True)
        assert len(await entries_of(engine, TENANT)) == 2
    assert await rows_of(engine, TENANT, Budget) == [Budget("h", 1_000_000, spent_micros=7)]
    assert (first.allowed, refused.allowed, refused.code, refused.reason) == (
        True,
        False,
        "budget_exceeded",
        "999993 left",
    )
    await engine.close()


@run_async
async def test_the_same_op_id_twice_in_one_batch_is_decided_once() -> None:
    engine = Fragile()
    async with journal(engine) as log:
        first, second = await asyncio.gather(log.apply(TENANT, spend("a")), log.apply(TENANT, spend("a")))
        assert second == msgspec.structs.replace(first, recalled=True)
        assert engine.transactions == 1
        assert len(await entries_of(engine, TENANT)) == 1


@run_async
async def test_an_op_id_given_to_another_command_is_a_conflict() -> None:
    async with journal(MemoryEngine()) as log:
        await log.apply(TENANT, spend("a", 1))
        with pytest.raises(Conflict):
            await log.apply(TENANT, spend("a", 2))
        assert (await log.apply(OTHER, spend("a", 2))).allowed


@run_async
async def test_a_refusal_is_an_entry_and_changes_nothing(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    async with journal(engine, clock=ticking(5)) as log:
        outcome = await log.apply(TENANT, spend("a", 2, limit_micros=1))
    [entry] = await entries_of(engine, TENANT)
    record = msgspec.json.decode(entry.body, type=Record)
    assert outcome == Outcome(0, 5, allowed=False, code="budget_exceeded", reason="1 left", result=msgspec.Raw(b"null"))
    assert (record.allowed, record.code, record.reason, record.at, record.rules) == (
        False,
        "budget_exceeded",
        "1 left",
        5,
        1,
    )
    assert (entry.kind, entry.session_id, entry.agent_id, entry.tool) == ("test.spend", "h", "tester", "spend")
    assert await rows_of(engine, TENANT, Budget) == []
    await engine.close()


@run_async
async def test_a_stale_command_leaves_no_entry_and_its_op_id_is_free() -> None:
    engine = MemoryEngine()
    async with journal(engine) as log:
        assert (await log.apply(TENANT, Outdated(op_id="a", holder="h"))).stale
        assert await log.head(TENANT) == Head()
        await log.apply(TENANT, spend("b"))
        outcome = await log.apply(TENANT, Outdated(op_id="a", holder="h"))
        assert (outcome.stale, outcome.allowed, outcome.index) == (False, True, 1)


@run_async
async def test_one_command_that_cannot_be_stored_harms_no_other_of_its_batch(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    async with journal(engine) as log:
        asks = [spend(f"a{n}") for n in range(9)]
        mixed = [
            *asks[:4],
            Break(op_id="b", holder="x"),
            *asks[4:],
            Confused(op_id="c"),
            Verbose(op_id="v", words=30_000),
        ]
        answers = await asyncio.gather(*(log.apply(TENANT, each) for each in mixed), return_exceptions=True)
        broken = [type(answer) for answer in answers if isinstance(answer, Exception)]
        assert broken == [Unstorable] * 3
        assert [answer.index for answer in answers if isinstance(answer, Outcome)] == list(range(9))
    assert await rows_of(engine, TENANT, Budget) == [Budget("h", 1_000_000, spent_micros=9)]
    tree_of(await entries_of(engine, TENANT))
    await engine.close()


@run_async
async def test_what_is_too_large_or_no_text_is_refused_before_it_queues() -> None:
    engine = MemoryEngine()
    async with journal(engine) as log:
        with pytest.raises(PayloadTooLarge) as raised:
            await log.apply(TENANT, spend("a", note="x" * COMMAND_BYTES_MAX))
        assert raised.value.max_bytes == COMMAND_BYTES_MAX
        for bad in ("\0", "\\\0", "half a pair: \ud83d"):
            with pytest.raises(InvalidRequest):
                await log.apply(TENANT, spend("a", note=bad))
        for good in ("\\u0000", "\\\\u0000", "x" * (COMMAND_BYTES_MAX - 200)):
            assert (await log.apply(TENANT, spend(f"a{hash(good)}", note=good))).allowed
        assert len(await entries_of(engine, TENANT)) == 3


@run_async
async def test_commands_that_wait_together_share_a_commit() -> None:
    engine = Fragile()
    async with journal(engine) as log:
        await asyncio.gather(*(log.apply(TENANT, spend(f"a{n}")) for n in range(200)))
        assert engine.transactions == 1
        await asyncio.gather(*(log.apply(TENANT, spend(f"b{n}")) for n in range(300)))
        assert engine.transactions == 3


@run_async
async def test_an_entry_may_be_just_as_large_as_its_bound() -> None:
    engine = MemoryEngine()
    async with journal(engine) as log:
        await log.apply(TENANT, Verbose(op_id="a0000", words=10_000))
        [entry] = await entries_of(engine, TENANT)
        letters = batch.ENTRY_BYTES_MAX - (len(entry.body) - 3 * 10_000)
        padded = [Padded(op_id=f"b{n:04}", letters=letters + n - 100) for n in range(201)]
        answers = await asyncio.gather(*(log.apply(TENANT, each) for each in padded), return_exceptions=True)
        sizes = [len(each.body) for each in await entries_of(engine, TENANT)]
    assert max(sizes) == batch.ENTRY_BYTES_MAX
    assert {type(answer) for answer in answers} == {Outcome, Unstorable}


@run_async
async def test_a_full_queue_is_said_at_once_and_what_stood_in_it_is_still_answered() -> None:
    engine = Fragile()
    engine.gate = asyncio.Event()
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "TENANT_QUEUE_COMMANDS_MAX", 5)
        limits.setattr(journal_module, "QUEUE_COMMANDS_MAX", 8)
        async with journal(engine) as log:
            waiting = [asyncio.ensure_future(log.apply(TENANT, spend(f"a{n}"))) for n in range(5)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await log.apply(TENANT, spend("b"))
            waiting += [asyncio.ensure_future(log.apply(OTHER, spend(f"a{n}"))) for n in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await log.apply(TenantId("third"), spend("b"))
            engine.gate.set()
            assert [outcome.index for outcome in await asyncio.gather(*waiting)] == [0, 1, 2, 3, 4, 0, 1, 2]
            assert (await log.apply(TENANT, spend("b"))).index == 5


@run_async
async def test_many_bytes_fill_the_queue_too() -> None:
    engine = Fragile()
    engine.gate = asyncio.Event()
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "QUEUE_BYTES_MAX", 10_000)
        async with journal(engine) as log:
            large = asyncio.ensure_future(log.apply(TENANT, spend("a"), [Part("d", 1, bytes(9_900))]))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await log.apply(TENANT, spend("b"))
            engine.gate.set()
            await large
            assert (await log.apply(TENANT, spend("b"))).index == 1


@run_async
async def test_a_store_that_fails_decides_nothing_and_the_retry_finds_it_well() -> None:
    engine = Fragile()
    async with journal(engine) as log:
        await log.apply(TENANT, spend("a"))
        engine.failing = True
        answers = await asyncio.gather(*(log.apply(TENANT, spend(f"b{n}")) for n in range(9)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [Unavailable] * 9
        assert engine.transactions == 2
        assert len(await entries_of(engine, TENANT)) == 1
        engine.failing = False
        assert (await log.apply(TENANT, spend("b0"))).index == 1
        assert await rows_of(engine, TENANT, Budget) == [Budget("h", 1_000_000, spent_micros=2)]


@run_async
async def test_a_caller_who_went_away_is_not_decided_for() -> None:
    engine = Fragile()
    engine.gate = asyncio.Event()
    async with journal(engine) as log:
        first = asyncio.ensure_future(log.apply(TENANT, spend("a")))
        await engine.asked.wait()
        gone, there = (asyncio.ensure_future(log.apply(TENANT, spend(op_id))) for op_id in ("b", "c"))
        await asyncio.sleep(0)
        gone.cancel()
        await asyncio.sleep(0)
        engine.gate.set()
        assert [(await first).index, (await there).index] == [0, 1]


@run_async
async def test_closing_answers_everyone_who_waits_and_takes_no_more() -> None:
    engine = MemoryEngine()
    log = journal(engine)
    async with log:
        waiting = [asyncio.ensure_future(log.apply(TENANT, spend(f"a{n}"))) for n in range(500)]
        await asyncio.sleep(0)
    assert [outcome.index for outcome in await asyncio.gather(*waiting)] == list(range(500))
    with pytest.raises(Unavailable):
        await log.apply(TENANT, spend("b"))


@run_async
async def test_closing_does_not_wait_for_a_store_that_hangs() -> None:
    engine = Fragile()
    engine.gate = asyncio.Event()
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "DRAIN_SECONDS_MAX", 0.01)
        async with journal(engine) as log:
            waiting = [asyncio.ensure_future(log.apply(TENANT, spend(f"a{n}"))) for n in range(300)]
            await asyncio.sleep(0)
        assert {type(each.exception()) for each in waiting} == {Unavailable}  # Told before the journal is closed.


@run_async
async def test_drain_returns_when_everything_that_waited_is_answered() -> None:
    async with journal(MemoryEngine()) as log:
        waiting = [
            asyncio.ensure_future(log.apply(tenant, spend(f"a{n}"))) for n in range(300) for tenant in (TENANT, OTHER)
        ]
        await asyncio.sleep(0)
        await log.drain()
        assert all(each.done() for each in waiting)


@run_async
async def test_parts_are_stored_once_and_only_for_what_was_allowed(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    async with journal(engine) as log:
        await log.apply(TENANT, spend("a"), [Part("d1", 1, b"sealed"), Part("d2", 1, b"too")])
        await log.apply(TENANT, spend("b"), [Part("d1", 1, b"sealed again"), Part("d3", 0, b"new")])
        await log.apply(TENANT, spend("c", 2_000_000), [Part("d4", 1, b"refused")])
        await log.apply(TENANT, spend("a"), [Part("d5", 1, b"repeated")])
    parts = [Part("d1", 1, b"sealed"), Part("d2", 1, b"too"), Part("d3", 0, b"new")]
    assert await rows_of(engine, TENANT, Part) == parts
    await engine.close()


@pytest.mark.parametrize("at_once", [True, False])
@run_async
async def test_an_erased_part_is_gone_unless_it_is_brought_again(open_engine: OpenEngine, at_once: bool) -> None:  # noqa: FBT001 - pytest hands arguments over by name.
    engine = await open_engine()
    story: list[tuple[Command, list[Part]]] = [
        (spend("a"), [Part("d1", 1, b"1"), Part("d2", 1, b"2"), Part("d3", 1, b"3")]),
        (Erase(op_id="b", digests=("d1", "unknown")), []),
        (Erase(op_id="c", digests=("d2",)), [Part("d2", 2, b"another")]),
        (spend("d"), [Part("d4", 1, b"4"), Part("d1", 1, b"1 again")]),
        (Erase(op_id="e", digests=("d4", "d3")), []),
        (spend("f"), [Part("d2", 3, b"too late")]),
    ]
    async with journal(engine) as log:
        if at_once:
            await asyncio.gather(*(log.apply(TENANT, command, parts) for command, parts in story))
        else:
            for command, parts in story:
                await log.apply(TENANT, command, parts)
    assert await rows_of(engine, TENANT, Part) == [Part("d1", 1, b"1 again"), Part("d2", 2, b"another")]
    await engine.close()


@run_async
async def test_time_never_runs_backwards_in_a_log() -> None:
    engine, times = MemoryEngine(), iter([100, 90, 80, 120, 1])
    async with journal(engine, clock=lambda: next(times)) as log:
        outcomes = [await log.apply(TENANT, spend(f"a{n}")) for n in range(4)]
    async with journal(engine, clock=lambda: next(times)) as log:
        outcomes.append(await log.apply(TENANT, spend("b")))
    assert [outcome.at for outcome in outcomes] == [100, 100, 100, 120, 120]


@run_async
async def test_a_restart_continues_the_same_tree(open_engine: OpenEngine) -> None:
    """Nine hundred entries with a cold journal every 97: tiles and leaves carry the tree across."""
    engine, memory = await open_engine(), MemoryEngine()
    commands = [spend(f"a{n:04d}") for n in range(900)]
    clock = ticking()
    async with journal(memory) as log:
        await asyncio.gather(*(log.apply(TENANT, each) for each in commands))
        expected = await log.head(TENANT)
    for at in range(0, 900, 97):
        async with journal(engine, clock=clock) as log:
            await asyncio.gather(*(log.apply(TENANT, each) for each in commands[at : at + 97]))
            head = await log.head(TENANT)
    assert head == expected
    assert (
        tree_of(await entries_of(engine, TENANT)).root()
        == verify_checkpoint(head.checkpoint, SIGNER.verifier_key(TENANT)).root
    )
    await engine.close()


@run_async
async def test_rows_forgotten_between_batches_are_read_again(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "WARM_ROWS_MAX", 4)
        limits.setattr(journal_module, "WARM_TENANTS_MAX", 2)
        async with journal(engine) as log:
            for n in range(40):
                for tenant in (TENANT, OTHER, TenantId("third")):
                    asks = (Spend(op_id=f"{n}.{m}", holder=f"h{(n + m) % 7}", micros=1) for m in range(3))
                    await asyncio.gather(*(log.apply(tenant, ask) for ask in asks))
    for tenant in (TENANT, OTHER, TenantId("third")):
        budgets = await rows_of(engine, tenant, Budget)
        assert sum(budget.spent_micros for budget in budgets) == 120
        assert len(budgets) == 7
    await engine.close()


@run_async
async def test_two_journals_on_one_log_never_fork_it(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    other = engine if engine.parallel == 1 else await open_engine()  # SQLite has one process; its engine is shared.
    async with journal(engine, clock=ticking()) as one, journal(other, clock=ticking()) as two:
        asks = [(two if n % 2 else one).apply(TENANT, spend(f"a{n}", limit_micros=100)) for n in range(400)]
        outcomes = await asyncio.gather(*asks)
        for n in range(400, 410):
            outcomes.append(await (two if n % 2 else one).apply(TENANT, spend(f"a{n}")))
    assert sum(outcome.allowed for outcome in outcomes) == 100
    assert sorted(outcome.index for outcome in outcomes) == list(range(410))
    tree, head = tree_of(await entries_of(engine, TENANT)), await one.head(TENANT)
    assert verify_checkpoint(head.checkpoint, SIGNER.verifier_key(TENANT)).root == tree.root()
    await engine.close()
    if other is not engine:
        await other.close()


@run_async
async def test_a_writer_that_breaks_leaves_nobody_waiting_and_the_next_one_works() -> None:
    class Forgetful(NoWitness):
        broken = True

        def saw(self, tenant: TenantId, checkpoint: str) -> None:
            if self.broken:
                raise ZeroDivisionError

    witness = Forgetful()
    async with Journal(MemoryEngine(), SIGNER, ticking(), witness) as log:
        assert [(await log.apply(TENANT, spend(f"a{n}"))).index for n in range(3)] == [0, 1, 2]
        witness.broken = False
        assert [(await log.apply(TENANT, spend(f"a{n}"))).index for n in range(4)] == [0, 1, 2, 3]


def test_an_entry_never_exceeds_its_bound() -> None:
    assert COMMAND_BYTES_MAX + journal_module.RECORD_BYTES == batch.ENTRY_BYTES_MAX == 65_536
