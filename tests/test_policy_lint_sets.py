"""What is said of policies that stand beside each other, and beside the tools that there are: of each exactly that."""

from typing import Any

import pytest

from haldir.kernel import strict_json
from haldir.policy.lint import Catalogue, Finding, Severity, lint

CLOSED: dict[str, Any] = {"properties": {"q": {"type": "string"}}, "additionalProperties": False}
OPEN: dict[str, Any] = {"properties": {"q": {"type": "string"}}}


def found_in(upstreams: dict[str, Any], *texts: str, only: frozenset[str] | None = None) -> list[Finding]:
    definitions = [(f"p{at}", strict_json.decode(text.encode())) for at, text in enumerate(texts)]
    return lint(definitions, Catalogue(upstreams), only)


def rule(when: str, effect: str = "deny", more: str = "") -> str:
    return f'{{"type":"rule","effect":"{effect}","reason":"No.","when":{when}{more}}}'


@pytest.mark.parametrize(
    ("tool", "found"),
    [
        ("read", []),
        ("eu.read", []),  # Its own name has a dot, and there is an upstream `eu`.
        ("files.eu.read", []),
        ("eu.list", []),
        ("eu.write", [("error", "The upstream 'eu' has no tool 'write'.")]),
        ("eu", [("warning", "No connected upstream is known to have a tool 'eu'.")]),
        ("other.read", [("warning", "No connected upstream is known to have a tool 'other.read'.")]),
        (
            "away.read",
            [("warning", "Nobody could ask 'away' for its tools, so it is not known whether it has 'read'.")],
        ),
    ],
)
def test_a_tool_is_known_by_its_own_name_and_by_that_of_its_upstream(
    tool: str, found: list[tuple[Severity, str]]
) -> None:
    upstreams: dict[str, Any] = {"eu": {"list": {}}, "files": {"read": {}, "eu.read": {}}, "away": None, "empty": {}}
    said = found_in(upstreams, f'{{"type":"block_tool","tool":"{tool}"}}')
    assert said == [Finding(severity, "p0", "/tool", message) for severity, message in found]


WITH_LISTS: dict[str, Any] = {
    "properties": {
        "typed": {"type": "array", "items": CLOSED},
        "untyped": {"items": CLOSED},
        "both": {"items": CLOSED, **CLOSED},
        "several": {"type": ["array", "object", "null"], "items": CLOSED, **CLOSED},
        "nullable": {"type": ["object", "null"], **CLOSED},
        "scalars": {"type": ["string", "null"]},
        "alien": {"type": "any"},
        "star": {"type": "object", "properties": {"*": {"type": "number"}}},
        "listed": {"properties": {"a": {}}},
        "strange": {"properties": ["a"]},
        "map": {"additionalProperties": CLOSED},
        "mapped": {"properties": {"q": {}}, "additionalProperties": CLOSED},
        "yes": True,
        "odd": "string",
    },
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("leaf", "severity"),
    [
        ('"argument":"/typed/0/q"', None),
        ('"argument":"/typed/0/x"', "error"),
        ('"argument":"/typed/q"', "error"),
        ('"argument":"/typed/*/q"', "error"),  # Only in a sum is `*` every item.
        ('"sum":"/typed/*/q"', None),
        ('"sum":"/typed/0/q/*"', "error"),
        ('"sum":"/typed/*/x"', "error"),
        ('"argument":"/untyped/0/q"', None),
        ('"argument":"/untyped/x"', None),
        ('"sum":"/untyped/*/q"', None),
        ('"sum":"/untyped/*/x"', "error"),
        ('"argument":"/both/0/q"', None),
        ('"argument":"/both/0/x"', "error"),
        ('"argument":"/both/q"', None),
        ('"argument":"/both/x"', "error"),
        ('"sum":"/both/*/q"', None),
        ('"sum":"/both/*/x"', "error"),
        ('"argument":"/several/0/q"', None),
        ('"argument":"/several/q"', None),
        ('"argument":"/several/x"', "error"),
        ('"argument":"/nullable/q"', None),
        ('"argument":"/nullable/x"', "error"),
        ('"argument":"/nullable/0"', "error"),
        ('"argument":"/scalars"', None),
        ('"argument":"/scalars/x"', "error"),
        ('"argument":"/alien/x"', None),
        ('"argument":"/star/*"', None),
        ('"sum":"/star/*"', "error"),  # Members of an object are no items.
        ('"argument":"/listed/a"', None),
        ('"argument":"/listed/*/a"', "warning"),
        ('"argument":"/listed/b"', "warning"),
        ('"argument":"/strange/b"', None),
        ('"argument":"/map/k/q"', None),
        ('"argument":"/map/k/x"', "error"),
        ('"argument":"/mapped/k/q"', None),
        ('"argument":"/mapped/k/x"', "error"),
        ('"argument":"/yes/x"', None),
        ('"argument":"/odd/x"', None),
        ('"argument":"/none"', "error"),
    ],
)
def test_a_pointer_is_held_against_lists_and_objects_as_they_are_described(leaf: str, severity: str | None) -> None:
    said = found_in({"s": {"t": WITH_LISTS}}, rule(f'{{"all":[{{"tool":"t"}},{{{leaf},"eq":1}}]}}'))
    field = "sum" if '"sum"' in leaf else "argument"
    assert [(each.severity, each.pointer) for each in said] == (
        [(severity, f"/when/all/1/{field}")] if severity else []
    )


@pytest.mark.parametrize(
    "keyword",
    [
        "$ref",
        "$dynamicRef",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "not",
        "patternProperties",
        "dependentSchemas",
        "prefixItems",
    ],
)
def test_nothing_is_said_where_a_schema_speaks_by_reference_or_alternatives(keyword: str) -> None:
    when = '{"all":[{"tool":"t"},{"argument":"/none","eq":1}]}'
    assert found_in({"s": {"t": {**CLOSED, keyword: {}}}}, rule(when)) == []


@pytest.mark.parametrize("kind", ["string", "number", "integer", "boolean", "null"])
def test_nothing_is_in_what_is_no_object_and_no_list(kind: str) -> None:
    schema = {"properties": {"x": {"type": kind}}}
    assert found_in({"s": {"t": schema}}, rule('{"all":[{"tool":"t"},{"argument":"/x","eq":1}]}')) == []
    message = "The input schema of s.t has no '/x/y'."
    assert found_in({"s": {"t": schema}}, rule('{"all":[{"tool":"t"},{"argument":"/x/y","eq":1}]}')) == [
        Finding("error", "p0", "/when/all/1/argument", message)
    ]


@pytest.mark.parametrize(
    ("when", "severity"),
    [
        ('{"all":[{"tool":"find"},{"argument":"/q","eq":1}]}', None),
        ('{"all":[{"tool":"s.find"},{"argument":"/to","eq":1}]}', "error"),
        ('{"all":[{"tool":["s.find","s.buy"]},{"argument":"/to","eq":1}]}', None),
        ('{"all":[{"tool":["s.find","s.look"]},{"argument":"/to","eq":1}]}', "warning"),  # One of them is open.
        # What is about a whole upstream is about all its tools.
        ('{"all":[{"upstream":"s"},{"argument":"/to","eq":1}]}', None),
        ('{"all":[{"upstream":"s"},{"argument":"/none","eq":1}]}', "warning"),
        ('{"all":[{"upstream":"b"},{"argument":"/to","eq":1}]}', "error"),
        ('{"any":[{"all":[{"upstream":"s"},{"argument":"/to","eq":1}]},{"tool":"b.find"}]}', None),
        # A tool that nobody knows may have what the others have not, and so may one that goes by the same name.
        ('{"all":[{"tool":["s.find","away.find"]},{"argument":"/to","eq":1}]}', None),
        ('{"all":[{"upstream":["b","away"]},{"argument":"/to","eq":1}]}', None),
        ('{"all":[{"tool":"find"},{"argument":"/to","eq":1}]}', "warning"),
        ('{"all":[{"tool":["find","b.find"]},{"argument":"/to","eq":1}]}', "warning"),
        # What concerns every call is about nobody knows which.
        ('{"argument":"/none","eq":1}', None),
        ('{"not":{"all":[{"tool":"s.find"},{"argument":"/none","eq":1}]}}', None),
    ],
)
def test_a_pointer_is_held_against_every_tool_that_the_rule_may_be_about(when: str, severity: str | None) -> None:
    buy = {"properties": {"to": {}}, "additionalProperties": False}
    upstreams = {"s": {"find": CLOSED, "buy": buy, "look": OPEN}, "b": {"find": CLOSED}, "away": None}
    said = [each for each in found_in(upstreams, rule(when)) if each.pointer.endswith("/argument")]
    assert [each.severity for each in said] == ([severity] if severity else [])


def test_every_tool_of_a_list_is_looked_up() -> None:
    tools = '{"type":"deny_list","tools":["wipe","s.find","away.x","s.wipe"]}'
    said = found_in({"s": {"find": {}}, "away": None}, tools)
    assert [(each.severity, each.pointer) for each in said] == [
        ("warning", "/tools/0"),
        ("warning", "/tools/2"),
        ("error", "/tools/3"),
    ]


def test_a_bare_name_is_judged_for_sure_once_every_upstream_was_asked() -> None:
    when = rule('{"all":[{"tool":["find","b.look"]},{"not":{"argument":"/to","eq":1}}]}')
    said = found_in({"s": {"find": CLOSED}, "b": {"find": CLOSED, "look": CLOSED}}, when)
    message = "The input schema of s.find, b.find, b.look has no '/to'."
    assert said == [Finding("error", "p0", "/when/all/1/not/argument", message)]


def test_of_many_tools_the_first_three_are_named() -> None:
    said = found_in({"s": dict.fromkeys("abcd", CLOSED)}, rule('{"all":[{"upstream":"s"},{"argument":"/to","eq":1}]}'))
    assert [each.message for each in said] == ["The input schema of s.a, s.b, s.c has no '/to'."]


BUY, FIND = '{"type":"block_tool","tool":"buy"}', '{"type":"block_tool","tool":"find"}'
UPSTREAMS: dict[str, Any] = {"shop": {"buy": {}, "find": {}}, "a": {}}
WINDOW = '"calls":{"per":"agent","within_seconds":60}'
OF_BUY = '"calls":{"per":"agent","within_seconds":60,"tools":["buy"]}'


@pytest.mark.parametrize(
    ("texts", "found"),
    [
        # Who strikes less: nothing, a person, for ever.
        ((rule('{"agent":"a"}', "allow"), rule('{"agent":"a"}', "hold")), {"p0": "p1"}),
        ((rule('{"agent":"a"}', "hold"), rule('{"agent":"a"}', "allow")), {"p1": "p0"}),
        ((rule('{"agent":"a"}', "allow"), rule('{"agent":"a"}')), {"p0": "p1"}),
        ((rule('{"agent":"a"}', "hold"), rule('{"agent":"a"}')), {"p0": "p1"}),
        ((rule('{"agent":"a"}'), rule('{"agent":"a"}', "hold")), {"p1": "p0"}),
        # Of two that are alike the later one; of three each names the first that decides for it.
        ((BUY, BUY), {"p1": "p0"}),
        ((BUY, FIND, BUY), {"p2": "p0"}),
        ((BUY, '{"type":"deny_list","tools":["buy","find"]}', FIND), {"p0": "p1", "p2": "p1"}),
        ((BUY,), {}),
        # What strikes everywhere, and what strikes somewhere.
        ((rule('{"agent":"a"}'), '{"type":"rule","effect":"deny","reason":"No."}'), {"p0": "p1"}),
        (('{"type":"require_approval"}', '{"type":"rule","effect":"hold","reason":"No."}'), {"p1": "p0"}),
        # An upstream, and its tools.
        ((rule('{"upstream":"shop"}'), rule('{"all":[{"upstream":"shop"},{"tool":"buy"}]}')), {"p1": "p0"}),
        (
            (
                rule('{"any":[{"upstream":"shop"},{"tool":"find"}]}'),
                rule('{"all":[{"upstream":"shop"},{"tool":"buy"}]}'),
            ),
            {"p1": "p0"},
        ),
        ((rule('{"upstream":"shop"}'), rule('{"upstream":"a"}')), {}),
        ((rule('{"upstream":"shop"}'), rule('{"agent":"shop"}')), {}),
        ((rule('{"agent":"shop"}'), rule('{"upstream":"shop"}')), {}),
        # What is compared with itself alone.
        ((rule('{"session":"s"}'), rule('{"session":"s"}')), {"p1": "p0"}),
        ((rule('{"scope":"s"}'), rule('{"scope":"t"}')), {}),
        (
            (rule('{"argument":"/x","eq":"a"}'), rule('{"all":[{"agent":"b"},{"argument":"/x","eq":"a"}]}')),
            {"p1": "p0"},
        ),
        # Groups: all of one, any of one, or a part.
        ((rule('{"agent":"a"}'), rule('{"any":[{"agent":"a"},{"agent":"b"}]}')), {"p0": "p1"}),
        ((rule('{"all":[{"agent":"a"},{"session":"s"}]}'), rule('{"agent":"a"}')), {"p0": "p1"}),
        (
            (
                rule('{"any":[{"agent":"b"},{"all":[{"agent":"a"},{"session":"s"}]}]}'),
                rule('{"all":[{"session":"s"},{"agent":"a"},{"scope":"t"}]}'),
            ),
            {"p1": "p0"},
        ),
        (
            (
                rule('{"any":[{"agent":"a"},{"agent":"b"}]}'),
                rule('{"all":[{"scope":"t"},{"any":[{"agent":"a"},{"agent":"b"}]}]}'),
            ),
            {"p1": "p0"},
        ),
        # Names and patterns.
        ((rule('{"tool":"f*"}'), rule('{"tool":"shop.buy"}')), {}),
        ((rule('{"tool":"b*"}'), rule('{"tool":"shop.buy"}')), {"p1": "p0"}),
        ((rule('{"tool":"b*"}'), rule('{"tool":"a.shop.buy"}')), {}),
        ((rule('{"tool":"*.b*"}'), rule('{"tool":"shop.buy"}')), {"p1": "p0"}),
        # Ranges that end at the same place.
        ((rule('{"argument":"/x","ge":5}'), rule('{"argument":"/x","ge":5,"lt":9}')), {"p1": "p0"}),
        ((rule('{"argument":"/x","le":5}'), rule('{"argument":"/x","gt":1,"le":5}')), {"p1": "p0"}),
        ((rule('{"argument":"/x","gt":5}'), rule('{"argument":"/x","ge":5,"lt":9}')), {}),
        ((rule('{"argument":"/x","lt":5}'), rule('{"argument":"/x","gt":1,"le":5}')), {}),
        ((rule('{"argument":"/x","gt":1,"lt":9}'), rule('{"argument":"/x","gt":2}')), {}),
        ((rule('{"argument":"/x","ne":5}'), rule('{"argument":"/x","gt":6}')), {}),
        ((rule('{"argument":"/x","gt":5}'), rule('{"argument":"/x","gt":6,"ne":7}')), {}),
        ((rule('{"argument":"/x/*","gt":5}'), rule('{"sum":"/x/*","gt":6}')), {}),
        ((rule('{"sum":"/x/*","gt":5}'), rule('{"argument":"/x/*","gt":6}')), {}),
        ((rule('{"sum":"/x/*","gt":5}'), rule('{"sum":"/y/*","gt":6}')), {}),
        ((rule('{"spend":{"per":"call"},"gt":6}'), rule('{"spend":{"per":"call"},"gt":5}')), {"p0": "p1"}),
        ((rule(f'{{{WINDOW},"gt":5}}'), rule(f'{{{OF_BUY},"gt":6}}')), {}),
        ((rule(f'{{{WINDOW},"gt":5}}'), rule(f'{{{WINDOW},"gt":5,"le":9}}')), {"p1": "p0"}),
        # Kinds of their own compare with their own kind alone.
        (('{"type":"allow_list","tools":["buy","find"]}', '{"type":"allow_list","tools":["buy"]}'), {"p0": "p1"}),
        (('{"type":"allow_list","tools":["buy"]}', BUY), {}),
        ((BUY, '{"type":"allow_list","tools":["buy","find"]}'), {}),
        (('{"type":"deny_list","tools":["buy"]}', '{"type":"allow_list","tools":["buy","find"]}'), {}),
        (('{"type":"spend_limit","max":5}', '{"type":"spend_limit","max":6}'), {"p1": "p0"}),
        (('{"type":"spend_limit","max":5}', '{"type":"rate_limit","max_per_minute":9}'), {}),
        (('{"type":"rate_limit","max_per_minute":1}', rule('{"agent":"a"}')), {}),
        # Holds, on the same terms or stricter ones.
        (
            (rule('{"agent":"a"}', "hold", ',"approvers":2'), rule('{"agent":"a"}', "hold", ',"four_eyes":true')),
            {},
        ),
        (
            (rule('{"agent":"a"}', "hold", ',"four_eyes":true'), rule('{"agent":"a"}', "hold")),
            {"p1": "p0"},
        ),
        # In shadow mode a policy decides nothing, and is not in the way of others.
        (('{"type":"block_tool","tool":"buy","mode":"shadow"}', BUY, BUY), {"p2": "p1"}),
    ],
)
def test_of_two_policies_the_one_that_never_decides_is_named_and_the_one_that_does(
    texts: tuple[str, ...], found: dict[str, str]
) -> None:
    said = [each for each in found_in(UPSTREAMS, *texts) if each.message.startswith("It never decides anything")]
    message = "It never decides anything: the policy {!r} does, wherever this one strikes."
    assert said == [Finding("warning", name, "", message.format(other)) for name, other in found.items()]


def counting(within_seconds: int) -> str:
    window = f'"calls":{{"per":"agent","within_seconds":{within_seconds}}}'
    return rule(f'{{"all":[{{{window},"gt":5}},{{"argument":"/{within_seconds}","eq":1}}]}}')


def test_only_policies_that_bring_a_window_beyond_32_are_refused() -> None:
    windows = [counting(60 + at) for at in range(33)]
    message = "With it the policies measure {} different windows; 32 are the most."

    def errors(*texts: str) -> list[Finding]:
        return [each for each in found_in({}, *texts) if each.severity == "error"]

    assert errors(*windows[:32], windows[0], windows[31]) == []
    assert errors(*windows, windows[0], windows[32], counting(200)) == [
        Finding("error", "p32", "", message.format(33)),
        Finding("error", "p35", "", message.format(34)),
    ]


def test_findings_come_in_the_order_of_the_policies_and_of_those_alone_that_were_asked_about() -> None:
    texts = ('{"type":"block_tol"}', '{"type":"block_tool","tool":"x"}', '{"type":"allow_list","tools":[]}', BUY)
    everything = [("p0", "/type"), ("p1", "/tool"), ("p2", "/tools")]
    assert [(each.policy, each.pointer) for each in found_in(UPSTREAMS, *texts)] == everything
    assert [
        (each.policy, each.pointer) for each in found_in(UPSTREAMS, *texts, only=frozenset({"p1", "p3"}))
    ] == everything[1:2]
