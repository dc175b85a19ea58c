"""Recorded calls held against policies: the policies that stood flip nothing, others exactly what they would."""

import asyncio
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from court import Court
from haldir.approvals.model import Approval
from haldir.journal.command import Record
from haldir.kernel import strict_json
from haldir.kernel.clock import SECOND
from haldir.kernel.strict_json import Number
from haldir.operations.call_commands import Charge
from haldir.operations.policy_replay import ArgumentsGone, GoneArguments, Replay, Ruled, reach_of
from haldir.operations.price import charge_of
from haldir.operations.recorded_call import RecordedCall, recorded_call
from haldir.policy.compile import compile_policies
from haldir.policy.facts import Facts
from haldir.policy.policy import Policy
from haldir.proxy.model import PolicyEpoch
from haldir.proxy.policy_commands import AddPolicy, RemovePolicy
from haldir.storage.rows import Entry
from policy_samples import policy

SCOPES = ("execute", "spend")
BUY = "shop.buy"
POOL = {
    "blocked": '{"type": "block_tool", "tool": "look"}',
    "a-rate": '{"type": "rate_limit", "max_per_minute": 2}',
    "b-rate": '{"type": "rate_limit", "max_per_minute": 3, "per": "agent"}',
    "c-rate": '{"type": "rate_limit", "max_per_minute": 1, "per": "tenant", "mode": "shadow"}',
    "hours": '{"type": "time_window", "start_hour": 0, "end_hour": 11, "zone": "Asia/Kolkata"}',
    "spend": '{"type": "spend_limit", "max": 5}',
    "person": '{"type": "require_approval", "tools": ["shop.buy"], "amount_over": 3}',
    "often": """{"type": "rule", "effect": "deny", "reason": "Often.", "when":
        {"calls": {"per": "agent", "within_seconds": 90, "tools": ["shop.buy"]}, "gt": 2}}""",
    "dear": """{"type": "rule", "effect": "hold", "reason": "Dear.", "when":
        {"spend": {"per": "tenant", "within_seconds": 3600}, "gt": 6}}""",
    "first": """{"type": "rule", "effect": "hold", "reason": "First.", "when":
        {"all": [{"calls": {"per": "session", "within_seconds": 120}, "lt": 2}, {"argument": "/amount", "gt": 1}]}}""",
    "mixed": """{"type": "rule", "effect": "deny", "reason": "Mixed.", "when": {"any": [
        {"all": [{"argument": "/note", "contains": "x"}, {"calls": {"per": "session", "within_seconds": 30}, "ge": 2}]},
        {"all": [{"scope": "admin"}, {"spend": {"per": "call"}, "gt": 2}]}]}}""",
    "unseen": """{"type": "rule", "mode": "shadow", "effect": "deny", "reason": "Unseen.", "when":
        {"calls": {"per": "session", "within_seconds": 60}, "gt": 1}}""",
}


class Shop:
    """A court whose calls are judged by policies as Haldir judges them."""

    def __init__(self, runner: asyncio.Runner) -> None:
        self.court = Court(runner)
        self.court.upstream("shop", "buy", "look")
        for name, agent in (("one", "a"), ("two", "a"), ("three", "b")):
            self.court.session(name, *SCOPES, agent_id=agent)
        self.standing: dict[str, Policy] = {}
        self._arguments: dict[str, dict[str, Any]] = {}
        self.since = 0

    def change(self, name: str) -> None:
        """Add a policy, or remove it if it stands."""
        if name in self.standing:
            del self.standing[name]
            self.since = self.court.apply(RemovePolicy(op_id=self.court.op(), policy_id=name)).index
        else:
            self.standing[name] = policy(POOL[name])
            added = AddPolicy(op_id=self.court.op(), policy_id=name, policy_kind="x", definition_digest="d")
            self.since = self.court.apply(added).index

    def call(self, session: str = "one", tool: str = "buy", **arguments: Any) -> str:
        """Ask for a call; return what became of it."""
        epoch = self.court.row(PolicyEpoch)
        compiled = compile_policies(list(self.standing.items()), epoch.epoch if epoch else 0)
        charge = charge_of(None, arguments)
        agent = "b" if session == "three" else "a"
        price = charge.comparable_micros
        facts = Facts("shop", tool, arguments, session, agent, self.court.now, SCOPES, price)
        call_id = f"call{self.court.op()}"
        self._arguments[call_id] = arguments
        digest = strict_json.encode(arguments).decode()
        outcome = self.court.admit(
            session,
            tool,
            call_id=call_id,
            judgement=compiled.judge(facts),
            charge=charge,
            arguments_digest=digest,
            details_digest="kept",
        )
        return outcome.code or "allowed"

    def decide_all(self, verdict: str = "approve") -> None:
        for waiting in self.court.rows(Approval):
            if waiting.state == "pending":
                self.court.decide(waiting.id, verdict)

    def recorded(self) -> list[RecordedCall]:
        entries = sorted(self.court.rows(Entry), key=lambda each: each.index)
        return [
            recorded_call(entry.index, msgspec.json.decode(entry.body, type=Record))
            for entry in entries
            if entry.kind == "call.admit"
        ]

    def arguments(self, call: RecordedCall) -> dict[str, Any]:
        return self._arguments[call.admit.call_id]


def ruled(shop: Shop, candidate: Sequence[tuple[str, Policy]]) -> list[tuple[Ruled, Ruled]]:
    """Return what was made of each call since the last change of policies, and what the candidate would."""
    replay, found = Replay(candidate), []
    first = next((call for call in shop.recorded() if call.index > shop.since), None)
    reach = reach_of([policy for _, policy in candidate])
    for call in shop.recorded():
        if first is None or call.record.at < first.record.at - reach:
            continue
        if call.index > shop.since and call.is_judged:
            found.append((replay.was(call), replay.would_be(call, SCOPES, shop.arguments(call))))
        replay.count(call)
    return found


def flips(shop: Shop, *names: str) -> list[tuple[str, str]]:
    """Return how the verdict on each call flips under the policies of these names."""
    candidate = [(name, policy(POOL[name])) for name in names]
    return [(was.effect, would.effect) for was, would in ruled(shop, candidate) if was.effect != would.effect]


steps = st.lists(
    st.tuples(
        st.sampled_from([0, 1, 7, 20, 61, 400, 4000]),
        st.sampled_from(["one", "one", "two", "three"]),
        st.sampled_from(["buy", "buy", "look"]),
        st.sampled_from(["", "0", "1", "2", "4", "6", '"x"']),
        st.sampled_from(["", "x"]),
        st.sampled_from(["", "", "approve", "deny"]),
    )
    | st.sampled_from(sorted(POOL)),
    min_size=4,
    max_size=24,
)


@given(st.lists(st.sampled_from(sorted(POOL)), unique=True, max_size=5), steps)
@settings(max_examples=300, deadline=None)
def test_the_policies_that_stood_flip_nothing(names: list[str], story: list[Any]) -> None:
    with asyncio.Runner() as runner:
        shop = Shop(runner)
        for name in names:
            shop.change(name)
        for step in story:
            if isinstance(step, str):
                shop.change(step)
                continue
            seconds, session, tool, amount, note, decision = step
            shop.court.now += seconds * SECOND
            if decision:
                shop.decide_all(decision)
            arguments: dict[str, Any] = {"amount": Number(amount)} if amount.isdecimal() else {}
            shop.call(session, tool, **arguments, **({"note": note} if note else {}))
        found = ruled(shop, list(shop.standing.items()))
        assert [pair for pair in found if pair[0].effect != pair[1].effect] == []
        assert [was.policy_id for was, _ in found] == [would.policy_id for _, would in found]


@pytest.fixture
def shop(runner: asyncio.Runner) -> Shop:
    return Shop(runner)


def test_a_candidate_flips_exactly_what_it_would_have_decided_otherwise(shop: Shop) -> None:
    shop.change("spend")
    assert shop.call(amount=Number("4")) == "allowed"
    assert shop.call(amount=Number("6")) == "policy_denied"
    assert shop.call(tool="look") == "allowed"
    assert ruled(shop, [("person", policy(POOL["person"])), ("blocked", policy(POOL["blocked"]))]) == [
        (Ruled("allow"), Ruled("hold", "person", "Policy person (require_approval) holds this until it is approved.")),
        (
            Ruled("deny", "spend", "Policy spend (spend_limit) allows an amount of at most 5.00, not 6.00."),
            Ruled("hold", "person", "Policy person (require_approval) holds this until it is approved."),
        ),
        (Ruled("allow"), Ruled("deny", "blocked", "Policy blocked (block_tool) blocks the tool 'look'.")),
    ]
    assert flips(shop) == [("deny", "allow")]


def test_what_counts_is_what_was_let_through_also_before_the_period(shop: Shop) -> None:
    for seconds in (0, 10, 10):
        shop.court.now += seconds * SECOND
        shop.call()
    shop.change("spend")
    shop.call(amount=Number("9"))
    shop.call()
    assert flips(shop, "spend", "often") == [("allow", "deny")]
    shop.court.now += 70 * SECOND
    shop.since = shop.recorded()[-1].index
    shop.call()
    assert flips(shop, "spend", "often") == [("allow", "deny")]
    shop.court.now += 100 * SECOND
    shop.since = shop.recorded()[-1].index
    shop.call()
    assert flips(shop, "spend", "often") == []


def test_a_rate_counts_for_the_candidate_as_it_did_from_the_day_it_stood(shop: Shop) -> None:
    assert [shop.call() for _ in range(4)] == ["allowed"] * 4
    shop.change("a-rate")
    assert [shop.call() for _ in range(3)] == ["allowed", "allowed", "rate_exceeded"]
    assert flips(shop, "a-rate") == []
    assert flips(shop, "b-rate") == [("allow", "deny")] * 2
    assert flips(shop) == [("deny", "allow")]


def test_a_rate_counts_so_even_for_a_call_that_another_policy_denied(shop: Shop) -> None:
    assert [shop.call() for _ in range(4)] == ["allowed"] * 4
    for name in ("a-rate", "spend"):
        shop.change(name)
    assert [shop.call(), shop.call(amount=Number("9"))] == ["allowed", "policy_denied"]
    assert flips(shop, "a-rate") == [("deny", "allow")]


def test_a_policy_in_shadow_flips_nothing_and_one_that_leaves_it_does(shop: Shop) -> None:
    shop.change("unseen")
    assert [shop.call() for _ in range(3)] == ["allowed"] * 3
    assert flips(shop, "unseen") == []
    enforced = policy(POOL["unseen"].replace("shadow", "enforce"))
    found = ruled(shop, [("unseen", enforced)])
    assert [would.effect for _, would in found] == ["allow", "deny", "deny"]


def test_a_hold_is_compared_as_a_hold_whatever_an_approval_made_of_it(shop: Shop) -> None:
    shop.change("person")
    assert shop.call(amount=Number("4")) == "approval_required"
    assert shop.call(amount=Number("4")) == "approval_required"
    shop.decide_all()
    assert shop.call(amount=Number("4")) == "allowed"
    assert shop.call(amount=Number("5")) == "approval_required"
    shop.decide_all("deny")
    assert shop.call(amount=Number("5")) == "approval_denied"
    assert flips(shop, "person") == []
    assert flips(shop) == [("hold", "allow")] * 5


def test_what_an_approval_rule_holds_no_policy_held(shop: Shop) -> None:
    shop.court.hold_rule("all")
    assert shop.call() == "approval_required"
    assert flips(shop) == []
    assert flips(shop, "often") == []


def test_calls_refused_for_other_reasons_are_no_decisions_of_policies(shop: Shop) -> None:
    shop.call(tool="none")
    shop.court.admit("one", fault=("secret_reference", "No."))
    shop.court.admit("poor", charge=Charge(1))
    shop.call()
    assert [call.is_judged for call in shop.recorded()] == [False, False, False, True]


def test_arguments_that_are_gone_matter_only_to_who_looks_at_them(shop: Shop) -> None:
    shop.call(amount=Number("4"))
    (call,) = shop.recorded()
    for name in ("blocked", "a-rate", "hours", "often", "dear"):
        assert Replay([(name, policy(POOL[name]))]).would_be(call, SCOPES, GoneArguments()).effect in {"allow", "deny"}
    for name in ("spend", "first", "mixed"):
        with pytest.raises(ArgumentsGone):
            Replay([(name, policy(POOL[name]))]).would_be(call, SCOPES, GoneArguments())


@pytest.mark.parametrize(
    ("names", "seconds"),
    [([], 0), (["blocked", "spend"], 0), (["a-rate"], 61), (["often"], 92), (["often", "dear", "a-rate"], 3660)],
)
def test_policies_look_back_as_far_as_their_longest_window_and_its_soft_edge(names: list[str], seconds: int) -> None:
    assert reach_of([policy(POOL[name]) for name in names]) == seconds * SECOND
