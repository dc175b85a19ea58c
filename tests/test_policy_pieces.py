"""The small pieces that conditions are made of, each held against something slower and plainer."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel import strict_json
from haldir.policy.compile import compile_policies
from haldir.policy.conditions.names import AgentIs, is_like
from haldir.policy.conditions.numbers import EXPONENT_MAX, NUMBER_CHARS_MAX, decimal_of, exact_sum
from haldir.policy.conditions.pointers import (
    INDEX_DIGITS_MAX,
    ITEMS_MAX,
    MISSING,
    POINTER_CHARS_MAX,
    STEPS_MAX,
    followed,
    spread,
    steps_of,
)
from haldir.policy.conditions.reading import DEPTH_MAX
from haldir.policy.conditions.usage import TOOLS_MAX
from haldir.policy.facts import Facts
from haldir.policy.fields import TEXT_CHARS_MAX, InvalidPolicy
from haldir.policy.parse import parse
from policy_samples import call


def definition(**when: Any) -> Any:
    return strict_json.decode(strict_json.encode({"type": "rule", "effect": "deny", "reason": "No.", "when": when}))


def tree(text: str) -> Any:
    return strict_json.decode(text.encode())


@given(st.text("ab*", max_size=7), st.text("ab", max_size=9))
def test_a_star_stands_for_any_characters_and_nothing_else_does(pattern: str, name: str) -> None:
    plain = ".*".join(map(re.escape, pattern.split("*")))
    assert is_like(pattern, name) is (re.fullmatch(plain, name, re.DOTALL) is not None)


@pytest.mark.parametrize(
    ("pattern", "name", "like"),
    [
        ("a*b", "ac", False),
        ("a*b", "ab", True),
        ("a*a", "a", False),
        ("*ab*", "ab", True),
        ("a*b*c", "abc", True),
        ("*ab*ab*", "ab", False),
        ("*ab*ab*", "abab", True),
        ("*a*", "bbb", False),
        ("x*a*x", "xax", True),
        ("x*ax*x", "xax", False),
    ],
)
def test_pieces_between_stars_are_found_one_after_another(pattern: str, name: str, *, like: bool) -> None:
    assert is_like(pattern, name) is like


def test_a_number_is_compared_up_to_its_bounds_and_not_beyond() -> None:
    longest, beyond = "1" * NUMBER_CHARS_MAX, "1" * (NUMBER_CHARS_MAX + 1)
    assert decimal_of(tree(longest)) == int(longest)
    assert decimal_of(tree(beyond)) is None
    assert decimal_of(tree(f"1e{EXPONENT_MAX}")) == 10**EXPONENT_MAX
    assert decimal_of(tree(f"1e-{EXPONENT_MAX}")) is not None
    assert decimal_of(tree(f"1E{EXPONENT_MAX + 1}")) is None
    assert decimal_of(tree(f"1e-{EXPONENT_MAX + 1}")) is None
    assert exact_sum([decimal_of(tree(text)) for text in ("0.1", "0.2", "1e-30")]) == decimal_of(
        tree("0.300000000000000000000000000001")
    )
    assert exact_sum([decimal_of(tree("1")), None]) is None


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ("/0", 7),
        ("/1", {"b": 8}),
        ("/1/b", 8),
        ("/2", MISSING),
        ("/00", MISSING),
        ("/01", MISSING),
        ("/-", MISSING),
        ("/-1", MISSING),
        ("/²", MISSING),
        ("/\u0660", MISSING),  # A zero of another script: decimal to Python, no index by RFC 6901.
        ("/" + "0" * 30, MISSING),
        ("/" + "9" * 5000, MISSING),
    ],
)
def test_an_index_is_digits_without_a_zero_before_them(steps: str, found: Any) -> None:
    assert followed([7, {"b": 8}], steps_of(steps)) == found


def test_an_index_may_have_as_many_digits_as_the_bound_says() -> None:
    last = int("9" * INDEX_DIGITS_MAX)

    class Long(list[int]):
        def __len__(self) -> int:
            return 10 * last

        def __getitem__(self, at: Any) -> Any:
            return at

    assert followed(Long(), (str(last),)) == last
    assert followed(Long(), (str(last + 1),)) is MISSING


def test_every_leads_to_each_item_and_past_the_bound_nowhere() -> None:
    assert spread({"a": [{"p": 1}, {"q": 2}]}, ("a", "*", "p")) == [1, MISSING]
    assert spread({"a": [{"p": [1, 2]}, {"p": [3]}]}, ("a", "*", "p", "*")) == [1, 2, 3]
    assert spread({"a": 1}, ("a",)) == [1]
    assert spread({"a": 1}, ("a", "*")) == [MISSING]
    many = [[0] * (ITEMS_MAX // 2), [0] * (ITEMS_MAX - ITEMS_MAX // 2)]
    assert len(spread(many, ("*", "*"))) == ITEMS_MAX
    assert spread([*many, [0]], ("*", "*")) == [MISSING]
    assert spread([0] * (ITEMS_MAX + 1), ("*",)) == [MISSING]


@pytest.mark.parametrize(
    ("pointer", "fits"),
    [
        ("/" + "a" * (POINTER_CHARS_MAX - 1), True),
        ("/" + "a" * POINTER_CHARS_MAX, False),
        ("/a" * STEPS_MAX, True),
        ("/a" * (STEPS_MAX + 1), False),
        ("/~0~1", True),
        ("/~~01", False),
        ("/~", False),
        ("/~2", False),
        ("/~~00", False),
        ("/~~10", False),
    ],
)
def test_a_pointer_is_one_of_rfc_6901_within_its_bounds(pointer: str, *, fits: bool) -> None:
    wanted = definition(argument=pointer, exists=True)
    if fits:
        parse(wanted)
    else:
        with pytest.raises(InvalidPolicy):
            parse(wanted)


@pytest.mark.parametrize("operator", ["gt", "ge", "lt", "le"])
@pytest.mark.parametrize("operand", ["5", True, None, [5]])
def test_what_is_more_or_less_is_a_number(operator: str, operand: Any) -> None:
    with pytest.raises(InvalidPolicy) as refused:
        parse(definition(argument="/a", **{operator: operand}))
    assert refused.value.pointer == f"/when/{operator}"
    assert "must be a number" in refused.value.message


@pytest.mark.parametrize("asked", [{"eq": "a" * TEXT_CHARS_MAX}, {"in": ["b", "a" * TEXT_CHARS_MAX]}])
def test_a_text_that_is_compared_with_has_a_bound(asked: dict[str, Any]) -> None:
    parse(definition(argument="/a", **asked))
    longer = {"eq": "a" * (TEXT_CHARS_MAX + 1)} if "eq" in asked else {"in": ["b", "a" * (TEXT_CHARS_MAX + 1)]}
    with pytest.raises(InvalidPolicy, match=f"{TEXT_CHARS_MAX} are the most") as refused:
        parse(definition(argument="/a", **longer))
    assert refused.value.pointer == ("/when/eq" if "eq" in asked else "/when/in/1")


@pytest.mark.parametrize(
    ("asked", "strikes"),
    [
        ({"gt": 5, "contains": "x"}, False),  # What surely does not hold does not, whatever cannot be told beside it.
        ({"contains": "x", "length": {"gt": 5}}, False),
        ({"gt": 5, "contains": "a"}, True),
        ({"gt": 5, "in": [1]}, True),
        ({"contains": "a", "in": [1]}, True),
        ({"contains": "a", "length": {"gt": 2}}, True),
    ],
)
def test_of_all_that_is_asked_of_an_argument_one_no_is_enough(asked: dict[str, Any], *, strikes: bool) -> None:
    rules = compile_policies([("pol_x", parse(definition(argument="/a", **asked)))], 1)
    assert bool(rules.judge(call(a="abc")).denied_by) is strikes


def test_a_meter_measures_as_many_tools_as_the_bound_says() -> None:
    tools = [f"tool_{number}" for number in range(TOOLS_MAX + 1)]
    measured = {"per": "agent", "within_seconds": 60}
    parse(definition(calls={**measured, "tools": tools[1:]}, gt=1))
    with pytest.raises(InvalidPolicy, match=f"1 to {TOOLS_MAX} tools") as refused:
        parse(definition(calls={**measured, "tools": tools}, gt=1))
    assert refused.value.pointer == "/when/calls/tools"


@pytest.mark.parametrize("per", ["session", "agent", "tenant"])
@pytest.mark.parametrize("what", ["calls", "spend"])
def test_a_million_calls_or_dollars_of_anybody_can_be_measured(what: str, per: str) -> None:
    asked = {what: {"per": per, "within_seconds": 60}, "gt": 1_000_000}
    (meter,) = parse(definition(**asked)).meters()
    assert (meter.what, meter.per, meter.within_seconds, meter.tools) == (what, per, 60, ())


def test_a_pattern_that_takes_much_memory_is_refused() -> None:
    parse(definition(argument="/a", matches="[a-z]{800}"))
    with pytest.raises(InvalidPolicy, match="too large"):
        parse(definition(argument="/a", matches=r"\pL{50}"))


def test_a_pattern_that_is_refused_is_told_to_its_author_alone(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidPolicy, match="The pattern is refused: missing \\)") as refused:
        parse(definition(argument="/a", matches="(never heard of"))
    assert refused.value.pointer == "/when/matches"
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("names", "agent", "fits"),
    [
        (("a",), "a", True),
        (("a",), "ab", False),
        (("a", "b*"), "a", True),
        (("a", "b*"), "bc", True),
        (("x*", "y*"), "ya", True),
        (("x*", "y*"), "z", False),
    ],
)
def test_an_agent_fits_one_name_or_pattern_of_several(names: tuple[str, ...], agent: str, *, fits: bool) -> None:
    assert AgentIs(names).check()(Facts("u", "t", {}, "s", agent, 0)) is fits


@pytest.mark.parametrize("hours", [{"start_hour": 1}, {"end_hour": 23}, {"start_hour": 0, "end_hour": 24}, {}])
def test_a_time_is_written_back_as_it_was_meant(hours: dict[str, int]) -> None:
    asked = {"time": {"zone": "UTC", "weekdays": ["mon"], **hours}}
    policy = parse(definition(**asked))
    again = parse(strict_json.decode(strict_json.encode({"type": "rule", **policy.fields()})))
    assert again == policy


@pytest.mark.parametrize("group", ["all", "any", "not"])
def test_a_condition_is_nested_as_deep_as_the_bound_says(group: str) -> None:
    when: Any = {"tool": "t"}
    for _ in range(DEPTH_MAX - 1):
        when = {group: when if group == "not" else [when]}
    parse(definition(**when))
    with pytest.raises(InvalidPolicy, match=f"{DEPTH_MAX} levels"):
        parse(definition(**{group: when if group == "not" else [when]}))


def test_what_is_only_named_as_allowed_depends_on_no_window_anywhere() -> None:
    counted = {"calls": {"per": "agent", "within_seconds": 60}, "gt": 5}
    allow = definition(any=[{"tool": "t"}, counted]) | {"effect": "allow"}
    with pytest.raises(InvalidPolicy) as refused:
        parse(allow)
    assert refused.value.pointer == "/when"
