"""Who may carry out a request that was named, and what becomes of it: every rule, by a clock that the test moves."""

import asyncio

import pytest

from court import Court, told
from haldir.gate.model import Request
from haldir.gate.request_commands import (
    KEPT,
    LEASE,
    ForgetRequests,
    KeepAnswer,
    ReleaseRequest,
    Reserved,
    ReserveRequest,
)
from haldir.journal.command import Outcome
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import DAY


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


def reserve(court: Court, op: str, *, holder: str = "one", body: str = "body", request: str = "r") -> Outcome:
    command = ReserveRequest(op_id=court.op(), request=request, body_digest=body, request_op=op, holder=holder)
    return court.apply(command)


def reserved(court: Court, op: str, *, holder: str = "one") -> Reserved:
    outcome = reserve(court, op, holder=holder)
    assert outcome.allowed
    found: Reserved = told(outcome, Reserved)
    return found


def keep(court: Court, op: str, digest: str = "answer") -> Outcome:
    return court.apply(KeepAnswer(op_id=court.op(), request="r", request_op=op, answer_digest=digest))


def release(court: Court, op: str, *, holder: str = "one", forget: bool) -> Outcome:
    command = ReleaseRequest(op_id=court.op(), request="r", request_op=op, holder=holder, forget=forget)
    return court.apply(command)


def forget(court: Court, *requests: str) -> None:
    assert court.apply(ForgetRequests(op_id=court.op(), requests=requests)).allowed


def test_answers_are_kept_a_day_and_a_silent_holder_has_twenty_seconds() -> None:
    assert (KEPT, LEASE) == (24 * 3600 * 1_000_000, 20 * 1_000_000)


def test_whoever_reserves_first_runs_it_and_others_find_it_held(court: Court) -> None:
    assert reserved(court, "a") == Reserved("a", "run")
    assert reserved(court, "b", holder="other") == Reserved("a", "held")
    assert court.row(Request, "r") == Request("r", "body", "a", court.now, "one", court.now + LEASE)


def test_its_holder_takes_it_again_under_the_first_op_id_and_so_renews_it(court: Court) -> None:
    reserved(court, "a")
    court.now += LEASE - 1
    assert reserved(court, "b") == Reserved("a", "run")
    court.now += LEASE - 1
    assert reserved(court, "c", holder="other") == Reserved("a", "held")


def test_once_its_holder_is_silent_another_takes_it_under_the_first_op_id(court: Court) -> None:
    reserved(court, "a")
    begun = court.now
    court.now += LEASE
    assert reserved(court, "b", holder="other") == Reserved("a", "run")
    assert reserved(court, "c") == Reserved("a", "held")
    assert court.row(Request, "r") == Request("r", "body", "a", begun, "other", court.now + LEASE)


def test_an_answered_request_is_answered_for_all_and_its_first_answer_stays(court: Court) -> None:
    reserved(court, "a")
    assert keep(court, "a").allowed
    assert reserved(court, "b") == Reserved("a", "answered")
    assert reserved(court, "b", holder="other") == Reserved("a", "answered")
    assert (keep(court, "a", "later").code, keep(court, "a").code) == ("request_closed", "request_closed")
    row = court.row(Request, "r")
    assert row is not None
    assert row.answer_digest == "answer"


@pytest.mark.parametrize("answered", [False, True])
@pytest.mark.parametrize("holder", ["one", "other"])
def test_another_body_is_refused_until_the_name_is_forgotten(court: Court, *, answered: bool, holder: str) -> None:
    reserved(court, "a")
    if answered:
        keep(court, "a")
    court.now += DAY - 1
    refused = reserve(court, "b", body="another", holder=holder)
    assert (refused.allowed, refused.code) == (False, "idempotency_key_reused")
    court.now += 1
    assert told(reserve(court, "b", body="another", holder=holder), Reserved) == Reserved("b", "run")


def test_after_a_day_the_same_request_is_a_new_one(court: Court) -> None:
    reserved(court, "a")
    keep(court, "a")
    court.now += DAY
    assert reserved(court, "b") == Reserved("b", "run")
    assert court.row(Request, "r") == Request("r", "body", "b", court.now, "one", court.now + LEASE)
    assert keep(court, "a").code == "request_closed"


def test_a_released_request_keeps_its_op_id_unless_it_is_forgotten(court: Court) -> None:
    reserved(court, "a")
    assert release(court, "a", forget=False).allowed
    assert reserved(court, "b", holder="other") == Reserved("a", "run")
    assert release(court, "a", holder="other", forget=True).allowed
    assert court.row(Request, "r") is None
    assert reserved(court, "c") == Reserved("c", "run")


@pytest.mark.parametrize("forgotten", [False, True])
def test_only_its_holder_releases_a_request_that_is_not_answered(court: Court, *, forgotten: bool) -> None:
    assert release(court, "a", forget=forgotten).code == "request_closed"
    reserved(court, "a")
    assert release(court, "a", holder="other", forget=forgotten).code == "request_closed"
    assert release(court, "b", forget=forgotten).code == "request_closed"
    keep(court, "a")
    assert release(court, "a", forget=forgotten).code == "request_closed"
    assert reserved(court, "b") == Reserved("a", "answered")


def test_only_the_request_under_way_is_answered(court: Court) -> None:
    assert keep(court, "a").code == "request_closed"
    reserved(court, "a")
    assert keep(court, "b").code == "request_closed"


def test_of_what_is_forgotten_the_answers_are_erased_that_there_are() -> None:
    rows = WorkingSet()
    for name, answer in (("answered", "answer"), ("silent", "")):
        rows.adopt([Request.at(name)], [Request(name, "body", "a", 0, "one", LEASE, answer)])
    command = ForgetRequests(op_id="b", requests=("answered", "silent"))
    assert command.decide(rows, DAY).erases == ("answer",)


def test_only_what_is_a_day_old_is_forgotten(court: Court) -> None:
    reserve(court, "a", request="old")
    court.now += 1
    reserve(court, "b", request="young")
    court.now += DAY - 1
    forget(court, "old", "young", "unknown")
    assert [row.digest for row in court.rows(Request)] == ["young"]
