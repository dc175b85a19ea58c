"""A disk that is full or fails, at each write of a start and of a batch: 503, never a wrong answer, and it recovers."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import apsw
import pytest

from faults.payments import FIRST_INDEX, Payer, paying, sound
from faults.watched_files import Change, watched_files
from haldir.journal.command import SYSTEM, Outcome
from haldir.kernel.errors import Unavailable
from haldir.operations.caller import Caller
from haldir.operations.refusals import SINGLE_ENTRIES_PER_MINUTE, RecordRefusal
from haldir.settings import Settings
from harness.threads import running_haldir
from journal_laws import asked
from journal_samples import entries_of, run_async

FAULTS: dict[str, Callable[[], Exception]] = {
    "full": lambda: apsw.exception_for(apsw.SQLITE_FULL),
    "I/O error": lambda: apsw.exception_for(apsw.SQLITE_IOERR_WRITE),
}
BATCHES_TO_WRITE_BACK = 20  # Their pages are more than the thousand at which SQLite begins to write back.
OPENING_TRIES_MAX = 20  # Faults at a start are tried at every so-manieth write: it has thousands.


class Disk:
    """Lets `good` changes through, and then none, or all but one, until it is mended."""

    def __init__(self, fault: Callable[[], Exception], *, lasting: bool) -> None:
        self._fault, self._lasting = fault, lasting
        self.good: int | None = None
        self.fails = ""  # What the names of files that fail end with.
        self.changes = self.refused = 0

    def mend(self) -> None:
        self.good = None

    def __call__(self, change: Change) -> None:
        self.changes += 1
        if self.good is None or not change.path.endswith(self.fails):
            return
        self.good -= 1
        if self.good == -1 or (self.good < 0 and self._lasting):
            self.refused += 1
            raise self._fault()


@pytest.fixture(params=[(kind, lasting) for kind in FAULTS for lasting in (False, True)], ids=str)
def disk(request: pytest.FixtureRequest) -> Disk:
    kind, lasting = request.param
    return Disk(FAULTS[kind], lasting=lasting)


@run_async
async def test_a_fault_at_any_write_of_a_batch_is_unavailable_and_what_was_answered_is_true(
    tmp_path: Path, disk: Disk
) -> None:
    """The first fault strikes at the first write of a batch, the next at the second, until a batch has no more."""
    with watched_files(disk):
        async with paying(Settings(data=tmp_path)) as pay:
            told: dict[str, int] = {}
            struck, good = True, 0
            while struck:
                refused, disk.good = disk.refused, good
                told |= await asked_twice(pay, [f"{good}-{n}" for n in range(5)], disk)
                struck, good = disk.refused > refused, good + 1
            assert good > 10
        async with paying(Settings(data=tmp_path)) as pay:
            assert await pay.indexes(list(told)) == told
            assert sorted(told.values()) == list(range(FIRST_INDEX, FIRST_INDEX + len(told)))
    assert await sound(Settings(data=tmp_path))


@run_async
async def test_a_fault_while_the_wal_is_written_back_loses_nothing(tmp_path: Path) -> None:
    """The database file fails, its WAL does not: what is in the WAL is durable, and is written back later."""
    disk = Disk(FAULTS["I/O error"], lasting=True)
    disk.fails = "haldir.db"
    with watched_files(disk):
        async with paying(Settings(data=tmp_path)) as pay:
            told: dict[str, int] = {}
            for batch in range(BATCHES_TO_WRITE_BACK):
                disk.good = batch % 8
                told |= await asked_twice(pay, [f"{batch}-{n}" for n in range(200)], disk)
            assert disk.refused > 1
        async with paying(Settings(data=tmp_path)) as pay:
            assert await pay.indexes(list(told)) == told
    assert await sound(Settings(data=tmp_path))


@run_async
async def test_a_fault_at_any_write_of_a_start_is_unavailable_and_the_next_start_goes_on(
    tmp_path: Path, disk: Disk
) -> None:
    broken = Settings(data=tmp_path / "broken")
    with watched_files(disk):
        async with paying(Settings(data=tmp_path / "whole")):
            pass
        needed = disk.changes
        for at in range(0, needed, -(-needed // OPENING_TRIES_MAX)):
            disk.good = at
            with suppress(Unavailable):  # Or it struck only when all was done already, and did no harm.
                async with paying(broken):
                    disk.mend()
            disk.mend()
        assert disk.refused >= OPENING_TRIES_MAX // 2
        async with paying(broken) as pay:
            assert (await pay("a")).index == FIRST_INDEX
    assert await sound(broken)


@run_async
async def test_a_count_of_refusals_that_could_not_be_written_is_written_once_the_disk_is_mended(tmp_path: Path) -> None:
    disk = Disk(FAULTS["full"], lasting=True)
    with watched_files(disk):
        async with paying(Settings(data=tmp_path)) as pay:
            refusals = pay.ctx.refusals
            for _ in range(SINGLE_ENTRIES_PER_MINUTE + 25):
                await refusals.record(Caller(pay.tenant, SYSTEM, ()), "create_key", "insufficient_scope", "No.")
            disk.good = 0
            with pytest.raises(Unavailable):
                await refusals.flush(everything=True)
            disk.mend()
            for _ in range(2):
                await refusals.flush(everything=True)
            told = [asked(entry)[1] for entry in await entries_of(pay.ctx.store, pay.tenant)]
    counts = [command.count for command in told if isinstance(command, RecordRefusal)]
    assert counts == [1] * SINGLE_ENTRIES_PER_MINUTE + [25]


def test_whoever_asks_while_the_disk_is_full_gets_a_503_and_later_an_answer(tmp_path: Path) -> None:
    disk = Disk(FAULTS["full"], lasting=True)
    with watched_files(disk), running_haldir(tmp_path) as haldir:
        session = haldir.session()
        asked = {"session_id": session["session_id"], "action": "look"}
        disk.good = 0
        for _ in range(3):
            answer = haldir.post("/v1/audit", asked)
            assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (503, "unavailable", "1")
            assert haldir.rest("GET", "/v1/audit")["count"] == 0
        disk.mend()
        assert haldir.post("/v1/audit", asked).status == 201
        assert haldir.rest("GET", "/v1/audit")["count"] == 1
        assert haldir.rest("GET", "/v1/audit/verify")["verified"]


async def asked_twice(pay: Payer, names: list[str], disk: Disk) -> dict[str, int]:
    """Pay on a disk that may fail, and once more when it is mended; return where the log keeps what.

    A fault in writing back is no fault to SQLite, but raised in the watch it is: after a commit it is Unavailable too.
    """
    answers = await asyncio.gather(*map(pay, names), return_exceptions=True)
    disk.mend()
    again = await pay.indexes(names)
    assert {type(answer) for answer in answers} in ({Outcome}, {Unavailable})
    assert [answer.index for answer in answers if isinstance(answer, Outcome)] in ([], list(again.values()))
    return again
