"""The journal's line: how much may wait, how much one commit takes, and what the server's own log hears of faults."""

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import msgspec
import pytest

from haldir.journal import journal as journal_module
from haldir.journal.command import Command, Decision, Outcome
from haldir.journal.errors import Unstorable
from haldir.journal.journal import Figures, Journal
from haldir.journal.witness import NoWitness
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.errors import Conflict, Overloaded, PayloadTooLarge, Unavailable
from haldir.kernel.ids import TenantId
from haldir.ledger.model import Budget
from haldir.storage.memory import MemoryEngine, MemoryTransaction
from haldir.storage.rows import Find, Part
from journal_samples import SIGNER, TENANT, Spend, journal, run_async, ticking

T = TypeVar("T")


class Counted(MemoryEngine):
    """A memory engine that counts its transactions, and may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions = 0
        self.away = False

    @asynccontextmanager
    async def transaction(self, tenant: TenantId) -> AsyncIterator[MemoryTransaction]:
        self.transactions += 1
        if self.away:
            raise Unavailable("the disk is gone") from OSError(5, "the bus is gone")
        async with super().transaction(tenant) as transaction:
            yield transaction


class Broken(Command, frozen=True, tag="test.broken"):
    """Fail while deciding, with a note that is nobody's business."""

    note: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        raise ZeroDivisionError


class Insatiable(Command, frozen=True, tag="test.insatiable"):
    """Look at one more row whenever there is what it asked for."""

    note: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        for number in itertools.count():
            rows.get(Budget, f"{self.note} {number}")
        raise AssertionError


def spend(op_id: str) -> Spend:
    return Spend(op_id=op_id, holder="h", micros=1)


async def asked(log: Journal, op_ids: Iterable[str], *, part_bytes: int = 0) -> list[object]:
    """Ask for all at once; return the outcomes and errors."""
    asks = (
        log.apply(TENANT, spend(op_id), [Part(op_id, 1, bytes(part_bytes))] if part_bytes else []) for op_id in op_ids
    )
    return list(await asyncio.gather(*asks, return_exceptions=True))


@run_async
async def test_whoever_was_answered_or_went_away_leaves_exactly_one_place_free() -> None:
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "QUEUE_COMMANDS_MAX", 8)
        async with journal(MemoryEngine()) as log:
            for round_ in range(3):
                answers = await asked(log, [f"{round_}.{n}" for n in range(9)])
                assert [type(answer) is Overloaded for answer in answers] == [False] * 8 + [True]
                gone = asyncio.ensure_future(log.apply(TENANT, spend(f"{round_}.gone")))
                await asyncio.sleep(0)
                gone.cancel()
                await log.drain()


@run_async
async def test_bytes_that_were_answered_for_leave_exactly_their_room() -> None:
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "QUEUE_BYTES_MAX", 40_000)
        async with journal(MemoryEngine()) as log:
            for round_ in range(3):
                answers = await asked(log, [f"{round_}.{n}" for n in range(4)], part_bytes=12_000)
                assert [type(answer) is Overloaded for answer in answers] == [False] * 3 + [True]


@run_async
async def test_a_queue_may_be_filled_to_the_byte() -> None:
    command = spend("a")
    async with journal(MemoryEngine()) as log:
        size_bytes = len(journal_module._encoded(command))
        with pytest.MonkeyPatch.context() as limits:
            limits.setattr(journal_module, "QUEUE_BYTES_MAX", size_bytes - 1)
            with pytest.raises(Overloaded):
                await log.apply(TENANT, command)
            limits.setattr(journal_module, "QUEUE_BYTES_MAX", size_bytes)
            assert (await log.apply(TENANT, command)).allowed


@run_async
async def test_four_thousand_and_ninety_six_may_wait_a_quarter_of_them_for_one_tenant() -> None:
    tenants = "a" * 1025 + "b" * 1024 + "c" * 1024 + "d" * 1023 + "e" * 2
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "DRAIN_SECONDS_MAX", 0)
        async with journal(Leaving()) as log:
            asks = (log.apply(TenantId(tenant), spend(f"{n}")) for n, tenant in enumerate(tenants))
            waiting = [asyncio.ensure_future(ask) for ask in asks]
            await asyncio.sleep(0)
            assert log.figures().waiting == 4096
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    full = [tenant for tenant, answer in zip(tenants, answers, strict=True) if isinstance(answer, Overloaded)]
    assert full == ["a", "e"]


@run_async
async def test_what_waits_may_have_a_hundred_and_twenty_eight_mebibytes_and_not_one_byte_more() -> None:
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "DRAIN_SECONDS_MAX", 0)
        async with journal(Leaving()) as log:
            room = (128 << 20) - len(journal_module._encoded(spend("a")))
            with pytest.raises(Overloaded):
                await log.apply(TENANT, spend("a"), [Part("d", 1, bytes(room + 1))])
            waiting = asyncio.ensure_future(log.apply(TENANT, spend("a"), [Part("d", 1, bytes(room))]))
            await asyncio.sleep(0)
            assert log.figures().waiting == 1
        with pytest.raises(Unavailable):
            await waiting


@run_async
async def test_one_commit_takes_two_hundred_and_fifty_six_commands_and_no_more() -> None:
    engine = Counted()
    async with journal(engine) as log:
        await asked(log, [f"a{n}" for n in range(256)])
        assert engine.transactions == 1
        await asked(log, [f"b{n}" for n in range(257)])
        assert engine.transactions == 3


@run_async
async def test_a_commit_that_has_its_eight_mebibytes_takes_nobody_along() -> None:
    room = (8 << 20) - len(journal_module._encoded(spend("a")))
    commits = []
    for part_bytes in (room - 1, room):
        engine = Counted()
        async with journal(engine) as log:
            large = log.apply(TENANT, spend("a"), [Part("a", 1, bytes(part_bytes))])
            await asyncio.gather(large, log.apply(TENANT, spend("b")))
        commits.append(engine.transactions)
    assert commits == [1, 2]


@run_async
async def test_nothing_is_begun_where_everyone_went_away() -> None:
    engine = Counted()
    async with journal(engine) as log:
        gone = asyncio.ensure_future(log.apply(TENANT, spend("a")))
        await asyncio.sleep(0)
        gone.cancel()
        await log.drain()
        assert (engine.transactions, log.figures()) == (0, Figures())


@pytest.mark.parametrize(("turns", "commits"), [(2, 1), (5, 2)])
@run_async
async def test_a_commit_takes_along_who_comes_at_once_and_waits_for_nobody_else(turns: int, commits: int) -> None:
    async def later() -> Outcome:
        for _ in range(turns):
            await asyncio.sleep(0)
        return await log.apply(TENANT, spend("b"))

    engine = Counted()
    async with journal(engine) as log:
        await asyncio.gather(log.apply(TENANT, spend("a")), later())
    assert engine.transactions == commits


@run_async
async def test_each_is_told_of_a_fault_by_an_error_of_its_own_that_says_what_caused_it() -> None:
    engine = Counted()
    async with journal(engine) as log:
        engine.away = True
        one, other = await asked(log, ["a", "b"])
    assert one is not other
    for error in (one, other):
        assert isinstance(error, Unavailable)
        assert str(error.__cause__) == "[Errno 5] the bus is gone"


@run_async
async def test_one_commit_takes_no_more_than_its_share_of_bytes() -> None:
    engine = Counted()
    with pytest.MonkeyPatch.context() as limits:
        limits.setattr(journal_module, "BATCH_BYTES_MAX", 10_000)
        async with journal(engine) as log:
            await asked(log, [f"a{n}" for n in range(6)], part_bytes=6_000)
    assert engine.transactions == 3


@run_async
async def test_a_fault_is_told_to_the_servers_log_without_what_was_asked(caplog: pytest.LogCaptureFixture) -> None:
    class Forgetful(NoWitness):
        def saw(self, tenant: TenantId, checkpoint: str) -> None:
            raise ZeroDivisionError

    with caplog.at_level(logging.ERROR):
        async with Journal(MemoryEngine(), SIGNER, ticking(), Forgetful()) as log:
            for command, why in ((Broken, None), (Insatiable, "never has all its rows")):
                with pytest.raises(Unstorable, match=why):
                    await log.apply(TENANT, command(op_id="op1", note="a private matter"))
            assert (await log.apply(TENANT, spend("b"))).allowed
    told = [(record.message, getattr(record, "event", None)) for record in caplog.records]
    assert told == [
        ("command_unstorable", {"tenant": TENANT, "op_id": "op1"}),
        ("command_unstorable", {"tenant": TENANT, "op_id": "op1"}),
        ("journal_writer_failed", {"tenant": TENANT}),
    ]
    assert "a private matter" not in caplog.text


@run_async
async def test_the_figures_say_what_was_done_and_what_waits() -> None:
    engine = Counted()
    async with journal(engine) as log:
        assert log.figures() == Figures(0, 0, 0, 0, 0, 0)
        await asked(log, ["a", "b"])
        await log.apply(TENANT, Spend(op_id="c", holder="h", micros=2_000_000))
        await log.apply(TENANT, spend("a"))
        with pytest.raises(Conflict):
            await log.apply(TENANT, Spend(op_id="a", holder="h", micros=2))
        with pytest.raises(Unstorable):
            await log.apply(TENANT, Broken(op_id="d", note=""))
        engine.away = True
        await asked(log, ["e", "f"])
        engine.away = False
        assert log.figures() == Figures(batches=4, allowed=3, refused=1, failed=4, waiting=0, waiting_bytes=0)
        waits = asyncio.ensure_future(log.apply(TENANT, spend("g"), [Part("g", 1, bytes(1000))]))
        await asyncio.sleep(0)
        size_bytes = 1000 + len(journal_module._encoded(spend("g")))
        assert log.figures() == Figures(batches=4, allowed=3, refused=1, failed=4, waiting=1, waiting_bytes=size_bytes)
        await waits
        assert log.figures() == Figures(batches=5, allowed=4, refused=1, failed=4, waiting=0, waiting_bytes=0)


class Leaving(MemoryEngine):
    """A memory engine whose store goes away once it is let on."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.gate = asyncio.Event(), asyncio.Event()

    async def run(self, batch: Coroutine[Any, Any, T]) -> T:
        self.asked.set()
        batch.close()
        await self.gate.wait()
        raise Unavailable("the disk is gone")


@run_async
async def test_one_who_went_away_leaves_nobody_behind_waiting() -> None:
    engine = Leaving()
    async with journal(engine) as log:
        asks = [asyncio.ensure_future(log.apply(TENANT, spend(op_id))) for op_id in ("a", "b", "c")]
        await engine.asked.wait()
        asks[0].cancel()
        await asyncio.sleep(0)
        engine.gate.set()
        async with asyncio.timeout(5):
            answers = await asyncio.gather(*asks, return_exceptions=True)
    assert [type(answer) for answer in answers] == [asyncio.CancelledError, Unavailable, Unavailable]


@run_async
async def test_a_command_may_have_sixty_kibibytes_and_not_one_byte_more() -> None:
    empty = len(journal_module._encoded(Spend(op_id="a", holder="h", micros=1, note="x"))) - 1
    fits = Spend(op_id="a", holder="h", micros=1, note="x" * ((60 << 10) - empty))
    async with journal(MemoryEngine()) as log:
        assert (await log.apply(TENANT, fits)).allowed
        with pytest.raises(PayloadTooLarge):
            await log.apply(TENANT, msgspec.structs.replace(fits, op_id="b", note=fits.note + "x"))
