"""What each command decides, case by case, at the journal's door."""

import asyncio
from typing import Any

import pytest

from court import START, Court, key_ref, told
from haldir.gate.commands import CreateAgent, CreateKey, CreateTenant, RevokeAgent, RevokeKey, RevokeSession
from haldir.gate.model import Agent, Session
from haldir.journal.command import CredentialRef, Outcome
from haldir.kernel.clock import HOUR, MINUTE, SECOND
from haldir.ledger.model import Budget, Reservation
from haldir.operations.audit_commands import LogAction
from haldir.operations.call_commands import Charge
from haldir.operations.call_ending_commands import Lapse, Resolve
from haldir.operations.session_commands import OpenAgentSession, SessionOpened
from haldir.policy.judgement import Judgement, Pending, RateAbove
from haldir.proxy.commands import AcceptTool, AddUpstream, ObserveTools, RemoveUpstream, SeenTool
from haldir.proxy.model import Call, Price, Tool, ToolRule
from haldir.proxy.policy_commands import AddPolicy, RemovePolicy

UNIT = 1_000_000


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


def verdict(outcome: Outcome) -> str:
    return "allowed" if outcome.allowed else outcome.code


def test_a_session_without_limit_and_spend_scope_can_spend_nothing(court: Court) -> None:
    court.session("a", "execute")
    refused = court.pay("a", 1)
    assert (refused.code, refused.reason) == ("spend_not_allowed", "This session may not spend money.")


def test_the_bare_spend_scope_is_unlimited_and_a_limit_implies_the_scope(court: Court) -> None:
    court.session("free", "spend")
    court.session("limited", "read", limit_micros=5 * UNIT)
    assert court.pay("free", 10**12 * UNIT).allowed
    assert told(court.session("x", "read", limit_micros=0), SessionOpened).limit_micros == 0
    limited = court.row(Session, "limited")
    assert limited is not None
    assert limited.scopes == ("read", "spend")
    assert [verdict(court.pay("limited", micros)) for micros in (5 * UNIT, 1)] == ["allowed", "budget_exceeded"]


def test_a_refused_payment_says_what_it_costs_and_what_is_left(court: Court) -> None:
    court.session("a", limit_micros=5 * UNIT)
    court.pay("a", 2 * UNIT)
    assert court.pay("a", 4 * UNIT).reason == "This costs 4.00 USD; the budget of a has 3.00 left."
    assert verdict(court.pay("a", UNIT, currency="EUR")) == "currency_mismatch"


@pytest.mark.parametrize(
    ("child", "code"),
    [
        ({"scopes": ("read",)}, "allowed"),
        ({"scopes": ("read:public",)}, "allowed"),
        ({"scopes": ("reader",)}, "scope_exceeds_parent"),
        ({"scopes": ("*",)}, "scope_exceeds_parent"),
        ({"scopes": ("execute:shop",)}, "allowed"),
        ({"scopes": ("execute",)}, "scope_exceeds_parent"),
        ({"scopes": ("read",), "ttl_seconds": 600}, "allowed"),
        ({"scopes": ("read",), "ttl_seconds": 601}, "life_exceeds_parent"),
        ({"scopes": ("read",), "ttl_seconds": 0}, "life_exceeds_parent"),
        ({"scopes": ("read",), "limit_micros": 10 * UNIT}, "allowed"),
        ({"scopes": ("read",), "limit_micros": 10 * UNIT + 1}, "budget_exceeds_parent"),
    ],
)
def test_a_child_session_can_only_narrow(court: Court, child: dict[str, Any], code: str) -> None:
    court.session("p", "read", "execute:shop:*", "execute:shop", limit_micros=10 * UNIT, ttl_seconds=600)
    scopes = child.pop("scopes")
    assert verdict(court.session("c", *scopes, parent="p", **child)) == code


def test_a_child_may_not_spend_where_its_parent_may_not(court: Court) -> None:
    court.session("p", "read")
    assert verdict(court.session("c", "read", parent="p", limit_micros=1)) == "scope_exceeds_parent"


def test_a_child_without_a_life_of_its_own_ends_with_its_parent(court: Court) -> None:
    court.session("p", "read", ttl_seconds=60)
    opened = told(court.session("c", "read", parent="p"), SessionOpened)
    assert opened.expires_at == START + MINUTE


def test_a_chain_of_sessions_is_bounded(court: Court) -> None:
    court.session("s0", "read")
    depths = [verdict(court.session(f"s{n}", "read", parent=f"s{n - 1}")) for n in range(1, 10)]
    assert depths == ["allowed"] * 8 + ["depth_exceeded"]


def test_what_a_call_says_it_costs_counts_where_a_budget_stands_above_and_nowhere_else(court: Court) -> None:
    court.upstream("shop", "buy")
    court.session("free", "execute", "spend")
    court.session("p", "execute", limit_micros=10 * UNIT)
    court.session("c", "execute", "spend", parent="p")
    for session in ("free", "p", "c"):
        assert court.admit(session, call_id=f"by-{session}", micros=UNIT).allowed
    assert {call.id: call.price_micros for call in court.rows(Call)} == {"by-free": 0, "by-p": UNIT, "by-c": UNIT}


def test_what_a_child_spends_counts_on_every_ancestor(court: Court) -> None:
    court.session("p", limit_micros=10 * UNIT)
    court.session("c", "execute", "spend", parent="p")
    court.session("d", parent="c", limit_micros=8 * UNIT)
    assert court.pay("d", 7 * UNIT).allowed
    spent = {budget.holder: budget.spent_micros for budget in court.rows(Budget)}
    assert spent == {"p": 7 * UNIT, "c": 7 * UNIT, "d": 7 * UNIT}
    assert "the budget of p has 3.00 left" in court.pay("c", 4 * UNIT).reason


@pytest.mark.parametrize("gone", ["p", "c", "d"])
def test_revoking_any_session_of_a_chain_ends_what_is_below(court: Court, gone: str) -> None:
    court.session("p", limit_micros=10)
    court.session("c", parent="p", limit_micros=10)
    court.session("d", parent="c", limit_micros=10)
    assert court.apply(RevokeSession(op_id=court.op(), session_id=gone)).allowed
    seen = [verdict(court.pay(each, 1)) for each in ("p", "c", "d")]
    alive = "pcd".index(gone)
    assert seen == ["allowed"] * alive + ["session_revoked"] * (3 - alive)


def test_a_session_ends_at_the_microsecond_it_expires(court: Court) -> None:
    court.session("a", limit_micros=10, ttl_seconds=60)
    court.now = START + MINUTE - 1
    assert court.pay("a", 1).allowed
    court.now = START + MINUTE
    assert verdict(court.pay("a", 1)) == "session_expired"


def test_a_session_that_lives_until_revoked_does(court: Court) -> None:
    court.session("a", limit_micros=10, ttl_seconds=0)
    court.now = START + 10_000_000 * HOUR
    assert court.pay("a", 1).allowed


def test_revoking_twice_is_fine_and_an_unknown_session_is_not(court: Court) -> None:
    court.session("a")
    revoke = [court.apply(RevokeSession(op_id=court.op(), session_id=each)) for each in ("a", "a", "b")]
    assert [verdict(outcome) for outcome in revoke] == ["allowed", "allowed", "session_not_found"]


def make_key(court: Court, prefix: str, *scopes: str, by: str | None = None) -> Outcome:
    asked_by: dict[str, Any] = {"asked_by": key_ref(by)} if by else {}
    return court.apply(CreateKey(op_id=court.op(), prefix=prefix, sha256=prefix, name="n", scopes=scopes, **asked_by))


def test_a_key_mints_only_keys_no_broader_than_itself(court: Court) -> None:
    court.apply(
        CreateTenant(op_id=court.op(), name="t", data_key_digest="", key_prefix="root", key_sha256="r", key_name="n")
    )
    assert make_key(court, "some", "sessions:write", "audit:*", by="root").allowed
    wanted = [("sessions:read",), ("audit:write",), ("sessions:*",), ("*",), ("sessions:write", "vault:read")]
    made = [verdict(make_key(court, f"k{n}", *scopes, by="some")) for n, scopes in enumerate(wanted)]
    assert made == ["allowed", "allowed", "insufficient_scope", "insufficient_scope", "insufficient_scope"]


def test_nothing_is_decided_for_a_credential_once_it_is_revoked(court: Court) -> None:
    for name in ("k", "other"):
        make_key(court, name, "*")
    court.session("a", limit_micros=10)
    assert court.pay("a", 1, asked_by=key_ref("k")).allowed
    assert court.apply(RevokeKey(op_id=court.op(), prefix="k")).allowed
    assert verdict(court.pay("a", 1, asked_by=key_ref("k"))) == "key_revoked"
    assert verdict(court.pay("a", 1, asked_by=key_ref("never"))) == "key_revoked"
    assert verdict(court.apply(RevokeKey(op_id=court.op(), prefix="k"))) == "key_not_found"


def create_agent(court: Court, name: str = "bot", **fields: Any) -> Outcome:
    template = {"scopes": ("execute",), "limit_micros": 5, "ttl_seconds": 60, **fields}
    return court.apply(CreateAgent(op_id=court.op(), name=name, sha256=f"sha-{name}", **template))


def open_session(court: Court, session_id: str, agent: str = "bot") -> Outcome:
    return court.apply(OpenAgentSession(op_id=court.op(), agent=agent, session_id=session_id))


def test_an_agent_keeps_its_session_while_that_lives_and_then_gets_another(court: Court) -> None:
    create_agent(court)
    opened = [told(open_session(court, name), SessionOpened).session_id for name in ("s1", "s2")]
    court.apply(RevokeSession(op_id=court.op(), session_id="s1"))
    opened.append(told(open_session(court, "s3"), SessionOpened).session_id)
    court.now += 60 * SECOND
    opened.append(told(open_session(court, "s4"), SessionOpened).session_id)
    assert opened == ["s1", "s1", "s3", "s4"]


def test_revoking_an_agent_ends_its_key_and_every_session_in_its_name_for_good(court: Court) -> None:
    create_agent(court)
    open_session(court, "s1")
    court.session("s2", agent_id="bot", limit_micros=5)
    assert court.apply(RevokeAgent(op_id=court.op(), name="bot")).allowed
    asked_by = CredentialRef("agent", "bot")
    seen = [court.pay("s1", 1), court.pay("s1", 1, asked_by=asked_by), court.pay("s2", 1), open_session(court, "s3")]
    seen += [court.session("s4", agent_id="bot"), create_agent(court)]
    assert [verdict(outcome) for outcome in seen] == ["agent_revoked"] * 5 + ["exists"]
    agent = court.row(Agent, "bot")
    assert agent is not None
    assert agent.session_id is None


@pytest.mark.parametrize("asked_by", [CredentialRef("session", "other"), CredentialRef("agent", "bot")])
def test_tokens_and_agents_act_in_their_own_session_only(court: Court, asked_by: CredentialRef) -> None:
    create_agent(court)
    court.upstream()
    court.session("a", limit_micros=5)
    court.session("other", limit_micros=5)
    logged = court.apply(LogAction(op_id=court.op(), asked_by=asked_by, session_id="a", action="x"))
    foreign = [court.pay("a", 1, asked_by=asked_by), court.admit("a", asked_by=asked_by), logged]
    assert [verdict(outcome) for outcome in foreign] == ["session_not_found"] * 3


@pytest.mark.parametrize(
    ("scopes", "code"),
    [
        (("execute",), "allowed"),
        (("execute:*",), "allowed"),
        (("execute:shop",), "allowed"),
        (("execute:shop:*",), "allowed"),
        (("execute:shop:buy",), "allowed"),
        (("*",), "allowed"),
        (("execute:shop:sell",), "scope_missing"),
        (("execute:shopping",), "scope_missing"),
        (("execute:shop:buy:more",), "scope_missing"),
        (("admin",), "scope_missing"),
        (("read",), "scope_missing"),
    ],
)
def test_a_call_needs_the_scope_of_its_tool(court: Court, scopes: tuple[str, ...], code: str) -> None:
    court.upstream()
    court.session("a", *scopes)
    assert verdict(court.admit("a")) == code


def test_the_refusal_names_the_scope_and_the_operator_may_ask_for_another(court: Court) -> None:
    court.upstream("shop", "look", "buy", rules=(ToolRule("look", scope="read"),))
    court.session("a", "read")
    assert court.admit("a", "look").allowed
    assert court.admit("a", "buy").reason == "The tool 'buy' of 'shop' needs the scope 'execute:shop:buy'."


def test_only_a_tool_that_is_known_and_pinned_is_called(court: Court) -> None:
    court.upstream("shop", "buy")
    court.session("a")
    assert verdict(court.admit("a", "sell")) == "tool_not_found"
    assert verdict(court.admit("a", upstream="none", upstream_version=0)) == "upstream_not_found"
    changed = ObserveTools(op_id=court.op(), upstream="shop", tools=(SeenTool("buy", "another"),))
    assert court.apply(changed).allowed
    assert verdict(court.admit("a")) == "tool_quarantined"
    asked = [("sell", "another"), ("buy", "x"), ("buy", "another")]
    accepts = [AcceptTool(op_id=court.op(), upstream="shop", tool=tool, sha256=sha256) for tool, sha256 in asked]
    verdicts = [verdict(court.apply(each)) for each in accepts]
    assert verdicts == ["tool_not_found", "definition_mismatch", "allowed"]
    assert court.admit("a").allowed


def test_a_definition_that_returns_to_its_pin_leaves_quarantine(court: Court) -> None:
    court.upstream("shop", "buy")
    for each in ("another", "hash-of-buy"):
        court.apply(ObserveTools(op_id=court.op(), upstream="shop", tools=(SeenTool("buy", each),)))
    tool = court.row(Tool, "shop", "buy")
    assert tool is not None
    assert not tool.quarantined


def test_removing_an_upstream_removes_its_pins_and_only_the_operator_removes_the_operators(court: Court) -> None:
    court.upstream("shop", "buy")
    court.session("a")
    mine = AddUpstream(op_id=court.op(), name="mine", transport="stdio", config_digest="d", operator=True)
    assert court.apply(mine).allowed
    removed = [RemoveUpstream(op_id=court.op(), name=name) for name in ("shop", "shop", "mine")]
    assert [verdict(court.apply(each)) for each in removed] == ["allowed", "upstream_not_found", "operator_owned"]
    assert court.rows(Tool) == []
    assert verdict(court.admit("a", upstream_version=0)) == "upstream_not_found"


def test_a_certain_denial_and_a_fault_are_refused_with_their_own_words(court: Court) -> None:
    court.upstream()
    court.session("a")
    denied = court.admit("a", judgement=Judgement(0, "pol_1", "Policy pol_1 says no."))
    faulty = court.admit("a", fault=("secret_reference", "A reference."))
    assert [(each.code, each.reason) for each in (denied, faulty)] == [
        ("policy_denied", "Policy pol_1 says no."),
        ("secret_reference", "A reference."),
    ]


def test_a_judgement_by_other_rules_is_stale_and_leaves_no_entry(court: Court) -> None:
    court.upstream()
    court.session("a")
    size = court.admit("a").index
    added = AddPolicy(op_id=court.op(), policy_id="p", policy_kind="block_tool", definition_digest="d")
    assert court.apply(added).allowed
    later, past = Judgement(1, valid_until=court.now + 1), Judgement(1, valid_until=court.now)
    seen = [
        court.admit("a"),
        court.admit("a", judgement=Judgement(2)),
        court.admit("a", judgement=past),
        court.admit("a", judgement=later, upstream_version=1),
    ]
    assert [outcome.stale for outcome in seen] == [True] * 4
    assert court.admit("a", judgement=later).index == size + 2
    assert court.apply(RemovePolicy(op_id=court.op(), policy_id="p")).allowed
    assert court.admit("a", judgement=later).stale
    assert verdict(court.apply(RemovePolicy(op_id=court.op(), policy_id="p"))) == "policy_not_found"


@pytest.mark.parametrize("holder", ["session", "agent", "tenant"])
def test_a_rate_counts_the_calls_of_its_holder_within_a_minute(court: Court, holder: str) -> None:
    court.upstream()
    court.session("a", agent_id="one")
    court.session("b", agent_id="one")
    court.session("c", agent_id="two")
    rate = Judgement(0, pending=(Pending("p", "At most 2 a minute.", RateAbove("p", holder, 2)),))
    seen = [verdict(court.admit(each, judgement=rate)) for each in "aaabc"]
    expected = {
        "session": ["allowed", "allowed", "rate_exceeded", "allowed", "allowed"],
        "agent": ["allowed", "allowed", "rate_exceeded", "rate_exceeded", "allowed"],
        "tenant": ["allowed", "allowed", "rate_exceeded", "rate_exceeded", "rate_exceeded"],
    }
    assert seen == expected[holder]
    assert court.admit("a", judgement=rate).reason.startswith("At most 2 a minute. Wait 6")
    court.now += 61 * SECOND
    assert court.admit("a", judgement=rate).allowed


def test_a_call_sets_its_price_aside_and_only_success_spends_it(court: Court) -> None:
    court.upstream()
    court.session("a", limit_micros=10 * UNIT)
    for call_id in ("one", "two", "three"):
        assert court.admit("a", call_id=call_id, micros=3 * UNIT).allowed
    assert verdict(court.admit("a", micros=3 * UNIT)) == "budget_exceeded"
    for call_id, state in (("one", "posted"), ("two", "voided"), ("three", "indeterminate")):
        assert court.settle(call_id, state).allowed
    assert court.row(Budget, "a") == Budget("a", 10 * UNIT, reserved_micros=3 * UNIT, spent_micros=3 * UNIT)
    assert [verdict(court.settle(each)) for each in ("one", "two", "none")] == ["call_not_open"] * 2 + [
        "call_not_found"
    ]


@pytest.mark.parametrize(
    ("resolution", "code", "spent", "reserved"),
    [
        ({"state": "posted"}, "allowed", 3, 0),
        ({"state": "posted", "amount_micros": UNIT}, "allowed", 1, 0),
        ({"state": "posted", "amount_micros": 0}, "allowed", 0, 0),
        ({"state": "posted", "amount_micros": 3 * UNIT + 1}, "amount_exceeds_reserved", 0, 3),
        ({"state": "voided"}, "allowed", 0, 0),
    ],
)
def test_a_person_resolves_an_indeterminate_call_once(
    court: Court, resolution: dict[str, Any], code: str, spent: int, reserved: int
) -> None:
    court.upstream()
    court.session("a", limit_micros=10 * UNIT)
    court.admit("a", call_id="c", micros=3 * UNIT)
    assert verdict(court.apply(Resolve(op_id=court.op(), call_id="c", **resolution))) == "call_not_open"
    court.settle("c", "indeterminate")
    assert verdict(court.apply(Resolve(op_id=court.op(), call_id="c", **resolution))) == code
    budget = court.row(Budget, "a")
    assert budget is not None
    assert (budget.spent_micros, budget.reserved_micros) == (spent * UNIT, reserved * UNIT)
    if code == "allowed":
        assert verdict(court.apply(Resolve(op_id=court.op(), call_id="c", **resolution))) == "call_not_open"
        assert verdict(court.settle("c")) == "call_not_open"


def test_an_open_call_lapses_after_its_deadline_and_the_grace_and_no_sooner(court: Court) -> None:
    court.upstream()
    court.session("a", limit_micros=10)
    court.admit("a", call_id="c", micros=4)
    court.now = START + 90 * SECOND - 1
    assert verdict(court.apply(Lapse(op_id=court.op(), call_id="c"))) == "call_not_open"
    court.now = START + 90 * SECOND
    assert court.apply(Lapse(op_id=court.op(), call_id="c")).allowed
    call = court.row(Call, "c")
    assert call is not None
    assert (call.state, call.error) == ("indeterminate", "lapsed")
    assert court.settle("c", "posted").allowed  # A late Settle still tells how it ended.
    assert court.row(Budget, "a") == Budget("a", 10, spent_micros=4)
    reservation = court.row(Reservation, "c")
    assert reservation is not None
    assert (reservation.state, reservation.posted_micros) == ("posted", 4)


@pytest.mark.parametrize(
    ("limit", "charge", "code"),
    [
        (None, Charge(), "allowed"),
        (None, Charge(fault="no number"), "allowed"),  # Nobody counts an amount where no budget stands.
        (None, Charge(5), "allowed"),
        (None, Charge(ruled=True, fault="missing"), "amount_invalid"),
        (None, Charge(5, ruled=True), "allowed"),
        (10, Charge(fault="no number"), "amount_invalid"),
        (10, Charge(10), "allowed"),
        (10, Charge(11), "budget_exceeded"),
        (10, Charge(5, "EUR", ruled=True), "currency_mismatch"),
        (0, Charge(), "allowed"),
        (0, Charge(1), "spend_not_allowed"),
    ],
)
def test_a_price_counts_where_a_rule_or_a_budget_stands(
    court: Court, limit: int | None, charge: Charge, code: str
) -> None:
    court.upstream("shop", "buy", rules=(ToolRule("buy", price=Price(fixed_micros=5)),))
    court.session("a", "execute", "spend", limit_micros=limit)
    assert verdict(court.admit("a", charge=charge)) == code
