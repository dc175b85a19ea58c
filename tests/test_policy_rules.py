"""The kinds `rule` and `require_approval`: each leaf by table, and what becomes of what cannot be told."""

from typing import Any

import pytest

from haldir.kernel import strict_json
from haldir.kernel.strict_json import Number
from haldir.policy.compile import CONCERNED_MAX, compile_policies
from haldir.policy.facts import Facts
from haldir.policy.fields import InvalidPolicy
from haldir.policy.judgement import (
    AllOf,
    AnyOf,
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
from haldir.policy.parse import parse
from policy_samples import instant, judged, only, policy

DENIED = "Policy pol_x (rule) denies this: No."
HELD = "Policy pol_x (rule) holds this until it is approved: No."
CALLS = Meter("calls", "session", 60)
SPEND = Meter("spend", "tenant", 3600)


def rule(when: str | None, effect: str = "deny", more: str = "") -> str:
    condition = "" if when is None else f',"when":{when}'
    return f'{{"type":"rule","effect":"{effect}","reason":"No."{condition}{more}}}'


def asked(arguments: str = "{}", tool: str = "pay", upstream: str = "bank", **facts: Any) -> Facts:
    values: dict[str, Any] = {
        "session_id": "ses_1",
        "agent_id": "coder",
        "at": 0,
        "scopes": ("execute:bank", "spend"),
        "price_micros": 5_000_000,
    }
    return Facts(upstream, tool, strict_json.decode(arguments.encode()), **(values | facts))


def strikes(when: str, facts: Facts, effect: str = "deny") -> bool:
    verdict = judged(rule(when, effect), facts)
    return bool(verdict.denied_by or verdict.holds or verdict.allowed_by)


@pytest.mark.parametrize(
    ("when", "yes"),
    [
        ('{"tool":"pay"}', True),
        ('{"tool":"bank.pay"}', True),
        ('{"tool":"shop.pay"}', False),
        ('{"tool":["sell","pay"]}', True),
        ('{"tool":"p*"}', True),
        ('{"tool":"*y"}', True),
        ('{"tool":"*a*"}', True),
        ('{"tool":"p*p*y"}', False),
        ('{"tool":"bank.*"}', True),
        ('{"tool":"*"}', True),
        ('{"tool":"pay*pay"}', False),
        ('{"tool":"*k.p*"}', True),
        ('{"tool":"*y*p*"}', False),
        ('{"tool":["x*","p*"]}', True),
        ('{"any":[{"tool":"pay"},{"tool":"shop.read"}]}', True),
        ('{"any":[{"tool":"read"},{"upstream":"bank"}]}', True),
        ('{"any":[{"tool":"read"},{"upstream":"shop"}]}', False),
        ('{"all":[{"tool":["pay","x"]},{"any":[{"tool":"pay"},{"agent":"y"}]}]}', True),
        ('{"upstream":"bank"}', True),
        ('{"upstream":"ban"}', False),
        ('{"upstream":["b*","shop"]}', True),
        ('{"agent":"coder"}', True),
        ('{"agent":"cod*"}', True),
        ('{"agent":"Coder"}', False),
        ('{"agent":["a","b"]}', False),
        ('{"session":"ses_1"}', True),
        ('{"session":["ses_2","ses_1"]}', True),
        ('{"session":"ses_*"}', False),
        ('{"scope":"execute:bank:pay"}', True),
        ('{"scope":"execute:shop"}', False),
        ('{"scope":["admin","spend"]}', True),
        ('{"spend":{"per":"call"},"gt":5}', False),
        ('{"spend":{"per":"call"},"ge":5}', True),
        ('{"spend":{"per":"call"},"gt":4.999999}', True),
        ('{"spend":{"per":"call"},"lt":5.000001,"gt":4}', True),
        ('{"spend":{"per":"call"},"le":4.999999}', False),
    ],
)
def test_who_calls_what_is_told_for_certain(when: str, yes: bool) -> None:  # noqa: FBT001
    for effect in ("deny", "hold", "allow"):
        assert strikes(when, asked(), effect) == yes
        assert strikes(f'{{"not":{when}}}', asked(), effect) != yes


ARGUMENTS = """{"n":12.50,"big":1e300,"text":"Hello world","yes":true,"nothing":null,"list":["a",2,true],
"nested":{"a/b":[{"c~d":"x"}]},"mixed":[1,[2]],"long":[1,2,3],"odd":1e999,"empty":""}"""


@pytest.mark.parametrize(
    ("leaf", "answer"),
    [
        ('"/n","eq":12.5', True),
        ('"/n","eq":12.500000000000000000001', False),
        ('"/n","ne":12.5', False),
        ('"/n","ne":1', True),
        ('"/n","gt":12.4999999999999999999999', True),
        ('"/n","gt":12.5', False),
        ('"/n","ge":12.5', True),
        ('"/n","lt":12.5', False),
        ('"/n","lt":12.50000001', True),
        ('"/n","le":12.5', True),
        ('"/n","gt":1,"lt":20', True),
        ('"/n","gt":1,"lt":2', False),
        ('"/n","in":[1,12.50]', True),
        ('"/n","in":[1,2,"12.5"]', False),
        ('"/n","in":["12.5"]', None),
        ('"/n","eq":"12.5"', None),
        ('"/n","eq":true', None),
        ('"/n","matches":"12"', None),
        ('"/n","contains":1', None),
        ('"/n","length":{"gt":0}', None),
        ('"/big","gt":1e299', True),
        ('"/big","lt":-1e300', False),
        ('"/odd","gt":1', None),
        ('"/text","eq":"Hello world"', True),
        ('"/text","eq":"hello world"', False),
        ('"/text","ne":"x"', True),
        ('"/text","gt":1', None),
        ('"/text","in":["x","Hello world"]', True),
        ('"/text","in":["x"]', False),
        ('"/text","matches":"^Hello"', True),
        ('"/text","matches":"wor"', True),
        ('"/text","matches":"^world"', False),
        ('"/text","matches":"(?i)HELLO"', True),
        ('"/text","contains":"lo wo"', True),
        ('"/text","contains":"LO"', False),
        ('"/text","contains":1', None),
        ('"/text","length":{"eq":11}', True),
        ('"/text","length":{"gt":11}', False),
        ('"/text","length":{"gt":3,"le":11}', True),
        ('"/empty","eq":""', True),
        ('"/empty","length":{"eq":0}', True),
        ('"/yes","eq":true', True),
        ('"/yes","eq":false', False),
        ('"/yes","ne":false', True),
        ('"/yes","eq":1', None),
        ('"/nothing","eq":"x"', None),
        ('"/nothing","ne":"x"', None),
        ('"/list","contains":"a"', True),
        ('"/list","contains":2.0', True),
        ('"/list","contains":true', True),
        ('"/list","contains":"b"', None),
        ('"/long","contains":4', False),
        ('"/mixed","contains":2', None),
        ('"/mixed","contains":1', True),
        ('"/list","length":{"ge":3}', True),
        ('"/list/1","eq":2', True),
        ('"/list/01","eq":2', None),
        ('"/list/3","eq":2', None),
        ('"/list/-","eq":2', None),
        ('"/nested/a~1b/0/c~0d","eq":"x"', True),
        ('"/nested","length":{"eq":1}', True),
        ('"/missing","eq":1', None),
        ('"/missing","ne":1', None),
        ('"/missing","gt":1,"lt":0', None),
        ('"/n/deeper","eq":1', None),
        ('"","length":{"ge":5}', True),
        ('"/n","gt":20,"eq":"x"', False),
        ('"/n","gt":1,"eq":"x"', None),
        ('"/n","exists":true', True),
        ('"/nothing","exists":true', True),
        ('"/missing","exists":true', False),
        ('"/missing","exists":false', True),
        ('"/n","exists":false', False),
        ('"/n/deeper","exists":true', False),
        ('"/list/7","exists":true', False),
    ],
)
def test_what_is_asked_of_an_argument_and_what_becomes_of_it_when_it_cannot_be_told(
    leaf: str,
    answer: bool | None,  # noqa: FBT001
) -> None:
    when, facts = f'{{"argument":{leaf}}}', asked(ARGUMENTS)
    assert strikes(when, facts) == (answer is not False)
    assert strikes(f'{{"not":{when}}}', facts) == (answer is not True)
    assert strikes(f'{{"not":{{"not":{when}}}}}', facts, "hold") == (answer is not False)
    assert strikes(when, facts, "allow") == (answer is True)
    assert strikes(f'{{"not":{when}}}', facts, "allow") == (answer is False)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ('{"items":[{"price":60},{"price":40}]}', False),
        ('{"items":[{"price":60},{"price":40.00000000000000000000000001}]}', True),
        ('{"items":[{"price":0.1},{"price":0.2},{"price":99.8}]}', True),
        ('{"items":[{"price":0.1},{"price":0.2},{"price":99.7}]}', False),
        ('{"items":[]}', False),
        ('{"items":[{"price":1e300},{"price":-1e300},{"price":101}]}', True),
        ('{"items":[{"price":60},{}]}', None),
        ('{"items":[{"price":1000},{"price":"60"}]}', None),
        ('{"items":{"price":60}}', None),
        ("{}", None),
        ('{"items":[{"price":1e999}]}', None),
    ],
)
def test_a_sum_is_exact_and_unknown_if_one_of_its_numbers_is(arguments: str, answer: bool | None) -> None:  # noqa: FBT001
    when, facts = '{"sum":"/items/*/price","gt":100}', asked(arguments)
    assert strikes(when, facts) == (answer is not False)
    assert strikes(f'{{"not":{when}}}', facts) == (answer is not True)


def test_a_sum_goes_through_lists_in_lists() -> None:
    facts = asked('{"a":[{"b":[1,2]},{"b":[3]}]}')
    assert strikes('{"sum":"/a/*/b/*","eq":6}', facts)
    assert not strikes('{"sum":"/a/*/b/0","ne":4}', facts)


def test_an_amount_that_cannot_be_read_counts_as_too_much_and_as_too_little() -> None:
    for when in ('{"spend":{"per":"call"},"gt":5}', '{"not":{"spend":{"per":"call"},"gt":5}}'):
        assert strikes(when, asked(price_micros=None))
        assert not strikes(when, asked(price_micros=None), "allow")


@pytest.mark.parametrize(
    ("time", "local", "yes"),
    [
        ('"start_hour":9,"end_hour":17', "2026-03-02T09:00", True),
        ('"start_hour":9,"end_hour":17', "2026-03-02T17:00", False),
        ('"zone":"Asia/Kolkata","start_hour":9,"end_hour":17', "2026-03-02T03:30", True),
        ('"weekdays":["sat","sun"]', "2026-03-07T00:00", True),
        ('"weekdays":["sat","sun"]', "2026-03-06T23:59", False),
        ('"start_hour":22,"end_hour":6,"weekdays":["fri"]', "2026-03-07T05:00", True),
        ('"dates":"2026-12-24"', "2026-12-24T23:59", True),
        ('"dates":"2026-12-24"', "2026-12-25T00:00", False),
        ('"dates":["2026-01-01","2026-12-24/2027-01-02"]', "2027-01-02T12:00", True),
        ('"dates":["2026-01-01","2026-12-24/2027-01-02"]', "2027-01-03T00:00", False),
        ('"dates":"2026-12-24","start_hour":12,"end_hour":24', "2026-12-24T11:00", False),
        ('"dates":"2026-12-24","zone":"Pacific/Auckland"', "2026-12-23T11:00", True),
    ],
)
def test_a_time_is_of_a_zone_its_hours_weekdays_and_dates(time: str, local: str, yes: bool) -> None:  # noqa: FBT001
    facts = asked(at=instant(local))
    assert strikes(f'{{"time":{{{time}}}}}', facts) == yes
    assert strikes(f'{{"not":{{"time":{{{time}}}}}}}', facts) != yes


def test_a_verdict_by_the_clock_says_until_when_it_stands() -> None:
    hours = judged(rule('{"time":{"start_hour":9,"end_hour":17}}'), asked(at=instant("2026-03-02T10:20")))
    assert hours == Judgement(1, "pol_x", DENIED, valid_until=instant("2026-03-02T17:00"))
    date = judged(rule('{"time":{"dates":"2026-03-03"}}'), asked(at=instant("2026-03-02T10:20")))
    assert date == Judgement(1, valid_until=instant("2026-03-02T11:00"))
    both = '{"any":[{"time":{"start_hour":9,"end_hour":12}},{"not":{"time":{"start_hour":8,"end_hour":11}}}]}'
    assert judged(rule(both), asked(at=instant("2026-03-02T08:30"))).valid_until == instant("2026-03-02T09:00")
    rules = only(rule(both))
    for at, until in (("08:30", "09:00"), ("09:30", "11:00"), ("08:40", "09:00")):
        facts = asked(at=instant(f"2026-03-02T{at}"))
        assert rules.judge(facts).valid_until == instant(f"2026-03-02T{until}")


@pytest.mark.parametrize(
    ("when", "left"),
    [
        ('{"calls":{"per":"session","within_seconds":60},"gt":5}', MeterAbove(CALLS, 5)),
        ('{"calls":{"per":"session","within_seconds":60},"ge":5}', MeterAbove(CALLS, 4)),
        ('{"calls":{"per":"session","within_seconds":60},"lt":5}', MeterBelow(CALLS, 5)),
        ('{"calls":{"per":"session","within_seconds":60},"le":5}', MeterBelow(CALLS, 6)),
        ('{"not":{"calls":{"per":"session","within_seconds":60},"gt":5}}', MeterBelow(CALLS, 6)),
        ('{"not":{"calls":{"per":"session","within_seconds":60},"ge":5}}', MeterBelow(CALLS, 5)),
        ('{"not":{"calls":{"per":"session","within_seconds":60},"lt":5}}', MeterAbove(CALLS, 4)),
        ('{"not":{"calls":{"per":"session","within_seconds":60},"le":5}}', MeterAbove(CALLS, 5)),
        (
            '{"calls":{"per":"session","within_seconds":60},"gt":1,"lt":5}',
            AllOf((MeterAbove(CALLS, 1), MeterBelow(CALLS, 5))),
        ),
        (
            '{"not":{"calls":{"per":"session","within_seconds":60},"gt":1,"lt":5}}',
            AnyOf((MeterBelow(CALLS, 2), MeterAbove(CALLS, 4))),
        ),
        ('{"spend":{"per":"tenant","within_seconds":3600},"gt":1.5}', MeterAbove(SPEND, 1_500_000)),
        ('{"spend":{"per":"tenant","within_seconds":3600},"ge":1.5}', MeterAbove(SPEND, 1_499_999)),
        ('{"all":[{"tool":"pay"},{"calls":{"per":"session","within_seconds":60},"gt":5}]}', MeterAbove(CALLS, 5)),
        ('{"any":[{"tool":"sell"},{"calls":{"per":"session","within_seconds":60},"gt":5}]}', MeterAbove(CALLS, 5)),
        ('{"all":[{"tool":"sell"},{"calls":{"per":"session","within_seconds":60},"gt":5}]}', False),
        ('{"any":[{"calls":{"per":"session","within_seconds":60},"gt":5},{"tool":"pay"}]}', True),
        (
            (
                '{"not":{"any":[{"calls":{"per":"session","within_seconds":60},"gt":5},'
                '{"spend":{"per":"tenant","within_seconds":3600},"gt":1}]}}'
            ),
            AllOf((MeterBelow(CALLS, 6), MeterBelow(SPEND, 1_000_001))),
        ),
        (
            (
                '{"any":[{"calls":{"per":"session","within_seconds":60},"gt":5},'
                '{"spend":{"per":"tenant","within_seconds":3600},"gt":1},{"argument":"/x","exists":true}]}'
            ),
            AnyOf((MeterAbove(CALLS, 5), MeterAbove(SPEND, 1_000_000))),
        ),
        ('{"any":[{"calls":{"per":"session","within_seconds":60},"gt":5},{"argument":"/x","eq":1}]}', True),
    ],
)
def test_what_only_counters_can_tell_is_left_and_all_else_is_folded_away(when: str, left: Any) -> None:
    verdict = judged(rule(when), asked())
    if isinstance(left, bool):
        assert (bool(verdict.denied_by), verdict.pending) == (left, ())
        return
    assert verdict.pending == (Pending("pol_x", DENIED, left),)
    held = judged(rule(when, "hold", ',"approvers":2'), asked())
    holding = Holding("pol_x", "rule", HELD, Terms(2))
    assert held.pending == (Pending("pol_x", HELD, left, holding),)


def test_a_meter_measures_calls_that_its_policy_does_not_concern() -> None:
    text = rule('{"all":[{"tool":"pay"},{"calls":{"per":"session","within_seconds":60},"gt":5}]}')
    assert judged(text, asked(tool="read")) == Judgement(1, meters=(CALLS,))
    of_pay = Meter("calls", "agent", 60, ("bank.pay", "sell"))
    text = rule('{"calls":{"per":"agent","within_seconds":60,"tools":["sell","bank.pay"]},"gt":5}')
    assert judged(text, asked()).meters == (of_pay,)
    assert judged(text, asked(tool="sell")).meters == (of_pay,)
    assert judged(text, asked(tool="read")) == Judgement(1, pending=(Pending("pol_x", DENIED, MeterAbove(of_pay, 5)),))


def test_meters_that_measure_the_same_share_a_name_and_others_do_not() -> None:
    names = {
        Meter(what, "session", within, tools).name
        for what in ("calls", "spend")
        for within in (60, 61)
        for tools in ((), ("a",), ("a", "b"), ("a.b",))
    }
    assert len(names) == 16
    assert Meter("calls", "session", 60).name == Meter("calls", "agent", 60).name == "calls/60"
    assert Meter("spend", "session", 9, ("a", "b")).name == "spend/9/c8687a08aa5d6ed2044328fa6a697ab8"


def test_a_rule_without_a_condition_strikes_every_call() -> None:
    assert judged(rule(None), asked()) == Judgement(1, "pol_x", DENIED)
    assert judged(rule(None, "hold"), asked()).holds == (Holding("pol_x", "rule", HELD),)
    named = Remark("pol_x", "Policy pol_x (rule) allows this: No.")
    assert judged(rule(None, "allow"), asked()) == Judgement(1, allowed_by=named)


def test_an_allow_rule_only_names_and_denials_and_holds_come_first() -> None:
    allows, denies = policy(rule(None, "allow")), policy(rule(None))
    holds = policy(rule(None, "hold"))
    both = compile_policies([("a", allows), ("b", holds), ("c", allows)], 1).judge(asked())
    assert both.allowed_by == Remark("a", "Policy a (rule) allows this: No.")
    assert [each.policy_id for each in both.holds] == ["b"]
    all_three = compile_policies([("a", allows), ("b", holds), ("d", denies)], 1).judge(asked())
    assert all_three == Judgement(1, "d", "Policy d (rule) denies this: No.")


@pytest.mark.parametrize(
    ("fields", "facts", "held"),
    [
        ("", asked(), True),
        ('"tools":["pay"]', asked(), True),
        ('"tools":["bank.pay","x"]', asked(), True),
        ('"tools":["sell"]', asked(), False),
        ('"agents":["coder","x"]', asked(), True),
        ('"agents":["x*"]', asked(), False),
        ('"amount_over":5', asked(), False),
        ('"amount_over":4.999999', asked(), True),
        ('"amount_over":5', asked(price_micros=None), True),
        ('"tools":["pay"],"agents":["coder"],"amount_over":1', asked(), True),
        ('"tools":["pay"],"agents":["coder"],"amount_over":1', asked(agent_id="other"), False),
        ('"tools":["pay"],"agents":["coder"],"amount_over":1', asked(tool="sell"), False),
    ],
)
def test_approval_is_required_of_what_every_field_names(fields: str, facts: Facts, held: bool) -> None:  # noqa: FBT001
    comma = "," if fields else ""
    verdict = judged(f'{{"type":"require_approval"{comma}{fields},"approvers":3,"four_eyes":true}}', facts)
    reason = "Policy pol_x (require_approval) holds this until it is approved."
    holding = Holding("pol_x", "require_approval", reason, Terms(3, four_eyes=True))
    assert verdict == Judgement(1, holds=(holding,) if held else ())


def test_a_policy_in_shadow_mode_only_says_what_it_would_have_done() -> None:
    shadow = ',"mode":"shadow"'
    assert judged(rule(None, "deny", shadow), asked()) == Judgement(1, shadowed=(Remark("pol_x", DENIED),))
    assert judged(rule(None, "hold", shadow), asked()) == Judgement(1, shadowed=(Remark("pol_x", HELD),))
    assert judged(rule(None, "allow", shadow), asked()) == Judgement(1)
    rate = judged('{"type":"rate_limit","max_per_minute":5,"mode":"shadow"}', asked())
    reason = "Policy pol_x (rate_limit) allows 5 calls a minute per session."
    assert rate == Judgement(1, pending=(Pending("pol_x", reason, RateAbove("pol_x", "session", 5), shadow=True),))
    block = '{"type":"block_tool","tool":"pay","mode":"shadow"}'
    assert judged(block, asked()).shadowed == (Remark("pol_x", "Policy pol_x (block_tool) blocks the tool 'pay'."),)
    assert not only(block).certainly_denies("bank", "pay")
    assert judged(block, asked(tool="read")) == Judgement(1)


def test_what_shadows_would_do_is_said_of_denied_calls_too() -> None:
    rules = compile_policies([("a", policy(rule(None))), ("b", policy(rule(None, "deny", ',"mode":"shadow"')))], 1)
    assert rules.judge(asked()).shadowed == (Remark("b", "Policy b (rule) denies this: No."),)


@pytest.mark.parametrize(
    ("when", "denied"),
    [
        ('{"tool":"pay"}', True),
        ('{"all":[{"upstream":"bank"},{"not":{"tool":"read"}}]}', True),
        ('{"tool":"read"}', False),
        ('{"argument":"/x","exists":false}', False),
        ('{"all":[{"tool":"pay"},{"agent":"coder"}]}', False),
        ('{"all":[{"tool":"pay"},{"not":{"agent":"coder"}}]}', False),
        ('{"all":[{"tool":"pay"},{"not":{"session":"s"}}]}', False),
    ],
)
def test_a_tool_that_a_rule_denies_by_its_name_alone_is_certainly_denied(when: str, denied: bool) -> None:  # noqa: FBT001
    assert only(rule(when)).certainly_denies("bank", "pay") == denied
    assert not only(rule(when, "hold")).certainly_denies("bank", "pay")


def test_the_session_is_asked_for_only_where_a_policy_looks_at_it() -> None:
    for when, looks in (
        ('{"agent":"a"}', True),
        ('{"not":{"any":[{"scope":"a"},{"tool":"x"}]}}', True),
        ('{"tool":"a"}', False),
    ):
        assert only(rule(when)).looks_at_session == looks
    assert only('{"type":"require_approval","agents":["a"]}').looks_at_session
    assert not only('{"type":"block_tool","tool":"a"}').looks_at_session


def test_callers_who_invent_names_without_end_are_judged_all_the_same() -> None:
    rules = only(rule('{"tool":"pay"}'))
    for number in range(5000):
        assert not rules.judge(asked(tool=f"tool_{number}")).denied_by
        assert len(rules._known) <= CONCERNED_MAX
    assert rules.judge(asked()).denied_by
    known = len(rules._known)
    rules.judge(asked(tool="tool_4999"))
    assert len(rules._known) == known > 1


MANY = ",".join(f'"{number}"' for number in range(101))
DEEP = '{"not":' * 16 + '{"tool":"x"}' + "}" * 16


@pytest.mark.parametrize(
    ("definition", "pointer", "words"),
    [
        ('{"type":"rule"}', "/effect", "needs the field 'effect'"),
        ('{"type":"rule","effect":"denied","reason":"x"}', "/effect", "did you mean 'deny'?"),
        ('{"type":"rule","effect":"deny"}', "/reason", "needs the field 'reason'"),
        ('{"type":"rule","effect":"deny","reason":""}', "/reason", "not an empty one"),
        ('{"type":"rule","effect":"deny","reason":" "}', "/reason", "one line of text"),
        ('{"type":"rule","effect":"deny","reason":"a\\nb"}', "/reason", "one line of text"),
        ('{"type":"rule","effect":"deny","reason":"x","approvers":2}', "/approvers", "Only what is held"),
        ('{"type":"rule","effect":"allow","reason":"x","four_eyes":true}', "/four_eyes", "Only what is held"),
        ('{"type":"rule","effect":"hold","reason":"x","approvers":0}', "/approvers", "from 1 to 10, not 0"),
        ('{"type":"rule","effect":"hold","reason":"x","approvers":11}', "/approvers", "from 1 to 10, not 11"),
        ('{"type":"rule","effect":"hold","reason":"x","four_eyes":1}', "/four_eyes", "must be true or false"),
        ('{"type":"rule","effect":"deny","reason":"x","mode":"shado"}', "/mode", "did you mean 'shadow'?"),
        ('{"type":"require_approval","tools":[]}', "/tools", "can never hold"),
        ('{"type":"require_approval","agents":[]}', "/agents", "can never be met"),
        ('{"type":"require_approval","approvers":0}', "/approvers", "from 1 to 10"),
        ('{"type":"require_approval","tool":"x"}', "/tool", "did you mean 'tools'?"),
        (rule("[]"), "/when", "A condition is an object, not a list."),
        (rule("{}"), "/when", "names what it is about"),
        (rule('{"tol":"x"}'), "/when/tol", "did you mean 'tool'?"),
        (rule('{"tool":"x","agent":"y"}'), "/when/agent", "cannot be about 'tool' and 'agent'"),
        (rule('{"tool":"x","gt":1}'), "/when/gt", "has no field 'gt'"),
        (rule('{"tool":"a b"}'), "/when/tool", "Nothing can be named 'a b'"),
        (rule('{"tool":["a","b c"]}'), "/when/tool/1", "Nothing can be named 'b c'"),
        (rule('{"tool":["a","a"]}'), "/when/tool/1", "has 'a' twice"),
        (rule('{"tool":[]}'), "/when/tool", "can never be met"),
        (rule('{"tool":7}'), "/when/tool", "must be a string, not a number"),
        (rule('{"tool":["a",7]}'), "/when/tool/1", "must be a string, not a number"),
        (rule(f'{{"session":[{MANY}]}}'), "/when/session", "100 are the most"),
        (rule('{"all":[]}'), "/when/all", "must not be empty"),
        (rule('{"any":{}}'), "/when/any", "must be a list"),
        (rule('{"not":[]}'), "/when/not", "A condition is an object"),
        (rule('{"all":[{"tool":"a"},{"tool":""}]}'), "/when/all/1/tool", "not an empty one"),
        (rule(DEEP), "/when" + "/not" * 16, "16 levels"),
        (rule('{"all":[' + ",".join(['{"tool":"x"}'] * 100) + "]}"), "/when/all/99", "100 nodes"),
        (rule('{"argument":"/x"}'), "/when", "Nothing is asked of it"),
        (rule('{"argument":"x","eq":1}'), "/when/argument", "begins with a slash: '/x'"),
        (rule('{"argument":7,"eq":1}'), "/when/argument", "must be a JSON pointer"),
        (rule('{"argument":"/a~2","eq":1}'), "/when/argument", "`~0`"),
        (rule('{"argument":"' + "/a" * 33 + '","eq":1}'), "/when/argument", "32 steps"),
        (rule('{"argument":"/' + "a" * 256 + '","eq":1}'), "/when/argument", "256 characters"),
        (rule('{"argument":"/x","eq":null}'), "/when/eq", "not with null"),
        (rule('{"argument":"/x","eq":[1]}'), "/when/eq", "not with a list"),
        (rule('{"argument":"/x","eq":1e999}'), "/when/eq", "more digits than can be compared"),
        (rule('{"argument":"/x","gt":"1"}'), "/when/gt", "must be a number, not a string"),
        (rule('{"argument":"/x","gt":1e401}'), "/when/gt", "more digits than can be compared"),
        (rule('{"argument":"/x","in":[]}'), "/when/in", "must not be empty"),
        (rule('{"argument":"/x","in":[1,{}]}'), "/when/in/1", "not with an object"),
        (rule('{"argument":"/x","matches":"(a)\\\\1"}'), "/when/matches", "refused: invalid escape sequence"),
        (rule('{"argument":"/x","matches":"(?=a)"}'), "/when/matches", "without backreferences and lookaround"),
        (rule('{"argument":"/x","matches":"(a{1000}){1000}"}'), "/when/matches", "is refused"),
        (rule('{"argument":"/x","matches":"' + "a" * 1001 + '"}'), "/when/matches", "1000 are the most"),
        (rule('{"argument":"/x","matches":"((a{100}){10}){10}"}'), "/when/matches", "is refused"),
        (rule('{"argument":"/x","contains":{}}'), "/when/contains", "not with an object"),
        (rule('{"argument":"/x","length":5}'), "/when/length", "must be an object"),
        (rule('{"argument":"/x","length":{}}'), "/when/length", "Nothing is asked of it"),
        (rule('{"argument":"/x","length":{"gt":-1}}'), "/when/length/gt", "from 0 to"),
        (rule('{"argument":"/x","length":{"in":[1]}}'), "/when/length/in", "length has no field 'in'"),
        (rule('{"argument":"/x","exists":1}'), "/when/exists", "must be true or false"),
        (rule('{"argument":"/x","exists":true,"gt":1}'), "/when/gt", "'exists' stands alone"),
        (rule('{"sum":"/x","gt":1}'), "/when/sum", "write `*`"),
        (rule('{"sum":"/x/*"}'), "/when", "Nothing is asked of it"),
        (rule('{"sum":"/x/*","eq":"a"}'), "/when/eq", "must be a number"),
        (rule('{"sum":"/x/*","matches":"a"}'), "/when/matches", "has no field 'matches'"),
        (rule('{"time":{}}'), "/when/time", "it is always time"),
        (rule('{"time":[]}'), "/when/time", "some of: zone, weekdays, start_hour, end_hour, dates."),
        (rule('{"time":{"start_hour":24,"end_hour":3}}'), "/when/time/start_hour", "from 0 to 23, not 24"),
        (rule('{"time":{"zone":"Europe/Belin","start_hour":1}}'), "/when/time/zone", "did you mean 'Europe/Berlin'?"),
        (rule('{"time":{"start_hour":9,"end_hour":9}}'), "/when/time/end_hour", "are none"),
        (rule('{"time":{"weekdays":[]}}'), "/when/time/weekdays", "never time"),
        (rule('{"time":{"dates":"2026-13-01"}}'), "/when/time/dates/0", "is no date"),
        (rule('{"time":{"dates":["2026-01-01","20260102"]}}'), "/when/time/dates/1", "is no date"),
        (rule('{"time":{"dates":"2026-01-02/2026-01-01"}}'), "/when/time/dates/0", "ends before it begins"),
        (rule('{"time":{"hours":1}}'), "/when/time/hours", "time has no field 'hours'"),
        (rule('{"calls":5}'), "/when/calls", "must be an object"),
        (rule('{"calls":{"within_seconds":60},"gt":1}'), "/when/calls/per", "needs the field 'per'"),
        (rule('{"calls":{"per":"call","within_seconds":60},"gt":1}'), "/when/calls/per", "cannot be 'call'"),
        (rule('{"calls":{"per":"agent"},"gt":1}'), "/when/calls/within_seconds", "needs the field"),
        (
            rule('{"calls":{"per":"agent","within_seconds":0},"gt":1}'),
            "/when/calls/within_seconds",
            "from 1 to 2678400, not 0",
        ),
        (rule('{"calls":{"per":"agent","within_seconds":60}}'), "/when", "Nothing is asked of it"),
        (rule('{"calls":{"per":"agent","within_seconds":60},"eq":1}'), "/when/eq", "has no field 'eq'"),
        (rule('{"calls":{"per":"agent","within_seconds":60},"gt":1.5}'), "/when/gt", "must be a whole number"),
        (rule('{"calls":{"per":"agent","within_seconds":60,"tools":[]},"gt":1}'), "/when/calls/tools", "1 to 16"),
        (
            rule('{"spend":{"per":"call","within_seconds":60},"gt":1}'),
            "/when/spend/within_seconds",
            "has no 'within_seconds'",
        ),
        (rule('{"spend":{"per":"call","tools":["a"]},"gt":1}'), "/when/spend/tools", "has no 'tools'"),
        (rule('{"spend":{"per":"agent","within_seconds":60},"gt":-1}'), "/when/gt", "must not be negative"),
        (rule('{"calls":{"per":"agent","within_seconds":60},"gt":1}', "allow"), "/when", "only named as allowed"),
    ],
)
def test_a_rule_that_cannot_be_enforced_as_written_is_refused_at_its_fault(
    definition: str, pointer: str, words: str
) -> None:
    with pytest.raises(InvalidPolicy) as refusal:
        policy(definition)
    assert (refusal.value.pointer, words in refusal.value.message) == (pointer, True), refusal.value.message


@pytest.mark.parametrize(
    "definition",
    [
        rule(
            '{"all":[{"tool":"a"},{"any":[{"upstream":["b","c"]},{"not":{"agent":"d"}}]},{"session":"e"},{"scope":["f","g"]}]}'
        ),
        rule(
            '{"argument":"/a","eq":1.50,"gt":1e0,"in":[1,"b",true],"matches":"^x","contains":"y","length":{"ge":1,"ne":4}}'
        ),
        rule(
            '{"any":[{"argument":"/a","exists":false},{"sum":"/a/*","le":5}]}',
            "hold",
            ',"approvers":2,"four_eyes":true',
        ),
        rule(
            '{"time":{"zone":"UTC","weekdays":["mon"],"start_hour":1,"end_hour":2,"dates":["2026-01-01","2026-02-01/2026-02-03"]}}',
            "allow",
        ),
        rule(
            '{"any":[{"calls":{"per":"agent","within_seconds":60,"tools":["a"]},"gt":1,"le":7},{"spend":{"per":"call"},"lt":2.50}]}'
        ),
        rule('{"spend":{"per":"tenant","within_seconds":60},"ge":1.25}', "deny", ',"mode":"shadow"'),
        '{"type":"require_approval","tools":["a"],"agents":["b"],"amount_over":1.50,"approvers":2,"four_eyes":true}',
    ],
)
def test_what_is_stored_of_a_rule_is_that_rule(definition: str) -> None:
    made = policy(definition)
    assert parse(made.definition()) == made
    tree = strict_json.decode(made.encoded())
    assert parse(tree) == made
    if '"allow"' not in definition and "hold" not in definition and "e0" not in definition:
        assert tree == strict_json.decode(definition.encode())


def test_numbers_compare_by_their_text_and_not_as_floats() -> None:
    facts = asked('{"n":0.1000000000000000055511151231257827}')
    assert strikes('{"argument":"/n","gt":0.1}', facts)
    assert not strikes('{"argument":"/n","eq":0.1}', facts)
    assert judged(rule('{"argument":"/n","eq":0.1}'), asked('{"n":1e-1}')).denied_by
    assert Number("1e-1") != Number("0.1")


def test_a_list_too_long_to_be_looked_through_is_unknown() -> None:
    def of(items: int) -> Facts:
        return asked(f'{{"n":[{",".join(["1"] * items)}],"m":[{",".join(["[1,1]"] * (items // 2))}]}}')

    for when in ('{"sum":"/n/*","gt":20000}', '{"sum":"/m/*/*","gt":20000}', '{"argument":"/n","contains":2}'):
        assert not strikes(when, of(10_000))
        assert strikes(when, of(10_002))
    assert not strikes('{"argument":"/n","length":{"gt":10002}}', of(10_002))


@pytest.mark.parametrize(
    ("operands", "value", "answer"),
    [
        ('["a",1,true]', '"a"', True),
        ('["a",1,true]', "1.0", True),
        ('["a",1,true]', "true", True),
        ('["a",1,true]', '"b"', False),
        ('["a",1,true]', "2", False),
        ('["a",1,true]', "false", False),
        ('["a",1]', "true", None),
        ("[1]", '"1"', None),
        ('["a"]', "null", None),
        ('["a"]', "[]", None),
        ("[1]", "1e999", None),
    ],
)
def test_one_of_a_list_is_told_by_those_of_its_kind(operands: str, value: str, answer: bool | None) -> None:  # noqa: FBT001
    when, facts = f'{{"argument":"/x","in":{operands}}}', asked(f'{{"x":{value}}}')
    assert strikes(when, facts) == (answer is not False)
    assert strikes(when, facts, "allow") == (answer is True)
