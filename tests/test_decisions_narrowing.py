"""Where no limit or no end stands above: what that leaves open to a child, and what a call then costs."""

import asyncio
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from court import START, Court, told
from haldir.gate.model import Session
from haldir.kernel.clock import SECOND
from haldir.ledger.model import Budget
from haldir.ledger.thresholds import crossed_percent
from haldir.operations.call_commands import Charge
from haldir.operations.session_commands import SessionOpened
from haldir.proxy.model import Call
from haldir.watch.commands import RemoveAnomalyRule


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


def test_below_a_session_without_end_and_limit_a_child_has_what_it_asks_for(court: Court) -> None:
    court.session("p", "execute", "spend", ttl_seconds=0)
    child = told(court.session("c", parent="p", limit_micros=5, ttl_seconds=9), SessionOpened)
    assert (child.limit_micros, child.expires_at) == (5, START + 9 * SECOND)
    default = told(court.session("d", parent="p"), SessionOpened)
    assert (default.limit_micros, default.expires_at) == (0, START + 3600 * SECOND)
    assert told(court.session("e", parent="p", ttl_seconds=0), SessionOpened).expires_at is None


@pytest.mark.parametrize("scopes", [("*",), ("spend",), ("read", "spend")])
def test_a_limit_adds_no_scope_where_spending_is_covered_already(court: Court, scopes: tuple[str, ...]) -> None:
    court.session("a", *scopes, limit_micros=5)
    session = court.row(Session, "a")
    assert session is not None
    assert session.scopes == scopes


@pytest.mark.parametrize(("parent_limit", "child_limit"), [(10, None), (None, 10)])
def test_an_amount_counts_as_soon_as_any_budget_of_the_chain_has_a_limit(
    court: Court, parent_limit: int | None, child_limit: int | None
) -> None:
    court.upstream()
    court.session("p", "execute", "spend", limit_micros=parent_limit)
    court.session("c", "execute", "spend", parent="p", limit_micros=child_limit)
    assert court.admit("c", charge=Charge(11)).code == "budget_exceeded"
    assert court.admit("c", charge=Charge(fault="no number")).code == "amount_invalid"
    assert court.admit("c", call_id="call", charge=Charge(10)).allowed
    assert {row.holder: row.reserved_micros for row in court.rows(Budget)} == {"p": 10, "c": 10}


def test_without_any_limit_an_amount_that_no_rule_set_costs_nothing(court: Court) -> None:
    court.upstream()
    court.session("a", "execute", "spend")
    court.admit("a", call_id="call", charge=Charge(5))
    assert [call.price_micros for call in court.rows(Call)] == [0]
    assert court.rows(Budget) == [Budget("a", None)]


def test_where_no_anomaly_rule_ever_stood_there_is_none_to_remove(court: Court) -> None:
    assert court.apply(RemoveAnomalyRule(op_id=court.op(), rule_id="r")).code == "anomaly_rule_not_found"


@given(st.integers(0, 400), st.integers(0, 400), st.integers(0, 400) | st.none())
@example(799, 800, 1000)
@example(800, 1000, 1000)
@example(99_999, 100_000, 100_000)
@example(798, 799, 1000)
@example(4_999_999, 5_000_000, 10_000_000)
@example(5_000_000, 5_000_001, 10_000_000)
@example(4_999_998, 4_999_999, 10_000_000)
def test_a_threshold_is_crossed_by_what_first_reaches_its_share_exactly(
    before: int, more: int, limit: int | None
) -> None:
    after = max(before, more)
    expected = None
    for percent in (50, 80, 100):
        share = None if not limit else Decimal(limit) * percent / 100
        if share is not None and before < share <= after:
            expected = percent
    was, now = (Budget("h", limit, reserved_micros=7, spent_micros=spent) for spent in (before, after))
    assert crossed_percent(was, now) == expected
