"""What each command leaves behind: its rows, whole, and its entry's kind, subject and result, which a log keeps for years."""

import asyncio
from typing import Any

import msgspec
import pytest

from court import START, Court, key_ref
from haldir.gate.commands import (
    CreateAgent,
    CreateKey,
    CreateTenant,
    RevokeAgent,
    RevokeKey,
    RevokeSession,
    SetAgentHeld,
    SetKeyHeld,
)
from haldir.gate.model import Agent, ApiKey, Session, Tenant
from haldir.gate.visit_commands import BeginVisit, EndVisit
from haldir.journal.command import CredentialRef, Outcome, Subject
from haldir.kernel import canonical
from haldir.kernel.clock import MINUTE, SECOND
from haldir.ledger.model import Budget, Reservation
from haldir.operations.audit_commands import LogAction
from haldir.operations.call_commands import Charge
from haldir.operations.call_ending_commands import CallResolved, Lapse, Resolve, Settle
from haldir.operations.payment_commands import PaymentAuthorized
from haldir.operations.session_commands import OpenAgentSession, SessionOpened
from haldir.policy.judgement import Judgement, Pending, RateAbove
from haldir.proxy.commands import AcceptTool, AddUpstream, ObserveTools, RemoveUpstream, SeenTool, ToolsObserved
from haldir.proxy.model import Call, PolicyEpoch, RateWindow, StoredPolicy, Tool, ToolRule, Upstream
from haldir.proxy.policy_commands import AddPolicy, PolicyChanged, RemovePolicy
from haldir.storage.rows import Credential, Part
from haldir.webhooks.commands import RegisterWebhook, RemoveWebhook, RotateWebhookSecret

LATER = START + MINUTE
ENDS = START + 600 * SECOND
OF_SHOP = Subject(upstream="shop")


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


def left(court: Court, outcome: Outcome, result: msgspec.Struct | None = None) -> tuple[str, str, Subject]:
    """Return kind, verdict and subject of the entry; what the asker is told must be `result`."""
    kind, record = court.entry(outcome)
    assert record.result == outcome.result
    assert bytes(outcome.result) == canonical.encode(result)
    assert (record.at, record.allowed, record.code, record.reason) == (
        outcome.at,
        outcome.allowed,
        outcome.code,
        outcome.reason,
    )
    return kind, outcome.code or "allowed", record.about


def create_tenant(court: Court) -> Outcome:
    return court.apply(
        CreateTenant(
            op_id=court.op(),
            name="Acme",
            data_key_digest="digest",
            key_prefix="hld_1",
            key_sha256="sha1",
            key_name="first",
        )
    )


def test_a_tenant_begins_with_a_key_that_may_do_everything_and_begins_once(court: Court) -> None:
    assert left(court, create_tenant(court)) == ("tenant.create", "allowed", Subject())
    assert court.rows(Tenant) == [Tenant("Acme", "digest", START)]
    assert court.rows(ApiKey) == [ApiKey("hld_1", "sha1", "first", ("*",), START)]
    assert court.rows(Credential) == [Credential("sha1", "key", "hld_1")]
    assert left(court, create_tenant(court)) == ("tenant.create", "exists", Subject())


def test_a_key_is_made_by_another_and_revoked_once(court: Court) -> None:
    create_tenant(court)
    made = [
        court.apply(
            CreateKey(
                op_id=court.op(),
                asked_by=key_ref("hld_1"),
                prefix=prefix,
                sha256="sha2",
                name="second",
                scopes=("audit:read",),
            )
        )
        for prefix in ("hld_2", "hld_2")
    ]
    assert [left(court, each) for each in made] == [
        ("key.create", "allowed", Subject()),
        ("key.create", "exists", Subject()),
    ]
    key = ApiKey("hld_2", "sha2", "second", ("audit:read",), START, created_by="key:hld_1")
    assert court.row(ApiKey, "hld_2") == key
    assert court.row(Credential, "sha2") == Credential("sha2", "key", "hld_2")
    court.now = LATER
    ended = [court.apply(RevokeKey(op_id=court.op(), prefix="hld_2")) for _ in range(2)]
    assert [left(court, each) for each in ended] == [
        ("key.revoke", "allowed", Subject()),
        ("key.revoke", "key_not_found", Subject()),
    ]
    assert court.row(ApiKey, "hld_2") == key.but(revoked_at=LATER)


def test_how_held_calls_come_back_is_said_of_keys_and_agents_that_live(court: Court) -> None:
    bot = Subject(agent_id="bot")
    agent = CreateAgent(
        op_id=court.op(), name="bot", sha256="sha", scopes=(), limit_micros=None, ttl_seconds=0, held="input"
    )
    court.apply(agent)
    court.key("another")
    court.apply(CreateKey(op_id=court.op(), prefix="hld_2", sha256="sha2", name="second", scopes=("*",), held="plain"))
    key = ApiKey("hld_2", "sha2", "second", ("*",), START, held="plain", created_by="system:")
    bots = Agent("bot", "sha", (), None, 0, START, held="input", created_by="system:")
    assert [court.row(ApiKey, "hld_2"), court.row(Agent, "bot")] == [key, bots]
    changed = [
        court.apply(SetKeyHeld(op_id=court.op(), prefix="hld_2", held="stream")),
        court.apply(SetAgentHeld(op_id=court.op(), name="bot", held="auto")),
    ]
    assert [left(court, each) for each in changed] == [
        ("key.held", "allowed", Subject()),
        ("agent.held", "allowed", bot),
    ]
    assert [court.row(ApiKey, "hld_2"), court.row(Agent, "bot")] == [key.but(held="stream"), bots.but(held="auto")]
    court.apply(RevokeKey(op_id=court.op(), prefix="hld_2"))
    court.apply(RevokeAgent(op_id=court.op(), name="bot"))
    refused = [
        *(court.apply(SetKeyHeld(op_id=court.op(), prefix=prefix, held="plain")) for prefix in ("hld_2", "hld_3")),
        *(court.apply(SetAgentHeld(op_id=court.op(), name=name, held="plain")) for name in ("bot", "none")),
    ]
    assert [left(court, each) for each in refused] == [
        ("key.held", "key_not_found", Subject()),
        ("key.held", "key_not_found", Subject()),
        ("agent.held", "agent_not_found", bot),
        ("agent.held", "agent_not_found", Subject(agent_id="none")),
    ]


def test_an_agent_and_its_session_are_made_from_its_template(court: Court) -> None:
    bot = Subject(agent_id="bot")
    made = [
        court.apply(
            CreateAgent(
                op_id=court.op(), name="bot", sha256="sha", scopes=("execute",), limit_micros=5, ttl_seconds=600
            )
        )
        for _ in range(2)
    ]
    assert [left(court, each) for each in made] == [("agent.create", "allowed", bot), ("agent.create", "exists", bot)]
    assert court.row(Credential, "sha") == Credential("sha", "agent", "bot")
    asked_by, told = CredentialRef("agent", "bot"), SessionOpened("s1", 600, ENDS, 5, (), 0)
    for session_id in ("s1", "s2"):
        outcome = court.apply(OpenAgentSession(op_id=court.op(), asked_by=asked_by, agent="bot", session_id=session_id))
        assert left(court, outcome, told) == ("agent.session", "allowed", Subject("s1", "bot"))
    agent = Agent("bot", "sha", ("execute",), 5, 600, START, session_id="s1", created_by="system:")
    assert court.rows(Agent) == [agent]
    assert court.rows(Session) == [
        Session("s1", "bot", None, (), "", ("execute", "spend"), 600, START, ENDS, "agent:bot")
    ]
    assert court.rows(Budget) == [Budget("s1", 5)]
    court.now = LATER
    ended = [court.apply(RevokeAgent(op_id=court.op(), name=name)) for name in ("bot", "bot", "nobody")]
    subjects = [
        ("agent.revoke", "allowed", bot),
        ("agent.revoke", "agent_not_found", bot),
        ("agent.revoke", "agent_not_found", Subject(agent_id="nobody")),
    ]
    assert [left(court, each) for each in ended] == subjects
    assert court.rows(Agent) == [agent.but(revoked_at=LATER, session_id=None)]
    refused = [
        court.apply(OpenAgentSession(op_id=court.op(), agent=name, session_id="s3")) for name in ("bot", "nobody")
    ]
    assert [left(court, each) for each in refused] == [
        ("agent.session", "agent_revoked", Subject("s3", "bot")),
        ("agent.session", "agent_not_found", Subject("s3", "nobody")),
    ]


def test_a_session_knows_its_whole_line_and_who_opened_it(court: Court) -> None:
    create_tenant(court)
    opened = court.session("p", "read", limit_micros=9, ttl_seconds=600, asked_by=key_ref("hld_1"))
    told = SessionOpened("p", 600, ENDS, 9, ("read", "spend"), 0)
    assert left(court, opened, told) == ("session.create", "allowed", Subject("p", "agent-of-p"))
    court.session("c", "read", parent="p", ttl_seconds=60)
    told = SessionOpened("d", 59, START + MINUTE, 0, ("read",), 2)
    court.now += SECOND
    assert left(court, court.session("d", "read", parent="c"), told) == (
        "session.create",
        "allowed",
        Subject("d", "agent-of-d"),
    )
    assert court.row(Session, "p") == Session(
        "p", "agent-of-p", None, (), "sha-p", ("read", "spend"), 600, START, ENDS, "key:hld_1"
    )
    assert court.row(Session, "d") == Session(
        "d", "agent-of-d", "c", ("c", "p"), "sha-d", ("read",), 59, START + SECOND, START + MINUTE, "system:"
    )
    assert court.row(Credential, "sha-d") == Credential("sha-d", "session", "d")
    assert court.row(Budget, "p") == Budget("p", 9)
    assert court.row(Budget, "d") == Budget("d", 0)


def test_a_session_without_an_end_says_so(court: Court) -> None:
    told = SessionOpened("a", 0, None, 0, ("read",), 0)
    assert left(court, court.session("a", "read", ttl_seconds=0), told)[1] == "allowed"
    told = SessionOpened("b", 3600, START + 60 * MINUTE, 0, ("read",), 0)
    assert left(court, court.session("b", "read"), told)[1] == "allowed"


def test_a_refused_session_is_told_of_by_its_own_name(court: Court) -> None:
    court.session("p", "read", ttl_seconds=60)
    refused = [
        court.session("p"),
        court.session("c", "write", parent="p"),
        court.session("c", "read", parent="nobody"),
        court.session("c", "read", parent=""),
    ]
    assert [left(court, each) for each in refused] == [
        ("session.create", "exists", Subject("p", "agent-of-p")),
        ("session.create", "scope_exceeds_parent", Subject("c", "agent-of-c")),
        ("session.create", "session_not_found", Subject("c", "agent-of-c")),
        ("session.create", "session_not_found", Subject("c", "agent-of-c")),
    ]


def test_the_first_end_of_a_session_is_the_one_that_is_kept(court: Court) -> None:
    court.session("a", "read")
    for court.now in (LATER, LATER + 1):
        outcome = court.apply(RevokeSession(op_id=court.op(), session_id="a"))
        assert left(court, outcome) == ("session.revoke", "allowed", Subject("a", "agent-of-a"))
    session = court.row(Session, "a")
    assert session is not None
    assert session.revoked_at == LATER
    unknown = court.apply(RevokeSession(op_id=court.op(), session_id="b"))
    assert left(court, unknown) == ("session.revoke", "session_not_found", Subject())


def test_a_payment_is_reserved_and_posted_at_once_and_says_what_the_tightest_budget_has_left(court: Court) -> None:
    court.session("p", "read", limit_micros=100)
    court.session("c", "read", parent="p", limit_micros=40)
    told = PaymentAuthorized("pay-1", "agent-of-c", 33)
    paid = court.pay("c", 7, payment_id="pay-1", description_digest="d")
    assert left(court, paid, told) == ("payment.authorize", "allowed", Subject("c", "agent-of-c"))
    assert court.rows(Reservation) == [Reservation("pay-1", "c", "payment", "USD", 7, START, "posted", 7, START)]
    assert court.rows(Budget) == [Budget("c", 40, spent_micros=7), Budget("p", 100, spent_micros=7)]
    refused = [court.pay("c", 34), court.pay("nobody", 1), court.pay("c", 1, asked_by=CredentialRef("agent", "other"))]
    assert [left(court, each) for each in refused[:2]] == [
        ("payment.authorize", "budget_exceeded", Subject("c", "agent-of-c")),
        ("payment.authorize", "session_not_found", Subject("nobody")),
    ]
    assert left(court, refused[2]) == ("payment.authorize", "agent_not_found", Subject("c"))


def test_a_payment_of_nothing_is_posted_as_well(court: Court) -> None:
    court.session("a", "read", "spend")
    assert (
        left(court, court.pay("a", 0, payment_id="pay-1"), PaymentAuthorized("pay-1", "agent-of-a", None))[1]
        == "allowed"
    )
    assert court.rows(Reservation) == [Reservation("pay-1", "a", "payment", "USD", 0, START, "posted", 0, START)]


def test_an_action_is_kept_under_its_session_agent_and_tool(court: Court) -> None:
    court.session("a", "read")
    logged = [
        court.apply(LogAction(op_id=court.op(), session_id=session, action="mail.send", tool="mail", cost_micros=3))
        for session in ("a", "b")
    ]
    assert [left(court, each) for each in logged] == [
        ("action.log", "allowed", Subject("a", "agent-of-a", tool="mail")),
        ("action.log", "session_not_found", Subject("b", tool="mail")),
    ]
    assert court.rows(Reservation) == []


def add(court: Court, **fields: Any) -> Outcome:
    return court.apply(AddUpstream(op_id=court.op(), name="shop", **fields))


def test_an_upstream_is_replaced_by_its_operator_alone_and_each_time_by_a_later_version(court: Court) -> None:
    rules = (ToolRule("buy", scope="read"),)
    assert left(court, add(court, transport="http", config_digest="one", tool_rules=rules)) == (
        "upstream.add",
        "allowed",
        OF_SHOP,
    )
    assert court.rows(Upstream) == [Upstream("shop", "http", "one", False, rules, START, START)]
    assert left(court, add(court, transport="http", config_digest="two")) == ("upstream.add", "exists", OF_SHOP)
    for version in (START + 1, START + 2):
        assert add(court, transport="stdio", config_digest="two", operator=True).allowed
        assert court.rows(Upstream) == [Upstream("shop", "stdio", "two", True, (), version, START)]
    court.now = LATER
    assert add(court, transport="stdio", config_digest="two", operator=True).allowed
    assert court.rows(Upstream) == [Upstream("shop", "stdio", "two", True, (), LATER, START)]


def remove(court: Court, *, operator: bool = False) -> tuple[str, str, Subject]:
    return left(court, court.apply(RemoveUpstream(op_id=court.op(), name="shop", operator=operator)))


def test_an_upstream_of_the_operator_is_removed_by_its_operator(court: Court) -> None:
    assert remove(court) == ("upstream.remove", "upstream_not_found", OF_SHOP)
    add(court, transport="http", config_digest="one", operator=True)
    assert [remove(court), remove(court, operator=True)] == [
        ("upstream.remove", "operator_owned", OF_SHOP),
        ("upstream.remove", "allowed", OF_SHOP),
    ]
    assert court.rows(Upstream) == []


def observe(court: Court, **tools: str) -> Outcome:
    seen = tuple(SeenTool(name, sha256) for name, sha256 in tools.items())
    return court.apply(ObserveTools(op_id=court.op(), upstream="shop", tools=seen))


def test_what_was_seen_first_is_pinned_and_what_changed_is_told_once(court: Court) -> None:
    assert left(court, observe(court, buy="a")) == ("tools.observe", "upstream_not_found", OF_SHOP)
    add(court, transport="http", config_digest="one")
    told = [
        ({"buy": "a", "sell": "b"}, ToolsObserved(("buy", "sell"), ())),
        ({"buy": "a", "sell": "c", "look": "d"}, ToolsObserved(("look",), ("sell",))),
        ({"sell": "c"}, ToolsObserved((), ())),
        ({"sell": "b"}, ToolsObserved()),
    ]
    for tools, result in told:
        assert left(court, observe(court, **tools), result) == ("tools.observe", "allowed", OF_SHOP)
    assert court.rows(Tool) == [
        Tool("shop", "buy", "a", "a", START),
        Tool("shop", "look", "d", "d", START),
        Tool("shop", "sell", "b", "b", START),
    ]


def test_a_definition_is_accepted_as_it_was_last_seen(court: Court) -> None:
    add(court, transport="http", config_digest="one")
    observe(court, buy="a")
    observe(court, buy="b")
    court.now = LATER
    accepted = [
        court.apply(AcceptTool(op_id=court.op(), upstream="shop", tool=tool, sha256=sha256))
        for tool, sha256 in (("no", "b"), ("buy", "a"), ("buy", "b"))
    ]
    of_buy = Subject(upstream="shop", tool="buy")
    assert [left(court, each) for each in accepted] == [
        ("tool.accept", "tool_not_found", Subject(upstream="shop", tool="no")),
        ("tool.accept", "definition_mismatch", of_buy),
        ("tool.accept", "allowed", of_buy),
    ]
    assert court.rows(Tool) == [Tool("shop", "buy", "b", "b", LATER)]


def test_every_change_of_policies_begins_another_epoch(court: Court) -> None:
    def changed(command: type[AddPolicy | RemovePolicy], epoch: int | None, **fields: Any) -> tuple[str, str, Subject]:
        outcome = court.apply(command(op_id=court.op(), policy_id="p", **fields))
        return left(court, outcome, None if epoch is None else PolicyChanged(epoch))

    policy = {"policy_kind": "block_tool", "definition_digest": "d"}
    assert changed(AddPolicy, 1, **policy) == ("policy.add", "allowed", Subject())
    assert court.rows(StoredPolicy) == [StoredPolicy("p", "block_tool", "d", START, 0, 1)]
    assert changed(AddPolicy, None, **policy) == ("policy.add", "exists", Subject())
    assert changed(RemovePolicy, 2) == ("policy.remove", "allowed", Subject())
    assert changed(RemovePolicy, None) == ("policy.remove", "policy_not_found", Subject())
    assert court.rows(StoredPolicy) == []
    assert court.rows(PolicyEpoch) == [PolicyEpoch(2)]


CALL = Call("c", "a", "agent-of-a", "shop", "buy", "digest", 3, 0, START, START + 30 * SECOND)
ABOUT = Subject("a", "agent-of-a", "shop", "buy")
SET_ASIDE = Reservation("c", "a", "call", "USD", 3, START, "reserved", 0, None)


def open_call(court: Court, **fields: Any) -> Outcome:
    court.upstream()
    court.session("a", "execute", "spend", limit_micros=10)
    return court.admit("a", call_id="c", **{"micros": 3, **fields})


def close(court: Court, command: Any, **fields: Any) -> tuple[str, str, Subject]:
    result = fields.pop("result", None)
    return left(court, court.apply(command(op_id=court.op(), call_id="c", **fields)), result)


def test_an_admitted_call_is_open_until_its_deadline_and_has_its_price_set_aside(court: Court) -> None:
    assert left(court, open_call(court)) == ("call.admit", "allowed", ABOUT)
    assert (court.rows(Call), court.rows(Reservation)) == ([CALL], [SET_ASIDE])
    assert court.rows(Budget) == [Budget("a", 10, "USD", reserved_micros=3, spent_micros=0)]
    assert court.rows(RateWindow) == []


def test_a_call_that_costs_nothing_reserves_nothing(court: Court) -> None:
    open_call(court, micros=0)
    assert (court.rows(Call), court.rows(Reservation)) == ([CALL.but(price_micros=0)], [])
    assert close(court, Settle, state="posted") == ("call.settle", "allowed", ABOUT)
    assert court.rows(Budget) == [Budget("a", 10)]


def test_a_refused_call_is_told_of_as_far_as_its_session_is_known(court: Court) -> None:
    open_call(court)
    far = Subject("none", "", "shop", "buy")
    assert left(court, court.admit("none")) == ("call.admit", "session_not_found", far)
    create_agent = CreateAgent(op_id=court.op(), name="other", sha256="s", scopes=(), limit_micros=None, ttl_seconds=0)
    assert court.apply(create_agent).allowed
    foreign = court.admit("a", asked_by=CredentialRef("agent", "other"))
    assert left(court, foreign) == ("call.admit", "session_not_found", Subject("a", "", "shop", "buy"))
    revoked = court.admit("a", asked_by=CredentialRef("agent", "nobody"))
    assert left(court, revoked) == ("call.admit", "agent_not_found", Subject("a", "", "shop", "buy"))
    dear = court.admit("a", micros=8)
    assert left(court, dear) == ("call.admit", "budget_exceeded", ABOUT)
    several = court.admit("a", upstream="", upstream_version=0)
    assert left(court, several) == ("call.admit", "tool_not_found", Subject("a", "agent-of-a", "", "buy"))


@pytest.mark.parametrize(
    ("state", "spent", "reserved", "reservation"),
    [
        ("posted", 3, 0, SET_ASIDE.but(state="posted", posted_micros=3, resolved_at=LATER)),
        ("voided", 0, 0, SET_ASIDE.but(state="voided", resolved_at=LATER)),
        ("indeterminate", 0, 3, SET_ASIDE),
    ],
)
def test_a_settled_call_keeps_how_it_ended(
    court: Court, state: Any, spent: int, reserved: int, reservation: Reservation
) -> None:
    open_call(court)
    court.now = LATER
    assert close(court, Settle, state=state, result_digest="r", error="e", latency_ms=5) == (
        "call.settle",
        "allowed",
        ABOUT,
    )
    assert court.rows(Call) == [CALL.but(state=state, error="e", result_digest="r", settled_at=LATER)]
    assert court.rows(Reservation) == [reservation]
    assert court.rows(Budget) == [Budget("a", 10, reserved_micros=reserved, spent_micros=spent)]


def test_a_call_that_lapsed_or_was_resolved_keeps_who_said_so(court: Court) -> None:
    create_tenant(court)
    assert close(court, Lapse) == ("call.lapse", "call_not_open", Subject())
    assert close(court, Resolve, state="posted") == ("call.resolve", "call_not_found", Subject())
    open_call(court)
    assert close(court, Lapse) == ("call.lapse", "call_not_open", ABOUT)
    assert close(court, Resolve, state="posted") == ("call.resolve", "call_not_open", ABOUT)
    court.now = START + 90 * SECOND
    assert close(court, Lapse) == ("call.lapse", "allowed", ABOUT)
    lapsed = CALL.but(state="indeterminate", error="lapsed", settled_at=court.now)
    assert court.rows(Call) == [lapsed]
    assert close(court, Lapse) == ("call.lapse", "call_not_open", Subject())
    assert close(court, Resolve, state="posted", amount_micros=4) == ("call.resolve", "amount_exceeds_reserved", ABOUT)
    court.now += 1
    told = CallResolved("posted", 2)
    asked_by = key_ref("hld_1")
    assert close(court, Resolve, asked_by=asked_by, state="posted", amount_micros=2, result=told) == (
        "call.resolve",
        "allowed",
        ABOUT,
    )
    assert court.rows(Call) == [lapsed.but(state="posted", settled_at=court.now, resolved_by="key:hld_1")]
    assert court.rows(Reservation) == [SET_ASIDE.but(state="posted", posted_micros=2, resolved_at=court.now)]
    assert court.rows(Budget) == [Budget("a", 10, spent_micros=2)]


@pytest.mark.parametrize(
    ("holder", "kept_for"), [("session", "session:a"), ("agent", "agent:agent-of-a"), ("tenant", "tenant")]
)
def test_a_rate_is_kept_by_policy_and_holder(court: Court, holder: str, kept_for: str) -> None:
    rate = Judgement(0, pending=(Pending("p", "At most 9.", RateAbove("p", holder, 9)),))
    open_call(court, judgement=rate)
    court.admit("a", judgement=rate)
    assert court.rows(RateWindow) == [RateWindow("p", kept_for, ((START // SECOND, 2),))]


def test_a_ruled_price_counts_where_no_budget_stands(court: Court) -> None:
    court.upstream()
    court.session("a", "execute", "spend")
    court.admit("a", call_id="c", charge=Charge(3, ruled=True))
    assert court.rows(Budget) == [Budget("a", None, reserved_micros=3)]


def test_of_an_endpoints_secrets_two_are_kept_and_none_outlives_it(court: Court) -> None:
    def sealed(*digests: str) -> list[Part]:
        return [Part(digest, 1, b"sealed") for digest in digests]

    def rotated(digest: str) -> set[str]:
        rotate = RotateWebhookSecret(op_id=court.op(), webhook_id=1, secret_digest=digest, grace_seconds=60)
        assert court.apply(rotate, sealed(digest)).allowed
        return {part.digest for part in court.rows(Part)}

    registered = RegisterWebhook(op_id=court.op(), name="w", events=("*",), url_digest="url", secret_digest="one")
    assert court.apply(registered, sealed("url", "one")).allowed
    assert rotated("two") == {"url", "one", "two"}
    assert rotated("three") == {"url", "two", "three"}
    assert court.apply(RemoveWebhook(op_id=court.op(), webhook_id=1)).allowed
    assert court.rows(Part) == []


@pytest.mark.parametrize(("command", "kind"), [(BeginVisit, "visit.begin"), (EndVisit, "visit.end")])
def test_who_signs_in_or_out_is_an_entry_and_changes_nothing(court: Court, command: Any, kind: str) -> None:
    by = court.key("hld_1")
    outcome = court.apply(command(op_id=court.op(), asked_by=by, visit_id="v"))
    assert left(court, outcome) == (kind, "allowed", Subject())
