"""What is said of conditions at the very bounds: found there, and not found one beside; where it points, in which words."""

import pytest

from haldir.kernel import strict_json
from haldir.policy.lint import Catalogue, Finding, lint

NEVER, ALWAYS = "can never be met.", "is always met."
CALLS = '"calls":{"per":"agent","within_seconds":60}'
SPEND = '"spend":{"per":"agent","within_seconds":60}'
PRICE = '"spend":{"per":"call"}'


def found_in(when: str) -> list[Finding]:
    text = f'{{"type":"rule","effect":"deny","reason":"No.","when":{when}}}'
    return lint([("p", strict_json.decode(text.encode()))], Catalogue({"a": {}, "b": {}}))


@pytest.mark.parametrize(
    ("when", "found"),
    [
        # Ranges of what has no smallest step, and of what has one.
        ('{"argument":"/x","gt":5,"lt":6}', []),
        ('{"sum":"/x/*","gt":5,"lt":6}', []),
        ('{"sum":"/x/*","ge":5,"lt":5}', [(NEVER, "/when")]),
        (f'{{{PRICE},"gt":5,"lt":5.000001}}', [(NEVER, "/when")]),
        (f'{{{PRICE},"gt":5,"lt":5.000002}}', []),
        (f'{{{SPEND},"gt":5,"lt":5.000001}}', [(NEVER, "/when")]),
        (f'{{{SPEND},"gt":5,"lt":5.000002}}', []),
        (
            '{"all":[{"argument":"/x","ge":5},{"argument":"/x","gt":5},{"argument":"/x","le":5}]}',
            [(NEVER, "/when/all/2")],
        ),
        (
            '{"all":[{"argument":"/x","le":5},{"argument":"/x","lt":5},{"argument":"/x","ge":5}]}',
            [(NEVER, "/when/all/2")],
        ),
        # One value, and a range that has it, or ends before or at it.
        ('{"argument":"/x","eq":1,"ge":2}', [(NEVER, "/when")]),
        ('{"argument":"/x","eq":5,"le":4}', [(NEVER, "/when")]),
        ('{"argument":"/x","eq":3,"lt":5}', []),
        ('{"argument":"/x","eq":5,"gt":3}', []),
        ('{"argument":"/x","length":{"eq":3,"lt":3}}', [(NEVER, "/when")]),
        ('{"all":[{"argument":"/x","length":{"eq":1}},{"argument":"/x","length":{"eq":2}}]}', [(NEVER, "/when/all/1")]),
        ('{"all":[{"argument":"/x","length":{"eq":1}},{"argument":"/x","length":{"eq":1}}]}', []),
        ('{"argument":"/x","matches":"a","length":{"gt":3,"lt":4}}', [(NEVER, "/when")]),
        (
            '{"all":[{"argument":"/x","eq":"a","length":{"gt":5}},{"argument":"/x","length":{"lt":3}}]}',
            [(NEVER, "/when/all/1")],
        ),
        # A value, its length, and the sum of what is in it are three things; so are two windows.
        ('{"all":[{"argument":"/x","lt":5},{"argument":"/x","length":{"gt":5}}]}', []),
        ('{"all":[{"argument":"/x/*","lt":5},{"sum":"/x/*","gt":5}]}', []),
        ('{"all":[{"argument":"/x","length":{"lt":5}},{"argument":"/y","length":{"gt":5}}]}', []),
        ('{"all":[{"sum":"/x/*","lt":5},{"sum":"/y/*","gt":5}]}', []),
        (f'{{"all":[{{{SPEND},"lt":5}},{{{PRICE},"gt":5}}]}}', []),
        (f'{{"all":[{{{SPEND},"lt":5}},{{{CALLS},"gt":5}}]}}', []),
        # Counts that cannot be less: none of spend or price, one of calls.
        (f'{{{SPEND},"ge":0.000001}}', []),
        (f'{{{SPEND},"lt":0.000001}}', []),
        (f'{{{PRICE},"ge":0.000001}}', []),
        (f'{{{PRICE},"lt":0.000001}}', []),
        (f'{{{PRICE},"ge":0}}', [(ALWAYS, "/when/ge")]),
        (f'{{{PRICE},"gt":0}}', []),
        (f'{{{PRICE},"le":0}}', []),
        (f'{{{CALLS},"gt":0,"lt":5}}', [(ALWAYS, "/when/gt")]),
        (f'{{"not":{{{CALLS},"lt":1}}}}', [(ALWAYS, "/when/not/lt")]),
        (f'{{"not":{{{CALLS},"le":0}}}}', [(ALWAYS, "/when/not/le")]),
        (f'{{"not":{{{CALLS},"gt":0}}}}', [(NEVER, "/when/not/gt")]),
        # The opposite of one comparison is another; the opposite of several at once is not several.
        ('{"all":[{"sum":"/x/*","gt":5},{"not":{"sum":"/x/*","ge":3}}]}', [(NEVER, "/when/all/1/not")]),
        ('{"all":[{"sum":"/x/*","gt":5},{"not":{"sum":"/x/*","ge":3,"le":4}}]}', []),
        (f'{{"all":[{{{CALLS},"gt":5}},{{"not":{{{CALLS},"ge":3}}}}]}}', [(NEVER, "/when/all/1/not")]),
        (f'{{"all":[{{{CALLS},"gt":5}},{{"not":{{{CALLS},"ge":3,"le":4}}}}]}}', []),
        (f'{{"all":[{{{PRICE},"gt":5}},{{"not":{{{PRICE},"ge":3}}}}]}}', [(NEVER, "/when/all/1/not")]),
        ('{"not":{"argument":"/x","length":{"gt":3,"lt":5}}}', []),
        ('{"all":[{"agent":"a"},{"not":{"argument":"/x","length":{"gt":3,"lt":5}}}]}', []),
        ('{"not":{"argument":"/x","contains":1}}', []),
        ('{"any":[{"agent":"a"},{"argument":"/x","contains":1}]}', []),
        ('{"any":[{"argument":"/x","gt":5,"in":[9]},{"argument":"/x","le":5}]}', []),
        (
            '{"any":[{"argument":"/x","gt":8,"lt":9},{"argument":"/x","gt":5},{"argument":"/x","le":5}]}',
            [(ALWAYS, "/when/any/2")],
        ),
        ('{"any":[{"not":{"argument":"/x","gt":5,"lt":9}},{"argument":"/x","lt":9}]}', [(ALWAYS, "/when/any/1")]),
        (
            '{"all":[{"not":{"argument":"/x","gt":8,"lt":9}},{"argument":"/x","gt":5},{"argument":"/x","le":5}]}',
            [(NEVER, "/when/all/2")],
        ),
        # Each group is looked at once, and each leaf too; groups of the same kind count as one.
        ('{"argument":"/x","gt":5,"lt":4}', [(NEVER, "/when")]),
        ('{"all":[{"agent":"a"},{"argument":"/x","gt":5,"lt":4}]}', [(NEVER, "/when/all/1")]),
        (
            '{"all":[{"agent":"a"},{"any":[{"agent":"b"},{"argument":"/x","gt":5,"lt":4}]}]}',
            [(NEVER, "/when/all/1/any/1")],
        ),
        (
            '{"any":[{"agent":"a"},{"all":[{"tool":"t*"},{"argument":"/x","gt":5,"lt":4}]}]}',
            [(NEVER, "/when/any/1/all/1")],
        ),
        ('{"any":[{"agent":"a"},{"any":[{"tool":"t*"},{"not":{"agent":"a"}}]}]}', [(ALWAYS, "/when/any/1/any/1/not")]),
        ('{"any":[{"agent":"a"},{"all":[{"tool":"t*"},{"not":{"agent":"a"}}]}]}', []),
        ('{"all":[{"agent":"a"},{"any":[{"tool":"t*"},{"not":{"agent":"a"}}]}]}', []),
        ('{"any":[{"agent":"a"},{"not":{"all":[{"agent":"a"},{"tool":"t*"}]}}]}', [(ALWAYS, "/when/any/1/not/all/0")]),
        ('{"all":[{"agent":"a"},{"not":{"any":[{"agent":"a"},{"tool":"t*"}]}}]}', [(NEVER, "/when/all/1/not/any/0")]),
        ('{"all":[{"agent":"a"},{"not":{"all":[{"agent":"a"},{"tool":"t*"}]}}]}', []),
        ('{"not":{"all":[{"agent":"a"},{"not":{"agent":"a"}}]}}', [(ALWAYS, "/when/not/all/1/not")]),
        # There is none, and there must not be one, are the same.
        ('{"all":[{"argument":"/x","exists":false},{"not":{"argument":"/x","exists":true}}]}', []),
        (
            '{"all":[{"argument":"/x","exists":false},{"not":{"argument":"/x","exists":false}}]}',
            [(NEVER, "/when/all/1/not")],
        ),
        (
            '{"any":[{"not":{"argument":"/x","exists":true}},{"argument":"/x","exists":true}]}',
            [(ALWAYS, "/when/any/1")],
        ),
        ('{"all":[{"argument":"/x","exists":true},{"argument":"/y","exists":false}]}', []),
        # Values, with others before and between.
        ('{"all":[{"agent":"a"},{"argument":"/x","eq":"a"},{"argument":"/x","eq":"b"}]}', [(NEVER, "/when/all/2/eq")]),
        (
            '{"all":[{"argument":"/x","eq":"a"},{"not":{"argument":"/x","eq":"c"}},{"argument":"/x","in":["b"]}]}',
            [(NEVER, "/when/all/2/in")],
        ),
        ('{"all":[{"argument":"/x","eq":"a"},{"argument":"/x","ne":"c","in":["b"]}]}', [(NEVER, "/when/all/1/in")]),
        ('{"all":[{"argument":"/x","eq":"a"},{"not":{"argument":"/x","eq":"b"}}]}', []),
        ('{"all":[{"argument":"/x","eq":"a"},{"argument":"/y","eq":"b"}]}', []),
        ('{"all":[{"argument":"/x","eq":true},{"argument":"/x","in":[1,"true"]}]}', [(NEVER, "/when/all/1/in")]),
        # Names, with others before and between.
        ('{"all":[{"agent":"a"},{"session":"s"},{"agent":"b"}]}', [(NEVER, "/when/all/2/agent")]),
        ('{"all":[{"agent":"a*"},{"agent":"ab"},{"agent":"ac"}]}', [(NEVER, "/when/all/2/agent")]),
        ('{"all":[{"not":{"agent":"a"}},{"agent":"b"}]}', []),
        ('{"all":[{"agent":["a*","b"]},{"agent":"ac"}]}', []),
        ('{"all":[{"agent":"x.a"},{"agent":"a"}]}', [(NEVER, "/when/all/1/agent")]),
        ('{"all":[{"agent":"a"},{"agent":"x.a"}]}', [(NEVER, "/when/all/1/agent")]),
        ('{"all":[{"agent":"a"},{"session":"b"}]}', []),
    ],
)
def test_conditions_are_judged_at_their_very_bounds(when: str, found: list[tuple[str, str]]) -> None:
    severities = {NEVER: "error", ALWAYS: "warning"}
    said = [each for each in found_in(when) if "/tool" not in each.pointer]
    assert [(each.severity, each.pointer) for each in said] == [(severities[word], at) for word, at in found]
    assert all(each.message.endswith(word) for each, (word, _) in zip(said, found, strict=True))


@pytest.mark.parametrize(
    ("when", "message"),
    [
        (f'{{{PRICE},"gt":5,"lt":4}}', "Nothing is gt 5.00 and lt 4.00 at once: this can never be met."),
        (f'{{{SPEND},"gt":5,"lt":0.000001}}', "Nothing is gt 5.00 and lt 0.000001 at once: this can never be met."),
        (f'{{{CALLS},"gt":5,"lt":4}}', "Nothing is gt 5 and lt 4 at once: this can never be met."),
        ('{"argument":"/x","gt":1e3,"lt":4.50}', "Nothing is gt 1e3 and lt 4.50 at once: this can never be met."),
        (
            '{"any":[{"argument":"/x","gt":5},{"not":{"argument":"/x","gt":7}}]}',
            "Everything is gt 5 or le 7: this is always met.",
        ),
        (
            f'{{{CALLS},"ge":1}}',
            "It is 1 at least, whatever was let through before: this is always met.",
        ),
        (
            '{"all":[{"agent":"a"},{"agent":"a"},{"not":{"agent":"a"}}]}',
            "The opposite of this stands at /when/all/0: together it can never be met.",
        ),
    ],
)
def test_what_is_said_of_a_condition_has_the_words_of_its_author(when: str, message: str) -> None:
    assert [each.message for each in found_in(when)] == [message]
