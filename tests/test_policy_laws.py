"""Laws of judging: what holds for all policies and all calls, however they are compiled."""

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.clock import Micros
from haldir.policy.bounds import SHADOWS_MAX
from haldir.policy.compile import compile_policies
from haldir.policy.facts import Facts
from haldir.policy.judgement import Judgement, Pending
from haldir.policy.parse import parse
from haldir.policy.policy import Policy
from policy_samples import (
    TOOLS,
    UPSTREAMS,
    all_definitions,
    asked_calls,
    call,
    calls,
    instant,
    policy,
    time_windows,
    tool_definitions,
)

Named = tuple[str, Policy]

FEW = SHADOWS_MAX // 2 - 1  # With one more, all are still heard: test_policy_bounds.py has those that are not.
tenants = st.lists(all_definitions, max_size=FEW).map(
    lambda drawn: [(f"pol_{n}", parse(each)) for n, each in enumerate(drawn)]
)


def verdict(policies: Sequence[Named], facts: Facts) -> Judgement:
    return compile_policies(policies, 7).judge(facts)


def test_what_no_policy_forbids_is_allowed() -> None:
    assert verdict([], call()) == Judgement(7)


@given(tenants, asked_calls)
def test_deny_beats_all(policies: list[Named], facts: Facts) -> None:
    alone = {policy_id: verdict([(policy_id, each)], facts) for policy_id, each in policies}
    deniers = {policy_id: each.reason for policy_id, each in alone.items() if each.denied_by}
    together = verdict(policies, facts)
    assert bool(together.denied_by) == bool(deniers)
    if together.denied_by:
        assert together.reason == deniers[together.denied_by]
        assert together.pending == ()


@given(tenants, asked_calls)
def test_all_policies_together_say_what_each_says_alone(policies: list[Named], facts: Facts) -> None:
    together = verdict(policies, facts)
    alone = [verdict([named], facts) for named in policies]
    assert together.shadowed == tuple(remark for each in alone for remark in each.shadowed)
    if together.denied_by:
        return
    assert sorted(together.pending, key=by_id) == [pending for each in alone for pending in each.pending]
    assert together.holds == tuple(held for each in alone for held in each.holds)
    assert set(together.meters) == {meter for each in alone for meter in each.meters}
    assert together.allowed_by == next((each.allowed_by for each in alone if each.allowed_by), None)
    enforced = [each for (_, policy), each in zip(policies, alone, strict=True) if policy.mode == "enforce"]
    assert together.valid_until == min(
        (each.valid_until for each in enforced if each.valid_until is not None), default=None
    )


def by_id(pending: Pending) -> str:
    return pending.policy_id


@given(tenants, all_definitions, asked_calls)
def test_one_more_policy_never_loosens_the_verdict(
    policies: list[Named], definition: dict[str, Any], facts: Facts
) -> None:
    before, after = verdict(policies, facts), verdict([*policies, ("pol_more", parse(definition))], facts)
    if before.denied_by:
        assert after.denied_by
    elif not after.denied_by:
        assert set(before.pending) <= set(after.pending)
        assert set(before.holds) <= set(after.holds)


@given(tenants, st.lists(all_definitions, max_size=1), asked_calls)
def test_what_stands_in_shadow_mode_changes_nothing(
    policies: list[Named], more: list[dict[str, Any]], facts: Facts
) -> None:
    shadows = [(f"more_{n}", parse({**each, "mode": "shadow"})) for n, each in enumerate(more)]
    before, after = verdict(policies, facts), verdict([*policies, *shadows], facts)
    names = {name for name, _ in shadows}
    assert tuple(each for each in after.pending if each.policy_id not in names) == before.pending
    assert all(each.shadow for each in after.pending if each.policy_id in names)
    assert all(each.policy_id in names for each in set(after.shadowed) - set(before.shadowed))
    kept = {"pending": (), "meters": (), "shadowed": ()}
    assert msgspec.structs.replace(after, **kept) == msgspec.structs.replace(before, **kept)


@given(tenants.flatmap(lambda drawn: st.tuples(st.just(drawn), st.permutations(drawn))), asked_calls)
def test_the_order_of_policies_makes_no_difference(pair: tuple[list[Named], list[Named]], facts: Facts) -> None:
    assert verdict(pair[0], facts) == verdict(pair[1], facts)


@given(st.lists(tool_definitions, max_size=6), st.sampled_from(UPSTREAMS), st.sampled_from(TOOLS))
def test_the_index_of_tools_agrees_with_reading_every_definition(
    drawn: list[dict[str, Any]], upstream: str, tool: str
) -> None:
    compiled = compile_policies([(f"pol_{n}", parse(each)) for n, each in enumerate(drawn)], 7)
    denies = any(forbids(each, upstream, tool) for each in drawn)
    assert compiled.certainly_denies(upstream, tool) == denies
    assert bool(compiled.judge(call(tool, upstream)).denied_by) == denies


def forbids(definition: dict[str, Any], upstream: str, tool: str) -> bool:
    named: list[str] = definition.get("tools", [definition.get("tool")])
    listed = any(name in {tool, f"{upstream}.{tool}"} for name in named)
    return not listed if definition["type"] == "allow_list" else listed


@given(tenants, asked_calls)
def test_what_is_certainly_denied_is_denied_whatever_is_asked(policies: list[Named], facts: Facts) -> None:
    if compile_policies(policies, 7).certainly_denies(facts.upstream, facts.tool):
        assert verdict(policies, facts).denied_by


@given(st.lists(time_windows, min_size=1, max_size=3), calls, st.floats(0, 1, exclude_max=True))
def test_a_verdict_stands_until_the_instant_it_names(drawn: list[dict[str, Any]], facts: Facts, later: float) -> None:
    policies = [(f"pol_{n}", parse(each)) for n, each in enumerate(drawn)]
    compiled = compile_policies(policies, 7)
    first = compiled.judge(facts)
    assert first.valid_until is not None
    assert first.valid_until > facts.at
    still = at(facts, facts.at + int((first.valid_until - facts.at) * later))
    assert bool(verdict(policies, still).denied_by) == bool(first.denied_by)
    then = at(facts, first.valid_until)
    assert compiled.judge(then) == verdict(policies, then)


@given(tenants, st.lists(asked_calls, max_size=6))
def test_what_was_judged_before_makes_no_difference(policies: list[Named], asked: list[Facts]) -> None:
    compiled = compile_policies(policies, 7)
    assert [compiled.judge(facts) for facts in asked] == [verdict(policies, facts) for facts in asked]


def test_the_policy_named_is_the_first_by_id_among_those_of_its_family() -> None:
    blocks, denies = policy('{"type":"block_tool","tool":"pay"}'), policy('{"type":"deny_list","tools":["bank.pay"]}')
    assert verdict([("pol_2", blocks), ("pol_1", blocks), ("pol_3", denies)], call()).denied_by == "pol_1"


@pytest.mark.parametrize("ids", [("pol_1", "pol_2"), ("pol_2", "pol_1")])
def test_of_two_windows_the_one_that_changes_first_says_how_long_a_verdict_stands(ids: tuple[str, str]) -> None:
    windows = [policy(f'{{"type":"time_window","start_hour":8,"end_hour":{hour}}}') for hour in (12, 18)]
    judged = verdict(list(zip(ids, windows, strict=True)), call(at=instant("2026-01-05T09:00")))
    assert judged == Judgement(7, valid_until=instant("2026-01-05T12:00"))


def at(facts: Facts, instant: Micros) -> Facts:
    return Facts(facts.upstream, facts.tool, facts.arguments, facts.session_id, facts.agent_id, instant)
