"""Totals of what actions were reported to have cost: a law, and the bound of numbers."""

import asyncio
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from court import Court
from haldir.operations.audit_commands import LogAction
from haldir.watch.model import ReportedSpend

SESSIONS = {"a1": "ann", "a2": "ann", "b1": "ben"}

reports = st.tuples(st.sampled_from([*SESSIONS, "unknown"]), st.sampled_from(["", "mail", "web"]), st.integers(0, 9))


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


@settings(max_examples=25, deadline=None)
@given(st.lists(reports, max_size=25))
def test_totals_are_the_sums_of_what_was_reported_and_allowed(told: list[tuple[str, str, int]]) -> None:
    """The law of totals: each report counts once for its session, its agent and everybody, and by its tool."""
    costs: Counter[tuple[str, str]] = Counter()
    actions: Counter[tuple[str, str]] = Counter()
    with asyncio.Runner() as runner:
        court = Court(runner)
        for session, agent in SESSIONS.items():
            court.session(session, agent_id=agent)
        for session, tool, cost in told:
            command = LogAction(op_id=court.op(), session_id=session, action="did", tool=tool, cost_micros=cost)
            if not court.apply(command).allowed:
                continue
            for holder in (f"session:{session}", f"agent:{SESSIONS[session]}", "tenant"):
                for place in {(holder, ""), (holder, tool)}:
                    costs[place] += cost
                    actions[place] += 1
        found = {(row.holder, row.tool): (row.cost_micros, row.actions) for row in court.rows(ReportedSpend)}
    assert found == {place: (costs[place], count) for place, count in actions.items()}


def test_a_total_stays_at_the_largest_number_there_is_rather_than_stop_the_log(court: Court) -> None:
    court.session("a")
    for _ in range(3):
        command = LogAction(op_id=court.op(), session_id="a", action="did", cost_micros=10**19 - 1)
        assert court.apply(command).allowed
    assert court.row(ReportedSpend, "tenant", "") == ReportedSpend("tenant", "", 2**63 - 1, 3)
