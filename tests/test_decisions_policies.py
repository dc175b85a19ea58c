"""What Admit makes of what judging left open: denials and holds by counters, remarks of shadows, and what is counted."""

import asyncio
from typing import Any

import pytest

from court import Court, told
from haldir.approvals.commands import SetFourEyes
from haldir.approvals.holds import Held
from haldir.approvals.model import Approval
from haldir.journal.command import DETAILS_WANTED, Notice, Outcome
from haldir.kernel.clock import HOUR, SECOND
from haldir.operations.call_commands import Charge
from haldir.policy.judgement import (
    AllOf,
    AnyOf,
    Condition,
    Holding,
    Judgement,
    Meter,
    MeterAbove,
    MeterBelow,
    Pending,
    RateAbove,
    Remark,
    Terms,
)
from haldir.proxy.model import RateWindow, UsageWindow
from haldir.proxy.policy_commands import AddPolicy

CALLS = Meter("calls", "session", 3600)
SPEND = Meter("spend", "agent", 3600)
HOLDING = Holding("pol_h", "rule", "Policy pol_h holds this.", Terms(2, four_eyes=True))


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    """Two sessions of one agent and one of another, which may call two tools of a shop and spend what they like."""
    court = Court(runner)
    court.upstream("shop", "buy", "sell")
    for name, agent in (("a", "one"), ("b", "one"), ("c", "two")):
        court.session(name, "execute", "spend", agent_id=agent, ttl_seconds=0)
    return court


def left_open(*pending: Pending, meters: tuple[Meter, ...] = (CALLS, SPEND), **fields: Any) -> Judgement:
    return Judgement(0, pending=pending, meters=meters, **fields)


def deny_if(when: Condition, **fields: Any) -> Judgement:
    return left_open(Pending("pol_d", "Policy pol_d denies this.", when), **fields)


def hold_if(when: Condition, **fields: Any) -> Judgement:
    return left_open(Pending("pol_h", HOLDING.reason, when, HOLDING), **fields)


def call(court: Court, judgement: Judgement, session: str = "a", micros: int = 0, **fields: Any) -> Outcome:
    return court.admit(session, judgement=judgement, micros=micros, details_digest="sealed", **fields)


def code(outcome: Outcome) -> str:
    return outcome.code or "allowed"


def test_calls_beyond_a_count_within_a_window_are_denied_until_it_has_passed(court: Court) -> None:
    more_than_two = deny_if(MeterAbove(CALLS, 2))
    assert [code(call(court, more_than_two, each)) for each in "aaabc"] == [
        "allowed",
        "allowed",
        "policy_denied",
        "allowed",
        "allowed",
    ]
    denied = call(court, more_than_two)
    assert denied.reason == "Policy pol_d denies this."
    court.now += HOUR + 60 * SECOND
    assert call(court, more_than_two).allowed


@pytest.mark.parametrize(
    ("per", "rows"), [("session", ["session:a", "session:b"]), ("agent", ["agent:one"]), ("tenant", ["tenant"])]
)
def test_a_meter_measures_what_its_holder_was_let_through(court: Court, per: Any, rows: list[str]) -> None:
    calls, spend = Meter("calls", per, 60), Meter("spend", per, 60)
    for session in "aab":
        assert call(court, Judgement(0, meters=(calls, spend)), session, 5).allowed
    assert not call(court, Judgement(0, "pol", "No.", meters=(calls, spend)), "a", 5).allowed
    bucket = court.now // SECOND
    found = {(row.meter, row.holder): row.counts for row in court.rows(UsageWindow)}
    each = {"session:a": 2, "session:b": 1, "agent:one": 3, "tenant": 3}
    assert found == {
        **{("calls/60", row): ((bucket, each[row]),) for row in rows},
        **{("spend/60", row): ((bucket, 5 * each[row]),) for row in rows},
    }


def test_spend_counts_the_call_at_hand_and_those_that_were_let_through(court: Court) -> None:
    above = deny_if(MeterAbove(SPEND, 10))
    assert [
        code(call(court, above, session, micros))
        for session, micros in (("a", 11), ("a", 6), ("b", 5), ("b", 4), ("c", 5))
    ] == [
        "policy_denied",
        "allowed",
        "policy_denied",
        "allowed",
        "allowed",
    ]


def test_what_is_too_little_is_too_little_unless_it_is_certain(court: Court) -> None:
    """Calls of the oldest bucket may have left the window already: they count for `above`, and not for `below`."""
    assert call(court, left_open()).allowed
    assert code(call(court, deny_if(MeterBelow(CALLS, 3)))) == "policy_denied"
    assert call(court, deny_if(MeterBelow(CALLS, 2))).allowed
    court.now += HOUR - 1
    assert code(call(court, deny_if(MeterAbove(CALLS, 2)))) == "policy_denied"
    assert call(court, deny_if(MeterBelow(CALLS, 3))).allowed
    court.now += 30 * SECOND
    assert code(call(court, deny_if(MeterAbove(CALLS, 3)))) == "policy_denied"
    assert code(call(court, deny_if(MeterBelow(CALLS, 3)))) == "policy_denied"


def test_a_price_that_nobody_can_read_is_too_much_and_too_little(court: Court) -> None:
    for charge in (Charge(fault="no number"), Charge(5, "EUR")):
        for when in (MeterAbove(SPEND, 1 << 62), MeterBelow(SPEND, 1)):
            assert code(court.admit("a", judgement=deny_if(when), charge=charge)) == "policy_denied"
    elsewhere = Meter("spend", "agent", 3600, ("other",))
    assert call(court, deny_if(MeterAbove(elsewhere, 0)), charge=Charge(fault="no number")).allowed


def test_a_meter_of_other_tools_does_not_include_the_call_at_hand(court: Court) -> None:
    of_sales = Meter("calls", "session", 60, ("sell",))
    at_least_one = deny_if(MeterAbove(of_sales, 0), meters=())
    assert call(court, at_least_one).allowed
    assert court.rows(UsageWindow) == []
    assert call(court, Judgement(0, meters=(of_sales,))).allowed
    assert code(call(court, at_least_one)) == "policy_denied"


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        (AllOf((MeterAbove(CALLS, 0), MeterAbove(SPEND, 9))), "allowed"),
        (AllOf((MeterAbove(CALLS, 0), MeterAbove(SPEND, 4))), "policy_denied"),
        (AnyOf((MeterAbove(CALLS, 9), MeterAbove(SPEND, 9))), "allowed"),
        (AnyOf((MeterAbove(CALLS, 9), MeterAbove(SPEND, 4))), "policy_denied"),
        (AllOf((AnyOf((MeterAbove(CALLS, 9), MeterBelow(CALLS, 2))), MeterAbove(SPEND, 4))), "policy_denied"),
        (AllOf((AnyOf((MeterAbove(CALLS, 9), MeterBelow(CALLS, 1))), MeterAbove(SPEND, 4))), "allowed"),
        (AnyOf((RateAbove("pol_r", "session", 1), MeterAbove(SPEND, 4))), "policy_denied"),
    ],
)
def test_conditions_over_counters_stand_anywhere_in_all_and_any(court: Court, when: Condition, expected: str) -> None:
    assert code(call(court, deny_if(when), micros=5)) == expected


def test_a_hold_by_a_policy_needs_no_approval_rule_and_names_the_policy(court: Court) -> None:
    held = Judgement(0, holds=(HOLDING,))
    asked = court.admit("a", judgement=held)
    assert (asked.stale, asked.code) == (True, DETAILS_WANTED.code)
    outcome = call(court, held, micros=7)
    assert (outcome.code, outcome.reason) == ("approval_required", "Policy pol_h holds this.")
    [approval] = court.rows(Approval)
    assert (approval.rule_id, approval.rule_kind, approval.rule_reason) == ("pol_h", "rule", "Policy pol_h holds this.")
    assert (approval.approvers, approval.four_eyes, approval.policy_epoch) == (2, True, 0)
    for key in ("one", "two"):
        assert court.decide(approval.id, by=court.key(key)).allowed
    assert call(court, held, micros=8).code == "approval_required"
    assert call(court, held, micros=7).allowed
    again = call(court, held, micros=7)
    assert told(again, Held).approval_id != approval.id


def test_a_change_of_policies_lets_no_approval_of_before_through(court: Court) -> None:
    first = told(call(court, Judgement(0, holds=(HOLDING,))), Held).approval_id
    for key in ("one", "two"):
        assert court.decide(first, by=court.key(key)).allowed
    court.apply(AddPolicy(op_id=court.op(), policy_id="p", policy_kind="rule", definition_digest="d"))
    assert told(call(court, Judgement(1, holds=(HOLDING,))), Held).approval_id != first


def test_what_counters_hold_waits_only_while_they_do(court: Court) -> None:
    second = hold_if(MeterAbove(CALLS, 1))
    assert call(court, second).allowed
    held = call(court, second)
    assert (held.code, held.reason) == ("approval_required", "Policy pol_h holds this.")
    assert told(call(court, second), Held).again
    court.now += HOUR + 60 * SECOND
    assert call(court, second).allowed


def test_of_rules_and_policies_that_hold_the_strictest_terms_count_and_the_rule_is_named(court: Court) -> None:
    rule_id = court.hold_rule("all", approvers=1)
    call(court, Judgement(0, holds=(HOLDING,)))
    [approval] = court.rows(Approval)
    assert (approval.rule_id, approval.rule_kind, approval.rule_reason) == (rule_id, "all", "")
    assert (approval.approvers, approval.four_eyes) == (2, True)


@pytest.mark.parametrize(
    ("rule", "terms", "expected"),
    [
        ({"approvers": 3}, (Terms(2),), (3, False)),
        ({"four_eyes": True}, (Terms(2),), (2, True)),
        (None, (Terms(1), Terms(4), Terms(2)), (4, False)),
        (None, (Terms(1), Terms(1, four_eyes=True)), (1, True)),
    ],
)
def test_each_of_the_terms_is_the_strictest_of_all_that_hold(
    court: Court, rule: dict[str, Any] | None, terms: tuple[Terms, ...], expected: tuple[int, bool]
) -> None:
    if rule is not None:
        court.hold_rule("all", **rule)
    call(court, Judgement(0, holds=tuple(Holding(f"pol_{n}", "rule", "Why.", each) for n, each in enumerate(terms))))
    [approval] = court.rows(Approval)
    assert (approval.approvers, approval.four_eyes) == expected
    assert rule is not None or approval.rule_id == "pol_0"


def test_four_eyes_of_the_tenant_count_where_a_policy_alone_holds(court: Court) -> None:
    assert court.apply(SetFourEyes(op_id=court.op(), four_eyes=True)).allowed
    call(court, Judgement(0, holds=(Holding("pol_h", "rule", "Why."),)))
    [approval] = court.rows(Approval)
    assert approval.four_eyes


ONE, TWO, OTHERS = Terms(), Terms(2), Terms(four_eyes=True)


@pytest.mark.parametrize(
    ("asked_on", "then", "counts"),
    [
        (ONE, ONE, True),
        (TWO, ONE, True),
        (OTHERS, ONE, True),
        (OTHERS, OTHERS, True),
        (ONE, TWO, False),
        (ONE, OTHERS, False),
        (TWO, OTHERS, False),
        (OTHERS, TWO, False),
    ],
    ids=str,
)
@pytest.mark.parametrize("decided", [True, False])
def test_an_approval_counts_only_where_it_was_asked_for_on_terms_as_strict(
    court: Court,
    asked_on: Terms,
    then: Terms,
    counts: bool,  # noqa: FBT001 - pytest hands it over by name.
    decided: bool,  # noqa: FBT001 - as above.
) -> None:
    """Policies that look at clocks and counters hold the same call on other terms later."""
    first = told(call(court, holding_on(asked_on)), Held).approval_id
    if decided:
        for voter in "xyz"[: asked_on.approvers]:
            assert court.decide(first, by=court.key(voter)).allowed
    again = call(court, holding_on(then))
    if counts and decided:
        assert again.allowed
    else:
        assert again.code == "approval_required"
        assert (told(again, Held).approval_id == first) is counts
    assert the_state(court, first) == ({True: "used", False: "pending"}[decided] if counts else "expired")


def test_what_was_denied_stays_denied_on_stricter_terms(court: Court) -> None:
    first = told(call(court, holding_on(ONE)), Held).approval_id
    court.decide(first, "deny", court.key("x"))
    assert call(court, holding_on(TWO)).code == "approval_denied"


def holding_on(terms: Terms) -> Judgement:
    return Judgement(0, holds=(Holding("pol_h", "rule", "Why.", terms),))


def the_state(court: Court, approval_id: str) -> str:
    found = court.row(Approval, approval_id)
    assert found is not None
    return found.state


def test_deny_beats_hold(court: Court) -> None:
    both = left_open(Pending("pol_d", "Denied.", MeterAbove(CALLS, 0)), holds=(HOLDING,))
    assert call(court, both).code == "policy_denied"
    assert court.rows(Approval) == []


def remarks(court: Court, outcome: Outcome) -> tuple[Notice, ...]:
    return court.entry(outcome)[1].remarks


def test_what_a_shadow_would_have_done_stands_in_the_entry_and_changes_nothing(court: Court) -> None:
    shadows = Judgement(
        0,
        pending=(
            Pending("pol_d", "Denied.", MeterAbove(CALLS, 1), shadow=True),
            Pending("pol_h", "Held.", MeterAbove(CALLS, 2), HOLDING, shadow=True),
        ),
        meters=(CALLS,),
        shadowed=(Remark("pol_s", "Blocked."),),
    )
    blocked = Notice("policy_shadowed", "pol_s", "In shadow mode: Blocked.")
    denied = Notice("policy_shadowed", "pol_d", "In shadow mode: Denied.")
    held = Notice("policy_shadowed", "pol_h", "In shadow mode: Held.")
    outcomes = [call(court, shadows) for _ in range(3)]
    assert [each.allowed for each in outcomes] == [True] * 3
    assert [remarks(court, each) for each in outcomes] == [(blocked,), (blocked, denied), (blocked, denied, held)]
    assert court.rows(Approval) == []
    assert [each.notices for each in outcomes] == [()] * 3
    refused = call(court, Judgement(0, "pol_x", "No.", shadowed=(Remark("pol_s", "Blocked."),)))
    assert (refused.code, refused.reason, remarks(court, refused)) == ("policy_denied", "No.", (blocked,))


def test_the_rule_that_names_a_call_as_allowed_stands_in_its_entry(court: Court) -> None:
    outcome = call(court, Judgement(0, allowed_by=Remark("pol_a", "Fine.")))
    assert remarks(court, outcome) == (Notice("policy_named", "pol_a", "Fine."),)
    assert remarks(court, call(court, Judgement(0))) == ()


def test_a_rate_in_shadow_mode_counts_what_it_would_have_let_through(court: Court) -> None:
    shadow = Judgement(0, pending=(Pending("pol_r", "Slower.", RateAbove("pol_r", "session", 2), shadow=True),))
    outcomes = [call(court, shadow) for _ in range(4)]
    assert [each.allowed for each in outcomes] == [True] * 4
    assert [bool(remarks(court, each)) for each in outcomes] == [False, False, True, True]
    assert court.rows(RateWindow) == [RateWindow("pol_r", "session:a", ((court.now // SECOND, 2),))]


def test_of_several_that_may_strike_any_one_does(court: Court) -> None:
    wide = Pending("pol_w", "Wide.", RateAbove("pol_w", "session", 100))
    narrow = Pending("pol_n", "Narrow.", RateAbove("pol_n", "session", 1))
    for judgement in (left_open(wide, narrow), left_open(narrow, wide)):
        assert call(court, judgement, "c").allowed is (judgement == left_open(wide, narrow))
    refused = call(court, left_open(wide, narrow), "c")
    assert (refused.code, refused.reason.startswith("Narrow.")) == ("rate_exceeded", True)
