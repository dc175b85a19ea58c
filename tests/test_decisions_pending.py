"""How many approvals may wait at once, and what frees a place: case by case at the journal's door."""

import asyncio
from typing import Any

import pytest

from court import TENANT, Court, told
from haldir.approvals.commands import ExpireApproval
from haldir.approvals.holds import HELD_SECONDS, Held
from haldir.approvals.model import TENANT_WIDE, Approval, PendingCount
from haldir.approvals.pending import PENDING_PER_SESSION_MAX, PENDING_PER_TENANT_MAX
from haldir.journal.command import Outcome
from haldir.kernel.clock import SECOND
from haldir.operations.approval_commands import RequestApproval

UNIT = 1_000_000


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    """Two sessions `s` and `t` that may spend, where a person has to approve everything."""
    court = Court(runner)
    for name in "st":
        court.session(name, "spend", "execute", ttl_seconds=0)
    court.hold_rule("all")
    return court


def pay(court: Court, number: int, session: str = "s") -> Outcome:
    return court.pay(session, number * UNIT)


def held(outcome: Outcome) -> str:
    assert outcome.code == "approval_required", outcome
    return str(told(outcome, Held).approval_id)


def fill(court: Court, session: str = "s") -> list[str]:
    """Have a session wait for as much as it may."""
    return [held(pay(court, number, session)) for number in range(1, PENDING_PER_SESSION_MAX + 1)]


def ask(court: Court, session: str = "s", **fields: Any) -> Outcome:
    op_id = court.op()
    return court.apply(RequestApproval(op_id=op_id, approval_id=f"apr-{op_id}", session_id=session, **fields))


def count(court: Court, holder: str = TENANT_WIDE) -> tuple[int, int]:
    found = court.row(PendingCount, holder)
    return (found.pending, found.asked) if found else (0, 0)


def version(court: Court) -> int:
    found = court.row(PendingCount, TENANT_WIDE)
    return found.version if found else 0


def test_a_session_waits_for_so_many_approvals_and_no_more_and_others_for_theirs(court: Court) -> None:
    assert (PENDING_PER_SESSION_MAX, PENDING_PER_TENANT_MAX) == (100, 10_000), "docs/approvals.md says so"
    waiting = fill(court)
    court.upstream("shop", "buy")
    tries = [pay(court, 777), court.admit("s", details_digest="arguments"), ask(court)]
    assert {(each.allowed, each.code, each.reason) for each in tries} == {
        (False, "too_many_pending", f"The session s waits for {PENDING_PER_SESSION_MAX} approvals already.")
    }
    assert {row.id for row in court.rows(Approval)} == set(waiting)
    assert held(pay(court, 1)) == waiting[0], "what waits already still does"
    assert held(pay(court, 1, "t"))
    assert (count(court, "s"), count(court, "t"), count(court)) == ((100, 100), (1, 1), (101, 101))


def test_what_waits_is_counted_for_its_session_and_under_no_name_for_the_tenant(court: Court) -> None:
    first = held(pay(court, 1))
    held(pay(court, 1, "t"))
    court.decide(first)
    assert sorted(court.rows(PendingCount), key=lambda row: row.holder) == [
        PendingCount("", pending=1, asked=2, version=3),
        PendingCount("s", pending=0, asked=1, version=2),
        PendingCount("t", pending=1, asked=1, version=1),
    ]


def test_a_tenant_waits_for_so_many_approvals_and_no_more(runner: asyncio.Runner) -> None:
    court = Court(runner)

    async def nearly_full() -> None:
        async with court.engine.transaction(TENANT) as transaction:
            most = PENDING_PER_TENANT_MAX
            await transaction.save(PendingCount, [PendingCount(TENANT_WIDE, most - 1, most - 1, 1)])

    runner.run(nearly_full())
    for name in "st":
        court.session(name, "spend")
    court.hold_rule("all")
    first = held(pay(court, 1))
    for refused in (pay(court, 1, "t"), ask(court, "t")):
        assert (refused.code, refused.reason) == (
            "too_many_pending",
            f"{PENDING_PER_TENANT_MAX} approvals of this tenant wait already.",
        )
    court.decide(first, "deny")
    assert held(pay(court, 1, "t"))


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_what_is_decided_frees_its_place_once(court: Court, verdict: str) -> None:
    waiting = fill(court)
    court.decide(waiting[0], verdict)
    assert count(court, "s") == (99, 100)
    assert pay(court, 1).allowed == (verdict == "approve")
    assert count(court, "s") == (99, 100), "being used frees nothing more"
    assert held(pay(court, 500))
    assert pay(court, 501).code == "too_many_pending"


def test_what_is_over_frees_its_place_as_soon_as_that_is_recorded(court: Court) -> None:
    waiting = fill(court)
    court.decide(waiting[0])
    court.now += HELD_SECONDS * SECOND
    assert held(pay(court, 500)), "one place was free"
    assert pay(court, 501).code == "too_many_pending"
    for approval_id in waiting[:2]:
        assert court.apply(ExpireApproval(op_id=court.op(), approval_id=approval_id)).allowed
    assert count(court, "s") == (99, 101), "the approved one waited for nobody"
    assert held(pay(court, 501))
    assert pay(court, 502).code == "too_many_pending"


def test_what_waits_anew_takes_its_own_place(court: Court) -> None:
    waiting = fill(court)
    court.now += HELD_SECONDS * SECOND
    assert held(pay(court, 1)) not in waiting
    assert count(court, "s") == (100, 101)
    court.hold_rule("all", approvers=2)
    assert held(pay(court, 2))
    assert count(court, "s") == (100, 102)


def test_an_approved_one_that_lapses_unused_has_no_place_to_give(court: Court) -> None:
    waiting = fill(court)
    court.decide(waiting[0])
    assert held(pay(court, 500))
    court.now += HELD_SECONDS * SECOND
    assert pay(court, 1).code == "too_many_pending"


def test_each_decision_that_changes_what_waits_is_a_new_version_and_no_other_one(court: Court) -> None:
    court.hold_rule("all", approvers=2)
    keys = [court.key(name) for name in "ab"]
    seen = [version(court)]
    first = held(pay(court, 1))
    seen.append(version(court))
    pay(court, 1)
    assert version(court) == seen[-1], "still the same one"
    for key in keys:
        court.decide(first, by=key)
        seen.append(version(court))
    assert pay(court, 1).allowed
    court.decide(first)
    assert version(court) == seen[-1], "it waited for nobody any more"
    second = held(pay(court, 1))
    seen.append(version(court))
    court.now += HELD_SECONDS * SECOND
    court.apply(ExpireApproval(op_id=court.op(), approval_id=second))
    seen.append(version(court))
    assert seen == list(range(6))
