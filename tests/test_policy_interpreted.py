"""Compiled policies decide as interpreted ones do: judged, left open, and finished by the journal over a whole history."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from court import TENANT, Court
from haldir.journal.command import Outcome
from haldir.kernel.clock import SECOND
from haldir.operations.call_commands import Charge
from haldir.operations.commands import LAWS
from haldir.policy.bounds import SHADOWS_MAX
from haldir.policy.compile import compile_policies
from haldir.policy.facts import Facts
from haldir.policy.parse import parse
from haldir.watch.replay import replay_log
from interpreter import Admitted, World, strikes
from policy_samples import arguments, asked_calls, counted, leaves, requirements, rules_on

SESSIONS = {"ses_1": "agent_1", "ses_2": "agent_1", "ses_3": "agent_2"}
SCOPES = ("execute", "spend")

steps = st.sampled_from([0, 0, 0, 1, SECOND, 59 * SECOND, 61 * SECOND, 3600 * SECOND, 3659 * SECOND]) | st.integers(
    0, 120 * SECOND
)
asked = st.tuples(
    steps,
    st.sampled_from(["ses_1", *sorted(SESSIONS)]),
    st.sampled_from(["bank", "bank", "files"]),
    st.sampled_from(["pay", "pay", "read"]),
    arguments,
    st.sampled_from([1, 500_000, 3_000_000, None]),
)
FEW = SHADOWS_MAX // 2  # So many shadows are all heard.
shadow = st.just({"mode": "shadow"})
counting = rules_on(counted, ("deny", "hold"), shadow)
policies = st.lists(counting | rules_on(leaves | counted, ("deny", "hold"), shadow), min_size=2, max_size=FEW).flatmap(
    lambda drawn: st.lists(rules_on(counted, ("deny", "hold")) | requirements, max_size=1).map(
        lambda more: drawn + more
    )
)


@settings(max_examples=1000)
@given(rules_on(leaves, ("allow", "deny", "hold")) | requirements, asked_calls)
def test_one_policy_means_what_a_plain_reading_of_it_says(definition: dict[str, Any], facts: Facts) -> None:
    verdict = compile_policies([("pol_1", parse(definition))], 0).judge(facts)
    found = bool(verdict.denied_by or verdict.holds or verdict.shadowed or verdict.allowed_by)
    shadow_of_nothing = definition.get("mode") == "shadow" and definition.get("effect") == "allow"
    assert found == (strikes(definition, World(facts, [])) and not shadow_of_nothing)


@settings(max_examples=150, deadline=None)
@given(policies, st.lists(asked, min_size=3, max_size=8))
def test_what_is_decided_over_a_history_is_what_a_plain_reading_of_every_policy_says_and_is_decided_so_again(
    definitions: list[dict[str, Any]], history: list[Any]
) -> None:
    named = {f"pol_{n}": each for n, each in enumerate(definitions)}
    compiled = compile_policies([(name, parse(each)) for name, each in named.items()], 0)
    before: list[Admitted] = []
    with asyncio.Runner() as runner:
        court = opened(runner)
        for step, session, upstream, tool, given_arguments, micros in history:
            court.now += step
            agent = SESSIONS[session]
            facts = Facts(upstream, tool, given_arguments, session, agent, court.now, SCOPES, micros)
            outcome = court.admit(
                session,
                tool,
                upstream=upstream,
                judgement=compiled.judge(facts),
                charge=Charge(fault="no number") if micros is None else Charge(micros),
                arguments_digest=repr((court.now, given_arguments)),
                details_digest="sealed",
            )
            assert said(court, outcome) == expected(named, World(facts, before))
            if outcome.allowed:
                before.append(Admitted(court.now, session, agent, upstream, tool, micros))
        assert runner.run(replay_log(court.engine, TENANT, LAWS)) == []


def opened(runner: asyncio.Runner) -> Court:
    court = Court(runner)
    for upstream in ("bank", "files"):
        court.upstream(upstream, "pay", "read")
    for session, agent in SESSIONS.items():
        court.session(session, *SCOPES, agent_id=agent, ttl_seconds=0)
    return court


def said(court: Court, outcome: Outcome) -> tuple[str, set[str]]:
    remarks = court.entry(outcome)[1].remarks
    return outcome.code, {each.about for each in remarks if each.kind == "policy_shadowed"}


def expected(named: dict[str, dict[str, Any]], world: World) -> tuple[str, set[str]]:
    """Return the code of the verdict, and which shadows would have struck."""
    striking = {name: each for name, each in named.items() if strikes(each, world) and each.get("effect") != "allow"}
    enforced = [each for each in striking.values() if each.get("mode") != "shadow"]
    shadows = {name for name, each in striking.items() if each.get("mode") == "shadow"}
    if any(each.get("effect") == "deny" for each in enforced):
        return "policy_denied", shadows
    return ("approval_required" if enforced else ""), shadows
