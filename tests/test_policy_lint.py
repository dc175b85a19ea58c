"""What the linter refuses, and what it finds odd: by table, and never of what strikes somewhere."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haldir.kernel import strict_json
from haldir.kernel.strict_json import Number
from haldir.policy.bounds import METERS_MAX
from haldir.policy.conditions.reading import read_condition
from haldir.policy.facts import Facts
from haldir.policy.lint import Catalogue, Finding, lint
from haldir.policy.lint_conditions import faults
from haldir.policy.lint_shadowed import implies, shadowed
from haldir.policy.parse import parse
from interpreter import World, strikes, truth
from policy_samples import all_definitions, asked_calls, leaves, policy, rules_on, trees

SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "items": {
            "type": "array",
            "items": {"type": "object", "properties": {"price": {}}, "additionalProperties": False},
        },
        "any": {"anyOf": [{"type": "string"}]},
        "map": {"type": "object", "additionalProperties": {"type": "object", "properties": {"x": {}}}},
        "free": {"type": "object"},
    },
    "additionalProperties": False,
}
OPEN = {"type": "object", "properties": {"q": {"type": "string"}}}
CATALOGUE = Catalogue(
    {"shop": {"buy": SCHEMA, "find": OPEN, "bare": {"type": "object"}}, "away": None, "a": {}, "b": {}}
)


def linted(text: str, catalogue: Catalogue = CATALOGUE) -> list[tuple[str, str]]:
    found = lint([("p", strict_json.decode(text.encode()))], catalogue)
    assert all(each.policy == "p" and each.message for each in found)
    return [(each.severity, each.pointer) for each in found]


def rule(when: str, effect: str = "deny") -> str:
    return f'{{"type":"rule","effect":"{effect}","reason":"No.","when":{when}}}'


@pytest.mark.parametrize(
    ("definition", "found"),
    [
        ('{"type":"block_tool","tool":"buy"}', []),
        ('{"type":"block_tool","tool":"shop.buy"}', []),
        ('{"type":"block_tool","tool":"wipe"}', [("warning", "/tool")]),
        ('{"type":"block_tool","tool":"shop.wipe"}', [("error", "/tool")]),
        ('{"type":"block_tool","tool":"away.wipe"}', [("warning", "/tool")]),
        ('{"type":"block_tool","tool":"gone.wipe"}', [("warning", "/tool")]),
        (
            '{"type":"deny_list","tools":["buy","shop.find","shop.x","y"]}',
            [("error", "/tools/2"), ("warning", "/tools/3")],
        ),
        ('{"type":"allow_list","tools":[]}', [("error", "/tools")]),
        ('{"type":"allow_list","tools":["buy"]}', []),
        ('{"type":"require_approval","tools":["shop.buy","shop.x"]}', [("error", "/tools/1")]),
        ('{"type":"require_approval"}', []),
        ('{"type":"block_tol","tool":"buy"}', [("error", "/type")]),
        ("[]", [("error", "")]),
        (rule('{"tool":"shop.x"}'), [("error", "/when/tool")]),
        (
            rule('{"all":[{"tool":["buy","shop.x"]},{"not":{"tool":"y"}}]}'),
            [("error", "/when/all/0/tool/1"), ("warning", "/when/all/1/not/tool")],
        ),
        (rule('{"tool":"shop.x*"}'), []),
        (
            rule('{"calls":{"per":"agent","within_seconds":60,"tools":["buy","shop.x"]},"gt":3}'),
            [("error", "/when/calls/tools/1")],
        ),
        (rule('{"tool":"buy"}', "allow"), [("warning", "/effect")]),
        (rule('{"upstream":["shop","away","gone","x*"]}'), [("warning", "/when/upstream")]),
        (rule('{"not":{"upstream":"gone"}}'), [("warning", "/when/not/upstream")]),
    ],
)
def test_tools_that_are_not_there_and_lists_of_nothing_are_found(definition: str, found: list[tuple[str, str]]) -> None:
    assert linted(definition) == found


NEVER, ALWAYS = "error", "warning"


@pytest.mark.parametrize(
    ("when", "found"),
    [
        ('{"argument":"/to","gt":10,"lt":5}', [(NEVER, "/when")]),
        ('{"argument":"/to","gt":5,"lt":10}', []),
        ('{"argument":"/to","gt":5,"lt":5}', [(NEVER, "/when")]),
        ('{"argument":"/to","ge":5,"lt":5}', [(NEVER, "/when")]),
        ('{"argument":"/to","ge":5,"le":5}', []),
        ('{"argument":"/to","ge":5,"le":5,"ne":5}', [(NEVER, "/when")]),
        ('{"argument":"/to","gt":5,"le":5.1}', []),
        ('{"argument":"/to","eq":1,"ne":1.0}', [(NEVER, "/when")]),
        ('{"argument":"/to","eq":1,"gt":0}', []),
        ('{"argument":"/to","eq":1,"gt":1}', [(NEVER, "/when")]),
        ('{"argument":"/to","eq":1,"lt":1}', [(NEVER, "/when")]),
        ('{"argument":"/to","eq":1,"le":1,"ge":1}', []),
        ('{"argument":"/to","eq":"a","in":["a","b"]}', []),
        ('{"argument":"/to","eq":"a","in":["b"]}', [(NEVER, "/when/in")]),
        ('{"argument":"/to","length":{"gt":3,"lt":4}}', [(NEVER, "/when")]),
        ('{"argument":"/to","length":{"gt":3,"lt":5}}', []),
        ('{"argument":"/to","length":{"ge":3,"le":3}}', []),
        ('{"all":[{"argument":"/to","gt":10},{"argument":"/to","lt":5}]}', [(NEVER, "/when/all/1")]),
        ('{"all":[{"argument":"/to","gt":10},{"argument":"/map","lt":5}]}', []),
        ('{"all":[{"argument":"/to","gt":10},{"any":[{"argument":"/to","lt":5},{"agent":"a"}]}]}', []),
        (
            '{"all":[{"argument":"/to","gt":10},{"all":[{"argument":"/to","lt":5},{"agent":"a"}]}]}',
            [(NEVER, "/when/all/1/all/0")],
        ),
        ('{"all":[{"argument":"/to","gt":10},{"not":{"argument":"/to","ge":5}}]}', [(NEVER, "/when/all/1/not")]),
        ('{"all":[{"argument":"/to","gt":10},{"not":{"argument":"/to","ge":5,"matches":"x"}}]}', []),
        ('{"all":[{"argument":"/to","gt":10},{"not":{"argument":"/to","ge":5,"lt":50}}]}', []),
        ('{"not":{"any":[{"argument":"/to","gt":5},{"argument":"/to","le":5}]}}', [(NEVER, "/when/not/any/1")]),
        ('{"any":[{"argument":"/to","gt":5},{"argument":"/to","le":5}]}', [(ALWAYS, "/when/any/1")]),
        ('{"any":[{"argument":"/to","gt":5},{"argument":"/to","lt":5}]}', []),
        ('{"any":[{"argument":"/to","gt":5},{"argument":"/to","lt":6}]}', [(ALWAYS, "/when/any/1")]),
        ('{"any":[{"argument":"/to","gt":5,"lt":9},{"argument":"/to","lt":6}]}', []),
        ('{"any":[{"argument":"/to","gt":5,"matches":"x"},{"argument":"/to","lt":6}]}', []),
        ('{"any":[{"argument":"/to","gt":9,"lt":5},{"agent":"a"}]}', [(NEVER, "/when/any/0")]),
        ('{"any":[{"argument":"/to","eq":5},{"argument":"/to","ne":5}]}', [(ALWAYS, "/when/any/1")]),
        ('{"any":[{"argument":"/to","eq":"a"},{"argument":"/to","ne":"a"}]}', []),
        ('{"all":[{"agent":"a"},{"not":{"agent":"a"}}]}', [(NEVER, "/when/all/1/not")]),
        ('{"any":[{"agent":"a"},{"not":{"agent":"a"}}]}', [(ALWAYS, "/when/any/1/not")]),
        ('{"any":[{"agent":"a"},{"not":{"agent":"b"}}]}', []),
        ('{"all":[{"argument":"/to","exists":true},{"argument":"/to","exists":false}]}', [(NEVER, "/when/all/1")]),
        (
            '{"all":[{"argument":"/to","exists":true},{"not":{"argument":"/to","exists":true}}]}',
            [(NEVER, "/when/all/1/not")],
        ),
        ('{"any":[{"argument":"/to","exists":true},{"argument":"/to","exists":false}]}', [(ALWAYS, "/when/any/1")]),
        ('{"all":[{"argument":"/to","exists":true},{"argument":"/to","exists":true}]}', []),
        ('{"all":[{"argument":"/to","eq":"a"},{"argument":"/to","in":["b","c"]}]}', [(NEVER, "/when/all/1/in")]),
        ('{"all":[{"argument":"/to","eq":1},{"argument":"/to","in":[1.0]}]}', []),
        ('{"all":[{"tool":"buy"},{"tool":"find"}]}', [(NEVER, "/when/all/1/tool")]),
        ('{"all":[{"tool":"buy"},{"tool":"shop.buy"}]}', []),
        ('{"all":[{"tool":"shop.buy"},{"tool":"buy"}]}', []),
        ('{"all":[{"tool":["buy","find"]},{"tool":"find"}]}', []),
        ('{"all":[{"tool":"buy"},{"tool":"f*"}]}', []),
        ('{"all":[{"upstream":"a"},{"upstream":"b"}]}', [(NEVER, "/when/all/1/upstream")]),
        ('{"all":[{"agent":"a"},{"agent":["b","c"]}]}', [(NEVER, "/when/all/1/agent")]),
        ('{"all":[{"session":"a"},{"session":"b"}]}', [(NEVER, "/when/all/1/session")]),
        ('{"any":[{"session":"a"},{"session":"b"}]}', []),
        ('{"all":[{"session":"a"},{"not":{"session":"b"}}]}', []),
        ('{"calls":{"per":"agent","within_seconds":60},"ge":1}', [(ALWAYS, "/when/ge")]),
        ('{"calls":{"per":"agent","within_seconds":60},"ge":2}', []),
        ('{"calls":{"per":"agent","within_seconds":60},"gt":0}', [(ALWAYS, "/when/gt")]),
        ('{"calls":{"per":"agent","within_seconds":60},"gt":1}', []),
        ('{"calls":{"per":"agent","within_seconds":60},"lt":1}', [(NEVER, "/when/lt")]),
        ('{"calls":{"per":"agent","within_seconds":60},"lt":2}', []),
        ('{"calls":{"per":"agent","within_seconds":60},"le":0}', [(NEVER, "/when/le")]),
        ('{"calls":{"per":"agent","within_seconds":60},"le":1}', []),
        ('{"not":{"calls":{"per":"agent","within_seconds":60},"ge":1}}', [(NEVER, "/when/not/ge")]),
        ('{"not":{"calls":{"per":"agent","within_seconds":60},"ge":1,"lt":5}}', []),
        ('{"calls":{"per":"agent","within_seconds":60,"tools":["buy"]},"ge":1}', []),
        ('{"calls":{"per":"agent","within_seconds":60,"tools":["buy"]},"ge":0}', [(ALWAYS, "/when/ge")]),
        ('{"calls":{"per":"agent","within_seconds":60},"gt":5,"lt":6}', [(NEVER, "/when")]),
        (
            '{"all":[{"calls":{"per":"agent","within_seconds":60},"gt":5},{"calls":{"per":"agent","within_seconds":61},"lt":6}]}',
            [],
        ),
        ('{"spend":{"per":"agent","within_seconds":60},"ge":0}', [(ALWAYS, "/when/ge")]),
        ('{"spend":{"per":"call"},"lt":0}', [(NEVER, "/when/lt")]),
        ('{"spend":{"per":"call"},"gt":5,"lt":4}', [(NEVER, "/when")]),
        ('{"sum":"/items/*/price","gt":5,"lt":4}', [(NEVER, "/when")]),
        ('{"all":[{"sum":"/items/*/price","gt":5},{"sum":"/items/*/price","gt":6}]}', []),
    ],
)
def test_conditions_that_are_never_or_always_met_are_found(when: str, found: list[tuple[str, str]]) -> None:
    assert linted(rule(when)) == found


@pytest.mark.parametrize(
    ("tool", "leaf", "found"),
    [
        ("shop.buy", '{"argument":"/to","eq":"x"}', None),
        ("shop.buy", '{"argument":"/too","eq":"x"}', "error"),
        ("shop.buy", '{"argument":"/to/x","eq":"x"}', "error"),
        ("shop.buy", '{"argument":"/items/0/price","eq":1}', None),
        ("shop.buy", '{"argument":"/items/0/cost","eq":1}', "error"),
        ("shop.buy", '{"argument":"/items/x","eq":1}', "error"),
        ("shop.buy", '{"sum":"/items/*/price","gt":1}', None),
        ("shop.buy", '{"sum":"/items/*/cost","gt":1}', "error"),
        ("shop.buy", '{"argument":"/any/thing","eq":1}', None),
        ("shop.buy", '{"argument":"/map/k/x","eq":1}', None),
        ("shop.buy", '{"argument":"/map/k/y","eq":1}', "warning"),
        ("shop.buy", '{"argument":"/free/y","eq":1}', None),
        ("shop.buy", '{"argument":"","length":{"gt":1}}', None),
        ("shop.buy", '{"argument":"/too","exists":true}', "error"),
        ("shop.buy", '{"argument":"/too","exists":false}', None),
        ("shop.find", '{"argument":"/to","eq":1}', "warning"),
        ("shop.find", '{"argument":"/q","eq":"x"}', None),
        ("find", '{"argument":"/to","eq":1}', "warning"),
        ("shop.bare", '{"argument":"/to","eq":1}', None),
        ("*", '{"argument":"/too","eq":1}', None),
        ("away.x", '{"argument":"/too","eq":1}', None),
    ],
)
def test_a_pointer_that_no_tool_of_the_rule_has_is_found(tool: str, leaf: str, found: str | None) -> None:
    field = "sum" if "sum" in leaf else "argument"
    expected = [(found, f"/when/all/1/{field}")] if found else []
    assert [
        each for each in linted(rule(f'{{"all":[{{"tool":"{tool}"}},{leaf}]}}')) if "tool" not in each[1]
    ] == expected


def test_a_pointer_is_known_if_one_of_the_tools_has_it() -> None:
    assert linted(rule('{"all":[{"tool":["shop.buy","shop.find"]},{"argument":"/q","eq":"x"}]}')) == []
    both = '{"all":[{"tool":["shop.buy","shop.find"]},{"not":{"argument":"/none","eq":"x"}}]}'
    assert linted(rule(both)) == [("warning", "/when/all/1/not/argument")]


def needless(*texts: str) -> list[str]:
    definitions = [(f"p{at}", strict_json.decode(text.encode())) for at, text in enumerate(texts)]
    return [each.policy for each in lint(definitions, CATALOGUE) if each.pointer == "" and each.severity == "warning"]


LEVELS = 14  # Of the sixteen that a condition may have.
DENY_BUY = '{"type":"block_tool","tool":"buy"}'
ALL = '{"type":"rule","effect":"deny","reason":"No."}'


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        ((DENY_BUY, DENY_BUY), ["p1"]),
        ((DENY_BUY, '{"type":"block_tool","tool":"shop.buy"}'), ["p1"]),
        (('{"type":"block_tool","tool":"shop.buy"}', DENY_BUY), ["p0"]),
        ((DENY_BUY, '{"type":"block_tool","tool":"find"}'), []),
        ((DENY_BUY, '{"type":"deny_list","tools":["buy","find"]}'), ["p0"]),
        ((DENY_BUY, rule('{"all":[{"tool":"buy"},{"argument":"/to","eq":"x"}]}')), ["p1"]),
        ((DENY_BUY, rule('{"all":[{"tool":"buy"},{"argument":"/to","eq":"x"}]}', "hold")), ["p1"]),
        ((DENY_BUY, '{"type":"require_approval","tools":["buy"]}'), ["p1"]),
        ((DENY_BUY, '{"type":"require_approval"}'), []),
        (('{"type":"require_approval"}', DENY_BUY), []),
        (('{"type":"require_approval"}', '{"type":"require_approval","tools":["buy"]}'), ["p1"]),
        (('{"type":"require_approval"}', '{"type":"require_approval","tools":["buy"],"approvers":2}'), []),
        (('{"type":"require_approval"}', '{"type":"require_approval","tools":["buy"],"four_eyes":true}'), []),
        (('{"type":"require_approval","approvers":2}', '{"type":"require_approval","tools":["buy"]}'), ["p1"]),
        ((rule('{"agent":"a"}'), rule('{"agent":"a"}')), ["p1"]),
        ((rule('{"agent":"a*"}'), rule('{"agent":["ab","ac"]}')), ["p1"]),
        ((rule('{"agent":"a*"}'), rule('{"agent":["ab","b"]}')), []),
        ((rule('{"agent":["b","a*"]}'), rule('{"agent":["ab","b"]}')), ["p1"]),
        ((rule('{"argument":"/x","gt":5}'), rule('{"argument":"/x","gt":10}')), ["p1"]),
        ((rule('{"argument":"/x","gt":10}'), rule('{"argument":"/x","gt":5}')), ["p0"]),
        ((rule('{"argument":"/x","gt":5}'), rule('{"argument":"/x","ge":5}')), ["p0"]),
        ((rule('{"argument":"/x","gt":5}'), rule('{"argument":"/x","gt":6,"lt":9}')), ["p1"]),
        ((rule('{"argument":"/x","gt":5}'), rule('{"argument":"/x","gt":6,"matches":"a"}')), []),
        ((rule('{"argument":"/x","gt":5}'), rule('{"argument":"/y","gt":6}')), []),
        ((rule('{"argument":"/x","gt":5}'), rule('{"argument":"/x","lt":4}')), []),
        ((rule('{"argument":"/x","lt":5}'), rule('{"argument":"/x","lt":4}')), ["p1"]),
        ((rule('{"not":{"argument":"/x","gt":5}}'), rule('{"not":{"argument":"/x","gt":4}}')), ["p1"]),
        ((rule('{"any":[{"agent":"a"},{"tool":"buy"}]}'), rule('{"tool":"buy"}')), ["p1"]),
        ((rule('{"any":[{"agent":"a"},{"tool":"buy"}]}'), rule('{"any":[{"tool":"buy"},{"agent":"a"}]}')), ["p1"]),
        ((rule('{"all":[{"agent":"a"},{"tool":"buy"}]}'), rule('{"tool":"buy"}')), ["p0"]),
        ((rule('{"spend":{"per":"call"},"gt":5}'), '{"type":"require_approval","amount_over":10}'), ["p1"]),
        (
            (
                rule('{"calls":{"per":"agent","within_seconds":60},"gt":5}'),
                rule('{"calls":{"per":"agent","within_seconds":60},"gt":6}'),
            ),
            ["p1"],
        ),
        (
            (
                rule('{"calls":{"per":"agent","within_seconds":60},"gt":5}'),
                rule('{"calls":{"per":"agent","within_seconds":61},"gt":6}'),
            ),
            [],
        ),
        ((rule('{"sum":"/items/*/price","ge":5}'), rule('{"sum":"/items/*/price","gt":5}')), ["p1"]),
        (('{"type":"rate_limit","max_per_minute":5}', '{"type":"rate_limit","max_per_minute":6}'), ["p1"]),
        (('{"type":"rate_limit","max_per_minute":5,"per":"agent"}', '{"type":"rate_limit","max_per_minute":6}'), []),
        (('{"type":"spend_limit","max":5}', '{"type":"spend_limit","max":5}'), ["p1"]),
        (('{"type":"spend_limit","max":6}', '{"type":"spend_limit","max":5}'), ["p0"]),
        (('{"type":"allow_list","tools":["buy"]}', '{"type":"allow_list","tools":["buy","find"]}'), ["p1"]),
        (('{"type":"allow_list","tools":["buy"]}', '{"type":"allow_list","tools":["find"]}'), []),
        (('{"type":"block_tool","tool":"buy","mode":"shadow"}', DENY_BUY), []),
        ((DENY_BUY, '{"type":"block_tool","tool":"buy","mode":"shadow"}'), []),
        (
            (
                '{"type":"time_window","start_hour":1,"end_hour":2}',
                '{"type":"time_window","start_hour":1,"end_hour":2}',
            ),
            [],
        ),
        ((rule('{"tool":"buy"}'), rule('{"tool":"shop.buy"}'), rule('{"tool":["buy"]}')), ["p1", "p2"]),
        ((rule('{"tool":"buy"}'), rule('{"any":[{"agent":"a"},{"tool":"buy"}]}')), ["p0"]),
        ((rule('{"any":[{"upstream":"shop"},{"tool":"buy"}]}'), rule('{"upstream":"shop"}')), ["p1"]),
        ((ALL, '{"type":"rate_limit","max_per_minute":6}'), []),
        ((DENY_BUY, '{"type":"require_approval","tools":["buy"],"approvers":2}'), ["p1"]),
        ((ALL, ALL), ["p1"]),
        ((ALL, DENY_BUY), ["p1"]),
        (('{"type":"rate_limit","max_per_minute":6}', '{"type":"rate_limit","max_per_minute":5}'), ["p0"]),
        (('{"type":"rate_limit","max_per_minute":5}', '{"type":"rate_limit","max_per_minute":5}'), ["p1"]),
        ((DENY_BUY, '{"type":"allow_list","tools":["buy"]}'), []),
        (('{"type":"allow_list","tools":["buy"]}', '{"type":"allow_list","tools":["buy"]}'), ["p1"]),
        ((rule('{"upstream":"sh*"}'), rule('{"upstream":"shop"}')), ["p1"]),
        ((rule('{"sum":"/x","gt":5}'), rule('{"argument":"/x","gt":6}')), []),
        (
            (
                rule('{"calls":{"per":"agent","within_seconds":60},"gt":6}'),
                rule('{"calls":{"per":"agent","within_seconds":60},"gt":5}'),
            ),
            ["p0"],
        ),
        ((rule('{"spend":{"per":"call"},"gt":5}'), rule('{"calls":{"per":"agent","within_seconds":60},"gt":6}')), []),
        ((rule('{"calls":{"per":"agent","within_seconds":60},"gt":6}'), rule('{"spend":{"per":"call"},"gt":5}')), []),
        ((rule('{"tool":"buy*"}'), rule('{"tool":"shop.buyer"}')), ["p1"]),
        ((rule('{"tool":"find"}'), rule('{"tool":"shop.buy"}')), []),
        ((rule('{"tool":"c"}'), rule('{"tool":"a.b.c"}')), []),
        ((rule('{"tool":"b*"}'), rule('{"tool":"shop.b*"}')), []),
        ((rule('{"argument":"/x","gt":5}'), rule('{"argument":"/x","eq":6}')), []),
        ((rule('{"argument":"/x","lt":5}'), rule('{"argument":"/x","le":4}')), ["p1"]),
        ((rule('{"argument":"/x","gt":6,"lt":9}'), rule('{"argument":"/x","gt":7}')), []),
        ((rule('{"argument":"/x","lt":5}'), rule('{"argument":"/x","le":5}')), ["p0"]),
    ],
)
def test_a_policy_that_another_makes_needless_is_found(texts: tuple[str, ...], found: list[str]) -> None:
    assert needless(*texts) == found


def test_only_what_was_asked_about_is_told_though_all_stand_together() -> None:
    definitions: list[tuple[str, Any]] = [
        ("old", {"type": "block_tool", "tool": "wipe"}),
        ("new", {"type": "block_tool", "tool": "wipe"}),
    ]
    message = "No connected upstream is known to have a tool 'wipe'."
    needless_message = "It never decides anything: the policy 'old' does, wherever this one strikes."
    assert lint(definitions, CATALOGUE, frozenset({"new"})) == [
        Finding("warning", "new", "/tool", message),
        Finding("warning", "new", "", needless_message),
    ]
    assert [each.policy for each in lint(definitions, CATALOGUE)] == ["old", "new", "new"]


def test_more_windows_than_a_call_can_write_into_are_refused() -> None:
    def counting(within: int, mode: str) -> dict[str, Any]:
        window = {"per": "agent", "within_seconds": Number(str(within))}
        when = {"calls": window, "gt": Number("5")}
        return {"type": "rule", "effect": "deny", "reason": "No.", "when": when, "mode": mode}

    def errors(number: int, mode: str) -> list[str]:
        definitions = [(f"p{at}", counting(60 + at, mode)) for at in range(number)]
        return [each.policy for each in lint(definitions, CATALOGUE) if each.severity == "error"]

    assert errors(METERS_MAX, "enforce") == []
    assert errors(METERS_MAX + 2, "enforce") == [f"p{METERS_MAX}", f"p{METERS_MAX + 1}"]
    assert errors(METERS_MAX + 2, "shadow") == []


@settings(max_examples=600)
@given(trees(leaves), asked_calls)
def test_what_is_never_met_is_not_met_by_any_call_and_what_always_is_by_every_one(tree: Any, facts: Facts) -> None:
    found = [each for each in faults(read_condition(tree, ()), ()) if each.pointer.count("/") <= 1]
    told = truth(tree, World(facts, []))
    whole = [
        each for each in found if "all" not in each.pointer and "any" not in each.pointer and "not" not in each.pointer
    ]
    if any(each.never for each in whole):
        assert told is not True
    elif whole and len(tree) <= 2:  # Of two bounds of one leaf the other may still not be met.
        assert told is not False


@settings(max_examples=600)
@given(rules_on(leaves, ("deny", "hold")), rules_on(leaves, ("deny", "hold")), asked_calls)
def test_a_condition_that_implies_another_never_strikes_without_it(one: Any, other: Any, facts: Facts) -> None:
    first, second = read_condition(one["when"], ()), read_condition(other["when"], ())
    for condition, definition in ((read_condition({"all": [one["when"], other["when"]]}, ()), other), (first, one)):
        assert implies(condition, read_condition(definition["when"], ()))
    if implies(first, second) and strikes(one, World(facts, [])) and "." not in facts.tool:
        assert strikes(other, World(facts, []))


@settings(max_examples=100)
@given(st.lists(all_definitions, max_size=6))
def test_the_linter_ends_and_speaks_only_of_what_it_was_given(drawn: list[dict[str, Any]]) -> None:
    definitions = [(f"p{at}", each) for at, each in enumerate(drawn)]
    names = [name for name, _ in definitions]
    found = lint(definitions, CATALOGUE)
    assert [names.index(each.policy) for each in found] == sorted(names.index(each.policy) for each in found)
    policies = [(name, parse(each)) for name, each in definitions]
    assert {name for name, _ in shadowed(policies, None)} <= set(names)


def test_a_policy_in_doubt_is_not_called_needless() -> None:
    assert list(shadowed([("a", policy(DENY_BUY)), ("b", policy('{"type":"spend_limit","max":1}'))], None)) == []


def test_conditions_that_are_nested_in_each_other_are_compared_once_each() -> None:
    """Each level asks about the one below by several ways: sixteen of them are a billion, taken one by one."""
    definitions: list[tuple[str, Any]] = []
    for name, group in (("one", "all"), ("other", "any")):
        when: Any = {"argument": f"/{name}", "exists": True}
        for depth in range(LEVELS):
            inner = {"argument": f"/{name}{depth}", "exists": True}
            when = {group: [when, inner]}
        rule = {"type": "rule", "effect": "deny", "reason": "No.", "when": when}
        definitions.append((name, strict_json.decode(strict_json.encode(rule))))
    assert [each.policy for each in lint(definitions, CATALOGUE) if each.severity == "error"] == []
