"""How conditions are joined, which calls they concern, and what is worked out before a call comes."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.policy.conditional import ConditionalPolicy
from haldir.policy.conditions.names import ToolIs, keys_of
from haldir.policy.conditions.node import All, Check, Leaf, Test, always, conjunction, disjunction, never
from haldir.policy.conditions.pointers import followed, steps_of
from haldir.policy.facts import Facts
from haldir.policy.judgement import AllOf, AnyOf, Condition, RateAbove
from haldir.policy.kinds.rule import Rule
from haldir.policy.parse import parse
from haldir.policy.policy import PASSED
from haldir.policy.tools_named import tools_named
from policy_samples import asked_calls, call, policy, requirements, rules

LEFT = (RateAbove("a", "session", 1), RateAbove("b", "session", 1))


def rule(when: str) -> str:
    return f'{{"type":"rule","effect":"deny","reason":"No.","when":{when}}}'


def says(found: bool | Condition) -> Test:  # noqa: FBT001
    return lambda _facts: found


@pytest.mark.parametrize(("join", "folded", "decides"), [(conjunction, always, never), (disjunction, never, always)])
def test_what_is_certain_of_joined_tests_is_folded_away_before_a_call_comes(
    join: Callable[[list[Test]], Test], folded: Test, decides: Test
) -> None:
    one, other = says(LEFT[0]), says(LEFT[1])
    assert join([]) is folded
    assert join([folded, folded]) is folded
    assert join([folded, one, folded]) is one
    assert join([one, decides, other]) is decides


@given(st.lists(st.sampled_from([True, False, *LEFT]), max_size=4), st.data())
def test_of_joined_tests_only_what_is_not_certain_is_left(found: list[bool | Condition], data: st.DataObject) -> None:
    known: dict[bool | Condition, Test] = {True: always, False: never}
    tests = [data.draw(st.sampled_from([says(each), known.get(each, says(each))])) for each in found]
    left = tuple(each for each in found if not isinstance(each, bool))
    some = left[0] if len(left) == 1 else None
    assert conjunction(tests)(call()) == (False if False in found else some or (AllOf(left) if left else True))
    assert disjunction(tests)(call()) == (True if True in found else some or (AnyOf(left) if left else False))


@pytest.mark.parametrize(
    ("definition", "concerned", "others"),
    [
        ('{"type":"block_tool","tool":"pay"}', "bank.pay shop.pay", "bank.read"),
        ('{"type":"deny_list","tools":["bank.pay","read"]}', "bank.pay shop.read", "shop.pay"),
        (rule('{"upstream":"bank"}'), "bank.pay bank.read", "shop.pay"),
        (rule('{"upstream":["bank","shop"]}'), "bank.pay shop.read", "files.read"),
        (rule('{"any":[{"tool":"pay"},{"upstream":"shop"}]}'), "bank.pay shop.read", "bank.read"),
        (rule('{"not":{"not":{"tool":"pay"}}}'), "bank.pay", "bank.read"),
        (rule('{"not":{"any":[{"not":{"tool":"pay"}},{"agent":"a"}]}}'), "bank.pay", "bank.read"),
        (rule('{"not":{"all":[{"not":{"tool":"pay"}},{"not":{"tool":"sell"}}]}}'), "bank.pay bank.sell", "bank.read"),
        (rule('{"all":[{"tool":["pay","read","sell"]},{"upstream":"bank"}]}'), "bank.pay", "shop.pay shop.read"),
        (rule('{"all":[{"tool":"pay"},{"upstream":["bank","shop"]}]}'), "shop.pay", "bank.read shop.read"),
        ('{"type":"require_approval","tools":["pay"],"amount_over":5}', "bank.pay", "bank.read"),
    ],
)
def test_a_policy_on_some_tools_or_upstreams_concerns_no_calls_of_others(
    definition: str, concerned: str, others: str
) -> None:
    keys = policy(definition).concerns() or frozenset()
    for names, found in ((concerned, True), (others, False)):
        for upstream, _, tool in (name.partition(".") for name in names.split()):
            assert (not keys.isdisjoint(keys_of(upstream, tool))) is found, (upstream, tool)


@given(rules | requirements, asked_calls)
def test_a_policy_compiled_for_one_tool_says_of_its_calls_what_it_says_compiled_for_all(
    definition: dict[str, Any], facts: Facts
) -> None:
    made = parse(definition)
    assert isinstance(made, ConditionalPolicy)
    of_tool = made.compiled("pol_x", (facts.upstream, facts.tool))(facts)
    of_all = made.compiled("pol_x")(facts)
    assert msgspec.structs.replace(of_tool, valid_until=None) == msgspec.structs.replace(of_all, valid_until=None)


def test_what_the_name_of_a_tool_excludes_is_not_compiled_for_it() -> None:
    """Callers choose the names of tools, so that a name nobody knows must cost little."""

    class Dear(Leaf, frozen=True):
        def check(self) -> Check:
            raise AssertionError

    dear = Rule("deny", "No.", All((ToolIs(("pay*",)), Dear())), 1, False)
    assert dear.compiled("pol_x", ("bank", "read"))(call("read")) == PASSED
    with pytest.raises(AssertionError):
        dear.compiled("pol_x", ("bank", "pay_all"))


@pytest.mark.parametrize(
    "definition",
    [
        '{"type":"block_tool","tool":"x"}',
        '{"type":"allow_list","tools":["x","y"]}',
        '{"type":"require_approval","tools":["x","y"]}',
        rule('{"tool":"x"}'),
        rule('{"all":[{"agent":"a"},{"tool":["x","y*","z"]}]}'),
        rule('{"any":[{"agent":"a"},{"not":{"any":[{"agent":"a"},{"tool":"x"}]}}]}'),
        rule('{"not":{"all":[{"calls":{"per":"agent","within_seconds":60,"tools":["x","y"]},"gt":1}]}}'),
    ],
)
def test_the_pointer_to_a_tool_that_is_named_leads_to_its_name(definition: str) -> None:
    made = policy(definition)
    found = list(tools_named(made))
    assert found
    assert [followed(made.definition(), steps_of(pointer)) for pointer, _ in found] == [tool for _, tool in found]
