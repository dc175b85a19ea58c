"""What an observer sees stands in the entry of the decision it saw, on every engine, and is told once."""

import asyncio
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conftest import OpenEngine
from court import Court
from haldir.journal.command import ANOMALY, Command, Decision, Notice, Observation, Observer, Record
from haldir.journal.journal import Journal
from haldir.journal.witness import NoWitness
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.ledger.model import Budget
from haldir.ledger.thresholds import THRESHOLDS_PERCENT
from haldir.storage.rows import Entry
from haldir.watch.verify import LogCheck
from journal_samples import SIGNER, TENANT, Outdated, Spend, entries_of, rows_of, run_async, ticking

REFUSED = Notice(ANOMALY, "h", "one refusal too many")
SPENT = Notice("spent", "h", "something was spent")
SECOND_REFUSAL = 2


class Counting(Observer):
    """Counts refusals in a row of its own, and flags the second; tells of each spending."""

    def see(self, rows: WorkingSet, command: Command, decision: Decision, now: Micros) -> Observation:
        if decision.allowed:
            return Observation((SPENT,))
        seen = rows.get(Budget, "refusals") or Budget("refusals", None)
        counted = seen.but(spent_micros=seen.spent_micros + 1)
        return Observation((REFUSED,) if counted.spent_micros == SECOND_REFUSAL else (), (counted,))


class Remembering(Observer):
    """Keeps of whom it saw something decided."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    def see(self, rows: WorkingSet, command: Command, decision: Decision, now: Micros) -> Observation:
        self.seen.append(decision.about.session_id)
        return Observation()


def notices_of(entries: list[Entry]) -> list[tuple[Notice, ...]]:
    return [msgspec.json.decode(entry.body, type=Record).notices for entry in entries]


@run_async
async def test_an_observer_sees_refusals_too_and_remembers_what_it_saw(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    async with Journal(engine, SIGNER, ticking(), NoWitness(), observer=Counting()) as journal:
        for number, micros in enumerate((1, 9, 9, 9)):
            await journal.apply(TENANT, Spend(op_id=f"op{number}", holder="h", micros=micros, limit_micros=5))
    entries = await entries_of(engine, TENANT)
    assert notices_of(entries) == [(SPENT,), (), (REFUSED,), ()]
    assert [entry.flagged for entry in entries] == [False, False, True, False]
    assert await rows_of(engine, TENANT, Budget) == [
        Budget("h", 5, spent_micros=1),
        Budget("refusals", None, spent_micros=3),
    ]
    await engine.close()


@run_async
async def test_what_is_stale_is_not_observed(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    observer = Remembering()
    async with Journal(engine, SIGNER, ticking(), NoWitness(), observer=observer) as journal:
        assert (await journal.apply(TENANT, Outdated(op_id="op", holder="none"))).stale
        assert observer.seen == []
        await journal.apply(TENANT, Spend(op_id="op", holder="h", micros=1))
        assert observer.seen == ["h"]
    assert [row.holder for row in await rows_of(engine, TENANT, Budget)] == ["h"]
    await engine.close()


@run_async
async def test_a_flag_that_the_entry_does_not_bear_is_found(open_engine: OpenEngine) -> None:
    engine = await open_engine()
    async with Journal(engine, SIGNER, ticking(), NoWitness(), observer=Counting()) as journal:
        for number in range(3):
            await journal.apply(TENANT, Spend(op_id=f"op{number}", holder="h", micros=9, limit_micros=5))
    flagged = [msgspec.structs.replace(entry, flagged=not entry.flagged) for entry in await entries_of(engine, TENANT)]
    check = LogCheck()
    check.feed(flagged)
    problems = {(found.problem, found.index) for found in check.result().findings}
    assert problems == {("column_altered", index) for index in range(3)}
    await engine.close()


@pytest.fixture
def court() -> Iterator[Court]:
    with asyncio.Runner() as runner:
        yield Court(runner)


def told(court: Court) -> list[Notice]:
    entries = sorted(court.rows(Entry), key=lambda entry: entry.index)
    return [notice for notices in notices_of(entries) for notice in notices]


def test_a_budget_is_told_of_at_half_at_four_fifths_and_when_it_is_spent(court: Court) -> None:
    court.session("top", "*", limit_micros=100)
    court.session("below", "*", parent="top", limit_micros=50)
    court.pay("below", 24)
    assert told(court) == []
    court.pay("below", 1)
    assert told(court) == [Notice("budget_threshold", "below", "50 % of the budget of below is spent.")]
    court.pay("below", 25)
    assert told(court)[1:] == [
        Notice("budget_exhausted", "below", "The budget of below is spent."),
        Notice("budget_threshold", "top", "50 % of the budget of top is spent."),
    ]
    court.pay("top", 30)
    assert told(court)[3:] == [Notice("budget_threshold", "top", "80 % of the budget of top is spent.")]


def test_money_that_is_only_set_aside_alarms_nobody(court: Court) -> None:
    court.upstream()
    court.session("a", "*", limit_micros=10)
    court.admit("a", call_id="c", micros=10)
    assert told(court) == []
    court.settle("c", "posted")
    assert told(court) == [Notice("budget_exhausted", "a", "The budget of a is spent.")]


@given(limit=st.integers(1, 40), amounts=st.lists(st.integers(1, 12), max_size=12))
@settings(max_examples=100, deadline=None)
def test_each_threshold_is_told_once_and_the_last_one_told_is_where_the_budget_is(
    limit: int, amounts: list[int]
) -> None:
    with asyncio.Runner() as runner:
        court = Court(runner)
        court.session("a", "*", limit_micros=limit)
        for micros in amounts:
            court.pay("a", micros)
        percents = [100 if notice.kind == "budget_exhausted" else int(notice.reason[:2]) for notice in told(court)]
        budget = court.row(Budget, "a")
        assert budget is not None
        reached = [percent for percent in THRESHOLDS_PERCENT if budget.spent_micros * 100 >= percent * limit]
        assert percents == sorted(set(percents))
        assert percents[-1:] == reached[-1:]
