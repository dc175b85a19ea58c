"""Each kind of policy, by table: what it forbids, what it lets pass, and what it says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.clock import HOUR
from haldir.kernel.money import format_amount
from haldir.kernel.strict_json import Number
from haldir.policy.judgement import Judgement, Pending, RateAbove
from kernel_samples import amount_model, number_texts
from policy_samples import call, instant, judged, only

ALLOWED = Judgement(1)


@pytest.mark.parametrize(
    ("definition", "upstream", "tool", "reason"),
    [
        ('{"type":"block_tool","tool":"wipe"}', "files", "wipe", "Policy pol_x (block_tool) blocks the tool 'wipe'."),
        ('{"type":"block_tool","tool":"wipe"}', "disk", "wipe", "Policy pol_x (block_tool) blocks the tool 'wipe'."),
        (
            '{"type":"block_tool","tool":"files.wipe"}',
            "files",
            "wipe",
            "Policy pol_x (block_tool) blocks the tool 'wipe'.",
        ),
        ('{"type":"block_tool","tool":"files.wipe"}', "disk", "wipe", None),
        (
            '{"type":"block_tool","tool":"files.wipe"}',
            "disk",
            "files.wipe",
            "Policy pol_x (block_tool) blocks the tool 'files.wipe'.",
        ),
        ('{"type":"block_tool","tool":"wipe"}', "files", "Wipe", None),
        ('{"type":"block_tool","tool":"wipe"}', "wipe", "read", None),
        (
            '{"type":"deny_list","tools":["wipe","disk.read"]}',
            "files",
            "wipe",
            "Policy pol_x (deny_list) denies the tool 'wipe'.",
        ),
        (
            '{"type":"deny_list","tools":["wipe","disk.read"]}',
            "disk",
            "read",
            "Policy pol_x (deny_list) denies the tool 'read'.",
        ),
        ('{"type":"deny_list","tools":["wipe","disk.read"]}', "files", "read", None),
        ('{"type":"allow_list","tools":["wipe","disk.read"]}', "files", "wipe", None),
        ('{"type":"allow_list","tools":["wipe","disk.read"]}', "disk", "read", None),
        (
            '{"type":"allow_list","tools":["wipe","disk.read"]}',
            "files",
            "read",
            "Policy pol_x (allow_list) does not list the tool 'read'.",
        ),
        (
            '{"type":"allow_list","tools":[]}',
            "files",
            "read",
            "Policy pol_x (allow_list) does not list the tool 'read'.",
        ),
    ],
)
def test_a_tool_is_forbidden_by_its_name_or_by_its_upstream_and_name(
    definition: str, upstream: str, tool: str, reason: str | None
) -> None:
    assert judged(definition, call(tool, upstream)) == (Judgement(1, "pol_x", reason) if reason else ALLOWED)
    assert only(definition).certainly_denies(upstream, tool) == (reason is not None)


def test_a_reason_quotes_only_the_beginning_of_an_endless_tool_name() -> None:
    verdict = judged('{"type":"allow_list","tools":[]}', call("\n" * 10_000))
    assert verdict.denied_by == "pol_x"
    assert "\n" not in verdict.reason
    assert len(verdict.reason) < 400


@pytest.mark.parametrize("value", [Number("100"), Number("1e2"), Number("99.999999"), Number("0"), Number("-0")])
def test_an_amount_up_to_the_limit_passes(value: Number) -> None:
    assert judged('{"type":"spend_limit","max":100}', call(amount=value)) == ALLOWED


def test_a_call_without_an_amount_passes_the_spend_limit() -> None:
    assert judged('{"type":"spend_limit","max":0}', call(cost=Number("5"), nested={"amount": Number("5")})) == ALLOWED


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Number("100.000001"), "allows an amount of at most 100.00, not 100.000001."),
        (Number("100.0000001"), "cannot read the argument 'amount': it has more than 6 digits after the point."),
        (Number("-1"), "cannot read the argument 'amount': it must not be negative."),
        (Number("1e309"), "cannot read the argument 'amount': it has more than 13 digits before the point."),
        ("12", "cannot read the argument 'amount': it must be a JSON number."),
        (True, "cannot read the argument 'amount': it must be a JSON number."),
        (None, "cannot read the argument 'amount': it must be a JSON number."),
        ([Number("1")], "cannot read the argument 'amount': it must be a JSON number."),
        ({}, "cannot read the argument 'amount': it must be a JSON number."),
    ],
)
def test_an_amount_above_the_limit_or_beyond_reading_is_denied(value: object, reason: str) -> None:
    verdict = judged('{"type":"spend_limit","max":100}', call(amount=value))
    assert verdict == Judgement(1, "pol_x", f"Policy pol_x (spend_limit) {reason}")


@given(number_texts, st.integers(0, 10**19 - 1))
def test_the_spend_limit_agrees_with_decimal_arithmetic(text: str, max_micros: int) -> None:
    limit = only(f'{{"type":"spend_limit","max":{format_amount(max_micros)}}}')
    micros = amount_model(text)
    denies = micros is None or micros > max_micros
    assert bool(limit.judge(call(amount=Number(text))).denied_by) == denies


@pytest.mark.parametrize(
    ("definition", "holder", "most", "reason"),
    [
        ('{"type":"rate_limit","max_per_minute":5}', "session", 5, "allows 5 calls a minute per session."),
        ('{"type":"rate_limit","max_per_minute":1,"per":"agent"}', "agent", 1, "allows 1 call a minute per agent."),
        (
            '{"type":"rate_limit","max_per_minute":1000000,"per":"tenant"}',
            "tenant",
            1_000_000,
            "allows 1000000 calls a minute per tenant.",
        ),
    ],
)
def test_a_rate_limit_is_left_for_the_journal_to_count(definition: str, holder: str, most: int, reason: str) -> None:
    pending = Pending("pol_x", f"Policy pol_x (rate_limit) {reason}", RateAbove("pol_x", holder, most))
    assert judged(definition, call()) == Judgement(1, pending=(pending,))
    assert not only(definition).certainly_denies("bank", "pay")


@pytest.mark.parametrize(
    ("fields", "zone", "local", "found", "until"),
    [
        ('"start_hour":9,"end_hour":17', "UTC", "2026-03-02T08:59:59", "closed", "2026-03-02T09:00"),
        ('"start_hour":9,"end_hour":17', "UTC", "2026-03-02T09:00:00", "open", "2026-03-02T17:00"),
        ('"start_hour":9,"end_hour":17', "UTC", "2026-03-02T16:59:59", "open", "2026-03-02T17:00"),
        ('"start_hour":9,"end_hour":17', "UTC", "2026-03-02T17:00:00", "closed", "2026-03-03T09:00"),
        ('"start_hour":22,"end_hour":6', "UTC", "2026-03-02T23:00:00", "open", "2026-03-03T06:00"),
        ('"start_hour":22,"end_hour":6', "UTC", "2026-03-02T05:59:59", "open", "2026-03-02T06:00"),
        ('"start_hour":22,"end_hour":6', "UTC", "2026-03-02T06:00:00", "closed", "2026-03-02T22:00"),
        ('"start_hour":20,"end_hour":24', "UTC", "2026-03-02T23:59:59", "open", "2026-03-03T00:00"),
        ('"start_hour":20,"end_hour":0', "UTC", "2026-03-02T23:59:59", "open", "2026-03-03T00:00"),
        (
            '"start_hour":0,"end_hour":24,"weekdays":["sat","sun"]',
            "UTC",
            "2026-03-06T12:00:00",
            "closed",
            "2026-03-07T00:00",
        ),
        (
            '"start_hour":0,"end_hour":24,"weekdays":["sat","sun"]',
            "UTC",
            "2026-03-07T12:00:00",
            "open",
            "2026-03-09T00:00",
        ),
        # Friday's window reaches into Saturday; Friday's own morning belongs to Thursday.
        ('"start_hour":22,"end_hour":6,"weekdays":["fri"]', "UTC", "2026-03-07T05:00:00", "open", "2026-03-07T06:00"),
        ('"start_hour":22,"end_hour":6,"weekdays":["fri"]', "UTC", "2026-03-06T05:00:00", "closed", "2026-03-06T22:00"),
        ('"start_hour":22,"end_hour":6,"weekdays":["fri"]', "UTC", "2026-03-07T23:00:00", "closed", "2026-03-13T22:00"),
        (
            '"start_hour":9,"end_hour":17,"zone":"Asia/Kolkata"',
            "Asia/Kolkata",
            "2026-03-02T09:00:00",
            "open",
            "2026-03-02T17:00",
        ),
        # Clocks go forward at 02:00: this window lasts two hours, the next one is skipped whole.
        (
            '"start_hour":0,"end_hour":3,"zone":"Europe/Berlin"',
            "Europe/Berlin",
            "2026-03-29T00:30:00",
            "open",
            "2026-03-29T03:00",
        ),
        (
            '"start_hour":2,"end_hour":3,"zone":"Europe/Berlin"',
            "Europe/Berlin",
            "2026-03-28T03:00:00",
            "closed",
            "2026-03-30T02:00",
        ),
        (
            '"start_hour":2,"end_hour":3,"zone":"Europe/Berlin","weekdays":["sun"]',
            "Europe/Berlin",
            "2026-03-23T00:00:00",
            "closed",
            "2026-04-05T02:00",
        ),
    ],
)
def test_a_time_window_follows_the_clock_of_its_zone(
    fields: str, zone: str, local: str, found: str, until: str
) -> None:
    verdict = judged(f'{{"type":"time_window",{fields}}}', call(at=instant(local, zone)))
    assert (verdict.denied_by == "") == (found == "open")
    assert verdict.valid_until == instant(until, zone)


def test_when_clocks_go_back_a_window_lasts_through_both_hours() -> None:
    window = '{"type":"time_window","start_hour":2,"end_hour":3,"zone":"Europe/Berlin"}'
    opens = instant("2026-10-25T02:00", "Europe/Berlin")
    verdict = judged(window, call(at=opens))
    assert verdict == Judgement(1, valid_until=opens + 2 * HOUR)


def test_a_window_that_a_clock_change_reopens_for_an_hour_is_open_twice() -> None:
    """At 00:01 the clocks of Newfoundland went back to 23:01 of the day before."""
    window = only('{"type":"time_window","start_hour":23,"end_hour":24,"zone":"America/St_Johns"}')
    opens, *changes = [instant(f"2010-11-07T{utc}") for utc in ("01:30", "02:30", "02:31", "03:30")]
    found = [window.judge(call(at=at)) for at in (opens, *changes)]
    assert [verdict.denied_by for verdict in found] == ["", "pol_x", "", "pol_x"]
    assert [verdict.valid_until for verdict in found[:3]] == changes


def test_a_window_that_is_closed_denies_no_tool_for_certain() -> None:
    window = only('{"type":"time_window","start_hour":9,"end_hour":17}')
    assert window.judge(call(at=0)).denied_by
    assert not window.certainly_denies("bank", "pay")


def test_a_closed_window_says_when_calls_are_allowed() -> None:
    window = '{"type":"time_window","start_hour":22,"end_hour":6,"zone":"Asia/Tokyo","weekdays":["fri","mon"]}'
    verdict = judged(window, call(at=instant("2026-03-02T12:00", "Asia/Tokyo")))
    assert verdict.reason == "Policy pol_x (time_window) allows calls only from 22:00 to 6:00 Asia/Tokyo on mon, fri."
    every_day = judged('{"type":"time_window","start_hour":9,"end_hour":17}', call(at=0))
    assert every_day.reason == "Policy pol_x (time_window) allows calls only from 9:00 to 17:00 UTC."
