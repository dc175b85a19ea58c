"""Anomaly rules flag what is out of the ordinary, once in their quiet time, and never forbid anything."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from court import START, Court, key_ref
from haldir.gate.commands import CreateKey
from haldir.journal.command import SYSTEM
from haldir.kernel import strict_json
from haldir.kernel.clock import DAY, HOUR, MINUTE, SECOND, Micros
from haldir.operations.audit_commands import LogAction
from haldir.operations.refusals import RecordRefusal
from haldir.policy.fields import InvalidPolicy
from haldir.policy.hours import OpenHours, clock_offsets
from haldir.policy.zones import zone_named
from haldir.watch.anomaly_rules import (
    RULES_MAX,
    AnomalyRule,
    CallRate,
    Condition,
    FirstUse,
    OffHours,
    RefusalBurst,
    SpendSpike,
    read_condition,
    within_hours,
)
from haldir.watch.commands import AddAnomalyRule, RemoveAnomalyRule
from haldir.watch.model import Activity, AnomalyRules

DOLLAR = 1_000_000
WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@pytest.fixture
def court() -> Iterator[Court]:
    with asyncio.Runner() as runner:
        court = Court(runner)
        court.upstream("shop", "buy", "sell")
        yield court


def rule(court: Court, condition: Condition, name: str = "r", quiet_minutes: int = 0) -> None:
    added = AddAnomalyRule(op_id=court.op(), rule=AnomalyRule(name, condition, quiet_minutes))
    assert court.apply(added).allowed


def act(court: Court, session: str = "a", **fields: Any) -> tuple[str, ...]:
    outcome = court.apply(LogAction(op_id=court.op(), session_id=session, action="did", **fields))
    assert outcome.allowed
    return outcome.flags


def test_an_agent_that_acts_too_often_within_a_minute_is_flagged_whatever_its_session(court: Court) -> None:
    rule(court, CallRate(2))
    court.session("a", "*", agent_id="one")
    court.session("b", "*", agent_id="one")
    court.session("c", "*", agent_id="other")
    assert (act(court, "a"), court.admit("b").flags, act(court, "c")) == ((), (), ())
    flagged = ("call_rate: agent:one acted more than 2 times within a minute.",)
    assert court.pay("a", 0).flags == flagged
    assert act(court, "c") == ()
    court.now += MINUTE + SECOND
    assert act(court, "a") == ()


def test_a_rule_is_quiet_for_a_while_after_it_flagged_an_agent_and_other_rules_are_not(court: Court) -> None:
    rule(court, CallRate(1), "loud", 0)
    rule(court, CallRate(1), "calm", 2)
    court.session("a", "*")
    act(court)
    assert len(act(court)) == 2
    court.now += 30 * SECOND
    assert len(act(court)) == 1
    court.now += 90 * SECOND - 1
    act(court)
    assert len(act(court)) == 1
    court.now += 1
    assert len(act(court)) == 2


def test_the_quiet_of_one_agent_is_not_that_of_another(court: Court) -> None:
    rule(court, CallRate(1), quiet_minutes=60)
    for name in "ab":
        court.session(name, "*", agent_id=name)
        act(court, name)
        assert len(act(court, name)) == 1
        assert act(court, name) == ()


def test_a_burst_of_refusals_is_flagged_for_an_agent_and_for_a_key(court: Court) -> None:
    rule(court, RefusalBurst(1))
    court.session("a", "execute:other", agent_id="one")
    assert (court.admit("a").flags, len(court.admit("a").flags), act(court)) == ((), 1, ())
    assert court.apply(
        CreateKey(op_id=court.op(), prefix="hld_k", sha256="s", name="k", scopes=("audit:read",))
    ).allowed

    def refuse(asked_by: Any) -> tuple[str, ...]:
        refusal = RecordRefusal(op_id=court.op(), asked_by=asked_by, operation="x", code="forbidden", reason="No.")
        return court.apply(refusal).flags

    assert refuse(key_ref("hld_k")) == ()
    assert refuse(key_ref("hld_k")) == ("refusal_burst: key:hld_k was refused more than 1 times within a minute.",)
    assert (refuse(SYSTEM), refuse(SYSTEM)) == ((), ())


def test_the_first_use_of_a_tool_is_flagged_once_the_rule_has_learned(court: Court) -> None:
    court.session("a", "execute", agent_id="one", ttl_seconds=0)
    rule(court, FirstUse(learning_hours=1))
    assert court.admit("a", "buy").flags == ()
    court.now += HOUR - 1
    assert court.admit("a", "missing").flags == ()
    court.now += 1
    assert court.admit("a", "buy").flags == ()
    assert court.admit("a", "sell").flags == ("first_use: agent:one used the tool 'shop.sell' for the first time.",)
    assert court.admit("a", "sell").flags == ()
    assert court.admit("a", "missing").flags == ()
    court.session("b", "execute", agent_id="two")
    assert len(court.admit("b", "buy").flags) == 1


def test_a_refused_call_is_no_use_of_the_tool(court: Court) -> None:
    rule(court, FirstUse(learning_hours=0))
    court.session("poor", "execute:none", agent_id="one")
    assert court.admit("poor", "buy").code == "scope_missing"
    court.session("a", "execute", agent_id="one")
    assert len(court.admit("a", "buy").flags) == 1


@pytest.mark.parametrize(
    ("hours", "present", "flagged"),
    [
        ((2, 2), 100, False),  # Two hours say nothing about what is usual.
        ((2, 2, 2), 6, False),
        ((2, 2, 2), 7, True),
        ((1, 2, 6), 9, False),
        ((1, 2, 6), 10, True),
        ((1, 1, 1), 4, False),  # A trifle.
        ((1, 1, 1), 5, True),
    ],
)
def test_an_hour_that_costs_far_more_than_usual_is_flagged(
    court: Court, hours: tuple[int, ...], present: int, *, flagged: bool
) -> None:
    rule(court, SpendSpike(factor=3, at_least_micros=5 * DOLLAR))
    court.session("a", "*", ttl_seconds=0)
    for spent in hours:
        assert court.pay("a", spent * DOLLAR).flags == ()
        court.now += HOUR
    assert court.pay("a", (present - 1) * DOLLAR).flags == ()
    flags = act(court, cost_micros=DOLLAR)
    assert flags == ((f"spend_spike: agent:agent-of-a spent {present}.00 within an hour.",) if flagged else ())
    assert act(court) == ()  # It costs nothing, so it is no spike.


def test_only_what_is_posted_counts_as_spent_and_only_once_along_a_chain(court: Court) -> None:
    rule(court, SpendSpike(factor=2, at_least_micros=1))
    court.session("top", "*", agent_id="one", limit_micros=100)
    court.session("a", "*", agent_id="one", parent="top", limit_micros=50)
    court.admit("a", call_id="posted", micros=7)
    court.admit("a", call_id="voided", micros=9)
    assert court.row(Activity, "agent:one") is None
    court.settle("voided", "voided")
    court.settle("posted", "posted")
    activity = court.row(Activity, "agent:one")
    assert activity is not None
    assert activity.hours == ((court.now // HOUR, 7),)


def test_acting_out_of_hours_is_flagged(court: Court) -> None:
    hours = OffHours(8, 18, "Europe/Berlin", WEEK, berlin_offsets())
    rule(court, hours)
    court.session("a", "*", ttl_seconds=0)
    court.now = instant("2027-07-05T05:59:59")
    assert act(court) == ("off_hours: agent:agent-of-a acted outside 8:00 to 18:00.",)
    court.now = instant("2027-07-05T06:00:00")
    assert act(court) == ()
    assert court.session("b", "*").flags == ()
    court.now = instant("2027-12-06T06:59:59")
    assert len(act(court)) == 1


def berlin_offsets() -> tuple[tuple[Micros, int], ...]:
    zone = zone_named("Europe/Berlin")
    assert zone is not None
    return clock_offsets(zone, START, START + 3 * 366 * DAY)


def instant(text: str) -> Micros:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


ZONES = ("UTC", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Santiago")


@given(
    zone=st.sampled_from(ZONES).map(ZoneInfo),
    hours=st.tuples(st.integers(0, 23), st.integers(0, 24)).filter(lambda pair: pair[0] != pair[1]),
    weekdays=st.sets(st.sampled_from(WEEK), min_size=1).map(lambda days: tuple(day for day in WEEK if day in days)),
    minutes=st.integers(-500_000, 500_000),
)
@settings(max_examples=200, deadline=None)
def test_a_rule_knows_its_zones_clock_without_the_zone(
    zone: ZoneInfo, hours: tuple[int, int], weekdays: tuple[str, ...], minutes: int
) -> None:
    now = START + minutes * MINUTE
    offsets = clock_offsets(zone, START - 400 * DAY, START + 400 * DAY)
    off = OffHours(*hours, str(zone), weekdays, offsets)
    assert within_hours(off, now) == OpenHours(*hours, weekdays, zone).is_open(now)


def test_before_its_first_offset_a_clock_is_as_it_was_then() -> None:
    assert within_hours(OffHours(8, 18, "X", WEEK, ((START, 3600),)), 7 * HOUR)
    assert not within_hours(OffHours(8, 18, "X", WEEK, ((START, 3600),)), 18 * HOUR)


@given(
    most=st.integers(1, 4),
    quiet=st.integers(0, 2),
    gaps=st.lists(st.integers(0, 45), max_size=25),
)
@settings(max_examples=60, deadline=None)
def test_an_act_is_flagged_when_it_is_one_too_many_and_the_rule_is_not_quiet(
    most: int, quiet: int, gaps: list[int]
) -> None:
    with asyncio.Runner() as runner:
        court = Court(runner)
        court.session("a", "*", ttl_seconds=0)
        rule(court, CallRate(most), quiet_minutes=quiet)
        instants: list[Micros] = []
        quiet_until = 0
        for gap in gaps:
            court.now += gap * SECOND
            instants.append(court.now)
            within = [at for at in instants if at + SECOND - 1 > court.now - MINUTE]  # A second counts as a whole.
            expected = len(within) > most and court.now >= quiet_until
            assert bool(act(court)) == expected
            if expected:
                quiet_until = court.now + quiet * MINUTE


def test_without_rules_nothing_is_remembered_and_a_removed_rule_flags_no_more(court: Court) -> None:
    court.session("a", "*")
    assert act(court) == ()
    assert court.rows(Activity) == []
    rule(court, CallRate(1))
    act(court)
    assert len(act(court)) == 1
    assert court.apply(RemoveAnomalyRule(op_id=court.op(), rule_id="r")).allowed
    assert act(court) == ()
    assert court.apply(RemoveAnomalyRule(op_id=court.op(), rule_id="r")).code == "anomaly_rule_not_found"
    assert court.apply(RemoveAnomalyRule(op_id=court.op(), rule_id="r")).flags == ()


def test_a_rule_bears_the_time_it_was_added_and_there_is_a_most_of_rules(court: Court) -> None:
    court.now += 5
    for number in range(RULES_MAX):
        rule(court, FirstUse(), f"r{number}", 7)
    standing = court.row(AnomalyRules)
    assert standing is not None
    assert standing.rules[3] == AnomalyRule("r3", FirstUse(), 7, START + 5)
    over = AddAnomalyRule(op_id=court.op(), rule=AnomalyRule("over", FirstUse(), 0))
    assert court.apply(over).code == "too_many_rules"


@pytest.mark.parametrize(
    ("definition", "condition", "quiet"),
    [
        ({"type": "call_rate", "max_per_minute": 5}, CallRate(5), 60),
        ({"type": "refusal_burst", "max_per_minute": 5, "quiet_minutes": 0}, RefusalBurst(5), 0),
        ({"type": "first_use"}, FirstUse(24), 60),
        ({"type": "first_use", "learning_hours": 0}, FirstUse(0), 60),
        ({"type": "spend_spike", "factor": 2, "at_least": 0.5}, SpendSpike(2, 500_000), 60),
    ],
)
def test_a_definition_is_read(definition: dict[str, Any], condition: Condition, quiet: int) -> None:
    assert read_condition(tree(definition), START) == (condition, quiet)


def test_off_hours_bring_their_zones_clock_along() -> None:
    definition = {"type": "off_hours", "start_hour": 22, "end_hour": 6, "zone": "Europe/Berlin", "weekdays": ["fri"]}
    condition, _ = read_condition(tree(definition), instant("2027-01-01T00:00:00"))
    assert isinstance(condition, OffHours)
    assert (condition.start_hour, condition.end_hour, condition.weekdays) == (22, 6, ("fri",))
    summer, winter = instant("2027-03-28T01:00:00"), instant("2027-10-31T01:00:00")
    assert condition.offsets[:3] == ((instant("2027-01-01T00:00:00"), 3600), (summer, 7200), (winter, 3600))
    assert condition.offsets[-1][0] > instant("2036-10-01T00:00:00")


@pytest.mark.parametrize(
    ("definition", "pointer"),
    [
        ({}, "/type"),
        ({"type": 7}, "/type"),
        ({"type": "call_rates"}, "/type"),
        ({"type": "call_rate"}, "/max_per_minute"),
        ({"type": "call_rate", "max_per_minute": 0}, "/max_per_minute"),
        ({"type": "call_rate", "max_per_minute": 5, "factor": 2}, "/factor"),
        ({"type": "refusal_burst", "max_per_minute": "many"}, "/max_per_minute"),
        ({"type": "first_use", "learning_hours": 721}, "/learning_hours"),
        ({"type": "first_use", "quiet_minutes": 1441}, "/quiet_minutes"),
        ({"type": "spend_spike", "factor": 1, "at_least": 1}, "/factor"),
        ({"type": "spend_spike", "factor": 2, "at_least": -1}, "/at_least"),
        ({"type": "spend_spike", "factor": 2}, "/at_least"),
        ({"type": "off_hours", "start_hour": 8, "end_hour": 8}, "/end_hour"),
        ({"type": "off_hours", "start_hour": 0, "end_hour": 24}, "/end_hour"),
        ({"type": "off_hours", "start_hour": 8, "end_hour": 18, "weekdays": []}, "/end_hour"),
        ({"type": "off_hours", "start_hour": 8, "end_hour": 18, "zone": "Mars/Olympus"}, "/zone"),
    ],
)
def test_a_rule_that_means_nothing_is_refused_with_a_pointer_to_the_fault(
    definition: dict[str, Any], pointer: str
) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        read_condition(tree(definition), START)
    assert refused.value.pointer == pointer


def tree(definition: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = strict_json.decode(msgspec.json.encode(definition))
    return found
