"""A definition is enforced exactly as written, or refused with a pointer to its fault."""

from typing import Any

import pytest
from hypothesis import given

from haldir.kernel import strict_json
from haldir.policy.fields import TOOLS_MAX, InvalidPolicy
from haldir.policy.parse import parse
from policy_samples import definitions, policy


@pytest.mark.parametrize(
    ("definition", "pointer", "words"),
    [
        ("[]", "", "A policy is a JSON object."),
        ("{}", "/type", "needs the field 'type': one of allow_list, block_tool"),
        ('{"type":7}', "/type", "must be a string"),
        ('{"type":""}', "/type", "There is no kind of policy ''"),
        ('{"type":"blok_tool","tool":"x"}', "/type", "did you mean 'block_tool'?"),
        ('{"type":"Block_tool","tool":"x"}', "/type", "did you mean 'block_tool'?"),
        ('{"type":"require_aproval"}', "/type", "did you mean 'require_approval'?"),
        ('{"type":"block_tool"}', "/tool", "needs the field 'tool'"),
        ('{"type":"block_tool","tol":"x"}', "/tol", "has no field 'tol'; did you mean 'tool'?"),
        ('{"type":"block_tool","tool":"x","Tool":"y"}', "/Tool", "did you mean 'tool'?"),
        ('{"type":"block_tool","tool":"x","a/b~c":1}', "/a~1b~0c", "has no field 'a/b~c'."),
        ('{"type":"block_tool","tool":""}', "/tool", "No tool can be named ''"),
        ('{"type":"block_tool","tool":"delete_*"}', "/tool", "No tool can be named 'delete_*'"),
        ('{"type":"block_tool","tool":"wipe\\n"}', "/tool", "No tool can be named"),
        ('{"type":"block_tool","tool":"löschen"}', "/tool", "No tool can be named"),
        ('{"type":"block_tool","tool":["x"]}', "/tool", "named by a string, not by a list"),
        ('{"type":"block_tool","tool":null}', "/tool", "named by a string, not by null."),
        ('{"type":"block_tool","tools":["x"]}', "/tools", "did you mean 'tool'?"),
        ('{"type":"deny_list","tools":[]}', "/tools", "can never deny anything"),
        ('{"type":"deny_list","tools":"x"}', "/tools", "must be a list, not a string"),
        ('{"type":"deny_list","tools":["x","y",3]}', "/tools/2", "named by a string, not by a number"),
        ('{"type":"deny_list","tools":["x","y","x"]}', "/tools/2", "has 'x' twice"),
        ('{"type":"allow_list"}', "/tools", "needs the field 'tools'"),
        ('{"type":"allow_list","tools":["x",""]}', "/tools/1", "No tool can be named ''"),
        ('{"type":"allow_list","tools":{"x":true}}', "/tools", "must be a list, not an object"),
        ('{"type":"spend_limit"}', "/max", "needs the field 'max'"),
        ('{"type":"spend_limit","max":"100"}', "/max", "must be a number, not a string"),
        ('{"type":"spend_limit","max":true}', "/max", "must be a number, not a boolean"),
        ('{"type":"spend_limit","max":-1}', "/max", "'max' must not be negative."),
        ('{"type":"spend_limit","max":0.0000001}', "/max", "'max' has more than 6 digits after the point."),
        ('{"type":"spend_limit","max":1e309}', "/max", "'max' has more than 13 digits before the point."),
        ('{"type":"spend_limit","max":1,"currency":"USD"}', "/currency", "has no field 'currency'"),
        ('{"type":"rate_limit","max_per_minute":0}', "/max_per_minute", "must be from 1 to 1000000, not 0"),
        ('{"type":"rate_limit","max_per_minute":1000001}', "/max_per_minute", "must be from 1 to 1000000"),
        ('{"type":"rate_limit","max_per_minute":-5}', "/max_per_minute", "must be from 1 to 1000000"),
        ('{"type":"rate_limit","max_per_minute":5.5}', "/max_per_minute", "must be a whole number, not 5.5"),
        ('{"type":"rate_limit","max_per_minute":1e2}', "/max_per_minute", "must be a whole number, not 1e2"),
        ('{"type":"rate_limit","max_per_minute":true}', "/max_per_minute", "must be a whole number, not a boolean"),
        ('{"type":"rate_limit","max_per_minute":"5"}', "/max_per_minute", "must be a whole number, not a string"),
        ('{"type":"rate_limit","max_per_minut":5}', "/max_per_minut", "did you mean 'max_per_minute'?"),
        ('{"type":"rate_limit","max_per_minute":5,"per":"user"}', "/per", "cannot be 'user'"),
        ('{"type":"rate_limit","max_per_minute":5,"per":"sesion"}', "/per", "did you mean 'session'?"),
        ('{"type":"rate_limit","max_per_minute":5,"per":null}', "/per", "must be a string, not null"),
        ('{"type":"time_window","start_hour":9}', "/end_hour", "needs the field 'end_hour'"),
        ('{"type":"time_window","start_hour":9,"end_hour":9}', "/end_hour", "is empty"),
        ('{"type":"time_window","start_hour":24,"end_hour":3}', "/start_hour", "must be from 0 to 23, not 24"),
        ('{"type":"time_window","start_hour":9,"end_hour":25}', "/end_hour", "must be from 0 to 24, not 25"),
        ('{"type":"time_window","start_hour":-1,"end_hour":5}', "/start_hour", "must be from 0 to 23, not -1"),
        ('{"type":"time_window","start_hour":9.5,"end_hour":17}', "/start_hour", "must be a whole number, not 9.5"),
        (
            '{"type":"time_window","start_hour":"9","end_hour":17}',
            "/start_hour",
            "must be a whole number, not a string",
        ),
        ('{"type":"time_window","start_hour":0,"end_hour":24}', "/end_hour", "always open can never deny anything"),
        (
            '{"type":"time_window","start_hour":9,"end_hour":17,"zone":"Europe/Belin"}',
            "/zone",
            "did you mean 'Europe/Berlin'?",
        ),
        (
            '{"type":"time_window","start_hour":9,"end_hour":17,"zone":"../../etc/passwd"}',
            "/zone",
            "There is no time zone",
        ),
        (
            '{"type":"time_window","start_hour":9,"end_hour":17,"zone":"Europe"}',
            "/zone",
            "There is no time zone 'Europe'",
        ),
        (
            '{"type":"time_window","start_hour":9,"end_hour":17,"zone":""}',
            "/zone",
            "must be a string, not an empty one",
        ),
        ('{"type":"time_window","start_hour":9,"end_hour":17,"zone":null}', "/zone", "must be a string, not null"),
        ('{"type":"time_window","start_hour":9,"end_hour":17,"zone":1}', "/zone", "must be a string, not a number"),
        ('{"type":"time_window","start_hour":9,"end_hour":17,"zone":["UTC"]}', "/zone", "must be a string, not a list"),
        ('{"type":"time_window","start_hour":9,"end_hour":17,"weekdays":[]}', "/weekdays", "is never open"),
        (
            '{"type":"time_window","start_hour":9,"end_hour":17,"weekdays":["mon","Tue"]}',
            "/weekdays/1",
            "did you mean 'tue'?",
        ),
        (
            '{"type":"time_window","start_hour":9,"end_hour":17,"weekdays":["mon","mon"]}',
            "/weekdays/1",
            "has 'mon' twice",
        ),
        (
            '{"type":"time_window","start_hour":9,"end_hour":17,"weekdays":"mon"}',
            "/weekdays",
            "must be a list, not a string",
        ),
        (
            '{"type":"time_window","start_hour":9,"end_hour":17,"weekday":["mon"]}',
            "/weekday",
            "did you mean 'weekdays'?",
        ),
    ],
)
def test_what_cannot_be_enforced_as_written_is_refused_at_its_fault(definition: str, pointer: str, words: str) -> None:
    with pytest.raises(InvalidPolicy) as refusal:
        policy(definition)
    assert refusal.value.pointer == pointer
    assert words in refusal.value.message
    assert refusal.value.message.endswith((".", "?"))
    assert (refusal.value.code, refusal.value.status, refusal.value.field) == ("invalid_policy", 400, pointer)


def test_a_policy_is_enforced_unless_it_says_otherwise() -> None:
    plain = '{"type":"block_tool","tool":"wipe"'
    assert policy(plain + "}") == policy(plain + ',"mode":"enforce"}') != policy(plain + ',"mode":"shadow"}')


def test_a_list_of_tools_is_bounded() -> None:
    tools = [f"tool_{number}" for number in range(TOOLS_MAX + 1)]
    parse({"type": "deny_list", "tools": tools[1:]})
    with pytest.raises(InvalidPolicy, match="1000 are the most"):
        parse({"type": "deny_list", "tools": tools})


def test_an_endless_word_is_refused_in_few_words() -> None:
    with pytest.raises(InvalidPolicy) as refusal:
        parse({"type": "x" * 1_000_000})
    assert len(refusal.value.message) < 300


@pytest.mark.parametrize(
    ("definition", "listed"),
    [
        ('{"type":"block_tool","tool":"wipe"}', b'{"tool":"wipe","type":"block_tool"}'),
        ('{"tools":["b","a"],"type":"deny_list"}', b'{"tools":["b","a"],"type":"deny_list"}'),
        ('{"type":"spend_limit","max":1e2}', b'{"max":100.00,"type":"spend_limit"}'),
        ('{"type":"rate_limit","max_per_minute":5}', b'{"max_per_minute":5,"per":"session","type":"rate_limit"}'),
        (
            '{"type":"time_window","start_hour":22,"end_hour":6,"weekdays":["sun","fri"]}',
            b'{"end_hour":6,"start_hour":22,"type":"time_window","weekdays":["fri","sun"],"zone":"UTC"}',
        ),
    ],
)
def test_a_policy_is_listed_with_everything_it_says(definition: str, listed: bytes) -> None:
    assert policy(definition).encoded() == listed


@given(definitions)
def test_what_is_stored_of_a_policy_is_that_policy(definition: dict[str, Any]) -> None:
    made = parse(definition)
    assert parse(made.definition()) == made
    assert parse(strict_json.decode(made.encoded())) == made
