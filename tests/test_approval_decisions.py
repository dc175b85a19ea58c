"""What rules hold, what a person's word lets through, and what never passes: case by case at the journal's door."""

import asyncio
import hashlib
from typing import Any

import pytest

from court import Court, approval_of, key_ref, told
from haldir.approvals.commands import (
    AddApprovalRule,
    ExpireApproval,
    RemoveApprovalRule,
    RulesChanged,
    SetFourEyes,
)
from haldir.approvals.holds import HELD_SECONDS, PASSED, Held, hold_needs, ruling
from haldir.approvals.model import Approval, ApprovalRule, ApprovalRules, Asked, Hold, Vote
from haldir.approvals.rules import holds, terms_of
from haldir.gate.commands import CreateAgent, RevokeKey, RevokeSession
from haldir.journal.command import CredentialRef, Outcome
from haldir.journal.working_set import WorkingSet
from haldir.kernel import ids
from haldir.kernel.clock import SECOND
from haldir.ledger.model import Budget, Payment
from haldir.operations.approval_commands import ApprovalDecided, ApprovalRequested, DecideApproval, RequestApproval
from haldir.operations.session_commands import OpenAgentSession
from haldir.proxy.policy_commands import AddPolicy
from haldir.webhooks.commands import DisableWebhook, EnableWebhook, RegisterWebhook, RemoveWebhook, WebhookRegistered

UNIT = 1_000_000
LIFE = HELD_SECONDS * SECOND


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    """A session `s` with 100 to spend, and a rule that holds what is over 10."""
    court = Court(runner)
    court.session("s", limit_micros=100 * UNIT, ttl_seconds=0)
    court.hold_rule(threshold_micros=10 * UNIT)
    return court


def pay(court: Court, micros: int = 11 * UNIT, session: str = "s", **fields: Any) -> Outcome:
    return court.pay(session, micros, **fields)


def asked(**fields: Any) -> Asked:
    given = {"session_id": "s", "agent_id": "a", "asked_by": "x", "openers": (), "request_digest": "d"}
    words = {"details_digest": "", "action": "", "amount_micros": 0}
    return Asked(**{"effect": "call", **given, **words, **fields})


@pytest.mark.parametrize(
    ("rule", "held", "passes"),
    [
        ({"kind": "spend_over", "threshold_micros": 5}, {"amount_micros": 6}, {"amount_micros": 5}),
        ({"kind": "spend_over"}, {"amount_micros": 1}, {"amount_micros": 0}),
        ({"kind": "spend_over", "threshold_micros": 5}, {"amount_micros": None}, {"amount_micros": 5}),
        ({"kind": "tool_blocked", "tools": ("rm",)}, {"upstream": "u", "tool": "rm"}, {"upstream": "u", "tool": "r"}),
        (
            {"kind": "tool_blocked", "tools": ("u.rm",)},
            {"upstream": "u", "tool": "rm"},
            {"upstream": "v", "tool": "rm"},
        ),
        ({"kind": "destructive"}, {"destructive": True}, {"destructive": False}),
    ],
)
def test_a_rule_holds_what_it_says_and_nothing_beside_it(
    rule: dict[str, Any], held: dict[str, Any], passes: dict[str, Any]
) -> None:
    standing = ApprovalRule(id="r", created_at=0, created_by="k", **rule)
    assert holds(standing, asked(**held))
    assert not holds(standing, asked(**passes))
    assert holds(ApprovalRule("r", "all", 0, "k"), asked(**passes))


def test_of_several_rules_the_strictest_terms_count() -> None:
    one = ApprovalRule("one", "all", 0, "k", approvers=3)
    two = ApprovalRule("two", "spend_over", 0, "k", threshold_micros=5, four_eyes=True)
    cheap = terms_of(ApprovalRules(7, four_eyes=False, rules=(one, two)), asked(amount_micros=5))
    dear = terms_of(ApprovalRules(7, four_eyes=False, rules=(two, one)), asked(amount_micros=6))
    assert cheap is not None
    assert dear is not None
    assert (cheap.rule_id, cheap.approvers, cheap.four_eyes, cheap.rules_version) == ("one", 3, False, 7)
    assert (dear.rule_id, dear.rule_kind, dear.approvers, dear.four_eyes) == ("two", "spend_over", 3, True)
    eyes = terms_of(ApprovalRules(7, four_eyes=True, rules=(one,)), asked())
    assert eyes is not None
    assert eyes.four_eyes
    assert terms_of(ApprovalRules(rules=(two,)), asked(amount_micros=5)) is None


def test_what_is_within_the_threshold_is_not_held(court: Court) -> None:
    assert pay(court, 10 * UNIT).allowed
    assert court.rows(Approval) == []


def test_a_held_payment_spends_and_sets_aside_nothing_and_says_what_it_waits_for(court: Court) -> None:
    outcome = pay(court)
    approval = court.approval(approval_of(outcome))
    assert outcome.reason == f"The rule {approval.rule_id} (spend_over) holds this until a person approves it."
    assert (approval.effect, approval.session_id, approval.agent_id) == ("payment", "s", "agent-of-s")
    assert (approval.amount_micros, approval.currency, approval.state) == (11 * UNIT, "USD", "pending")
    assert (approval.created_at, approval.expires_at) == (court.now, court.now + LIFE)
    assert [(row.spent_micros, row.reserved_micros) for row in court.rows(Budget)] == [(0, 0)]
    assert court.rows(Payment) == []


def test_of_what_waits_is_stored_what_its_approver_sees_and_what_its_release_is_held_against(court: Court) -> None:
    court.session("t", asked_by=court.key("opener"))
    payment = approval_of(pay(court, asked_by=court.key("payer"), description_digest="words"))
    ask, _ = request(court, "t", action="deploy", details_digest="why", asked_by=CredentialRef("session", "t"))
    (standing,) = court.rows(ApprovalRules)
    digest = hashlib.sha256(b'["payment",11000000,"USD","words",true]').hexdigest()
    nothing_more: dict[str, Any] = {"policy_epoch": 0, "upstream": "", "tool": "", "approvers": 1, "four_eyes": False}
    both: dict[str, Any] = {
        "rules_version": 1,
        "currency": "USD",
        "created_at": court.now,
        "expires_at": court.now + LIFE,
    }
    assert court.approval(payment) == Approval(
        id=payment,
        effect="payment",
        session_id="s",
        agent_id="agent-of-s",
        request_digest=digest,
        action="authorize_payment",
        amount_micros=11 * UNIT,
        details_digest="words",
        rule_id=standing.rules[0].id,
        rule_kind="spend_over",
        asked_by="key:payer",
        openers=("system:",),
        **nothing_more,
        **both,
    )
    assert court.approval(ask) == Approval(
        id=ask,
        effect="ask",
        session_id="t",
        agent_id="agent-of-t",
        request_digest=ask.removeprefix("apr-"),
        action="deploy",
        amount_micros=0,
        details_digest="why",
        rule_id="",
        rule_kind="",
        asked_by="session:t",
        openers=("key:opener",),
        **nothing_more,
        **both,
    )
    assert court.rows(Hold) == [Hold("s", digest, payment)]


def test_what_destroys_nothing_by_a_tool_is_no_matter_of_a_rule_on_destructive_tools(court: Court) -> None:
    court.hold_rule("destructive", approvers=2)
    assert pay(court, 10 * UNIT).allowed
    assert court.approval(request(court)[0]).approvers == 1


@pytest.mark.parametrize("rules", [None, ApprovalRules(version=2)])
def test_where_nothing_can_hold_nothing_is_digested_and_nothing_looked_up(rules: ApprovalRules | None) -> None:
    def asking() -> Any:
        raise AssertionError("nothing can hold it")

    rows = WorkingSet()
    rows.adopt([ApprovalRules.at()], [rules] if rules else [])
    assert list(hold_needs(rows, "s", asking)) == [ApprovalRules.at()]
    assert ruling(rows, asking, "op", "pay", now=0) == PASSED


@pytest.mark.parametrize(
    ("state", "before", "at_the_end"),
    [
        ("pending", "pending", "expired"),
        ("approved", "approved", "expired"),
        ("used", "approved", "approved"),
        ("denied", "denied", "denied"),
        ("expired", "expired", "expired"),
    ],
)
def test_what_is_not_used_in_time_has_expired_at_that_very_instant(
    court: Court, state: Any, before: str, at_the_end: str
) -> None:
    approval = court.approval(approval_of(pay(court))).but(state=state)
    assert approval.status(approval.expires_at - 1) == before
    assert approval.status(approval.expires_at) == at_the_end


def test_a_request_without_a_price_waits_with_none(court: Court) -> None:
    court.hold_rule("all")
    assert court.approval(approval_of(pay(court, 0))).amount_micros == 0


def test_an_approval_that_another_takes_the_place_of_says_by_which_entry(court: Court) -> None:
    first = approval_of(pay(court))
    court.hold_rule("all")
    outcome = pay(court)
    second = approval_of(outcome)
    assert (court.approval(first).state, court.approval(first).expired_op) == ("expired", ids.op_of("apr", second))
    assert (court.approval(second).state, court.approval(second).expired_op) == ("pending", "")


def test_what_is_denied_anyway_is_not_held(court: Court) -> None:
    assert pay(court, 101 * UNIT).code == "budget_exceeded"
    assert court.rows(Approval) == []


def test_the_identical_payment_waits_for_the_same_approval_and_passes_once(court: Court) -> None:
    first = approval_of(pay(court))
    again = pay(court)
    assert (approval_of(again), told(again, Held).again) == (first, True)
    assert told(court.decide(first), ApprovalDecided) == ApprovalDecided("approved")
    passed = pay(court, payment_id="paid")
    assert passed.allowed
    used = court.approval(first)
    assert (used.state, used.used_at, used.used_by) == ("used", court.now, "paid")
    assert court.rows(Hold) == []
    assert approval_of(pay(court)) != first


@pytest.mark.parametrize(
    "other",
    [
        {"micros": 11 * UNIT + 1},
        {"session": "t"},
        {"description_digest": "other"},
        {"capture": False},
    ],
    ids=str,
)
def test_nothing_but_the_identical_payment_passes(court: Court, other: dict[str, Any]) -> None:
    court.session("t", limit_micros=100 * UNIT)
    first = approval_of(pay(court, description_digest="this"))
    court.decide(first)
    assert approval_of(pay(court, **{"description_digest": "this", **other})) != first
    assert pay(court, description_digest="this").allowed


def test_another_currency_never_passes(court: Court) -> None:
    court.session("free", "spend")
    first = approval_of(pay(court, session="free"))
    court.decide(first)
    assert pay(court, session="free", currency="EUR").code == "currency_mismatch"


def test_a_denied_payment_stays_denied_until_the_approval_would_have_expired(court: Court) -> None:
    first = approval_of(pay(court))
    court.key("k")
    assert told(court.decide(first, "deny", key_ref("k")), ApprovalDecided) == ApprovalDecided("denied")
    court.now += LIFE - 1
    denied = pay(court)
    assert (denied.code, denied.reason) == ("approval_denied", f"key:k denied this as {first}.")
    assert told(denied, Held).approval_id == first
    court.now += 1
    assert approval_of(pay(court)) != first
    assert court.approval(first).state == "denied"


@pytest.mark.parametrize("decided", [True, False])
def test_an_approval_counts_until_it_expires_and_no_microsecond_longer(court: Court, decided: bool) -> None:  # noqa: FBT001 - pytest hands it over by name.
    first = approval_of(pay(court))
    if decided:
        court.decide(first)
    court.now += LIFE
    second = approval_of(pay(court))
    assert second != first
    assert court.approval(first).state == "expired"
    assert court.decide(first).code == "approval_expired"
    court.decide(second)
    court.now += LIFE - 1
    assert pay(court).allowed


def test_an_approval_given_under_other_rules_lets_nothing_through(court: Court) -> None:
    first = approval_of(pay(court))
    court.decide(first)
    court.hold_rule("all")
    second = approval_of(pay(court))
    assert second != first
    assert court.approval(first).state == "expired"


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_what_was_asked_for_under_other_rules_is_not_decided_but_what_waits_anew_is(court: Court, verdict: str) -> None:
    payment, ask = approval_of(pay(court)), request(court)[0]
    court.hold_rule("all")
    refused = court.decide(payment, verdict)
    assert (refused.code, refused.reason) == (
        "approval_outdated",
        f"The approval rules changed since {payment} was asked for.",
    )
    assert court.approval(payment).state == "pending"
    assert court.decide(ask, verdict).allowed, "whoever asked acts on the answer, not a rule"
    assert court.decide(approval_of(pay(court)), verdict).allowed


def test_a_payment_is_decided_whatever_became_of_the_policies_which_hold_no_payments(court: Court) -> None:
    payment = approval_of(pay(court))
    court.apply(AddPolicy(op_id=court.op(), policy_id="p", policy_kind="block_tool", definition_digest="d"))
    assert court.decide(payment).allowed
    assert pay(court).allowed


def test_without_the_rule_the_payment_passes_and_the_approval_stays_unused(court: Court) -> None:
    first = approval_of(pay(court))
    (standing,) = court.rows(ApprovalRules)
    court.apply(RemoveApprovalRule(op_id=court.op(), rule_id=standing.rules[0].id))
    assert pay(court).allowed
    assert court.approval(first).state == "pending"


def test_an_approved_payment_is_still_refused_where_the_budget_is_gone_or_the_session_has_ended(court: Court) -> None:
    first = approval_of(pay(court, 60 * UNIT))
    court.decide(first)
    for _ in range(5):
        assert pay(court, 9 * UNIT).allowed
    assert pay(court, 60 * UNIT).code == "budget_exceeded"
    assert court.approval(first).state == "approved"
    court.apply(RevokeSession(op_id=court.op(), session_id="s"))
    assert pay(court, 60 * UNIT).code == "session_revoked"


def test_the_first_decision_counts(court: Court) -> None:
    court.key("k")
    for first, second in (("approve", "deny"), ("deny", "approve"), ("approve", "approve"), ("deny", "deny")):
        approval_id = approval_of(pay(court, description_digest=f"{first}-{second}"))
        assert court.decide(approval_id, first, key_ref("k")).allowed
        refused = court.decide(approval_id, second, key_ref("k"))
        state = {"approve": "approved", "deny": "denied"}[first]
        assert (refused.code, refused.reason) == (
            "approval_decided",
            f"key:k decided {approval_id} already: {state}.",
        )
        decided = court.approval(approval_id)
        assert (decided.state, decided.decided_by, decided.decided_at) == (state, "key:k", court.now)
    assert court.decide("apr_unknown").code == "approval_not_found"


def test_a_used_approval_cannot_be_decided_again(court: Court) -> None:
    approval_id = approval_of(pay(court))
    court.decide(approval_id)
    assert pay(court).allowed
    assert court.decide(approval_id, "deny").code == "approval_decided"


@pytest.mark.parametrize("by", [CredentialRef("session", "s"), CredentialRef("agent", "agent-of-s")])
def test_no_session_and_no_agent_ever_decides(court: Court, by: CredentialRef) -> None:
    court.apply(
        CreateAgent(op_id=court.op(), name="agent-of-s", sha256="x", scopes=("*",), limit_micros=None, ttl_seconds=9)
    )
    approval_id = approval_of(pay(court))
    refused = court.decide(approval_id, "approve", by)
    assert (refused.code, refused.reason) == ("insufficient_scope", "A session or an agent cannot decide approvals.")
    assert court.approval(approval_id).state == "pending"


def test_as_many_must_approve_as_the_rule_says_each_once_and_one_may_deny(court: Court) -> None:
    court.hold_rule("all", approvers=3)
    keys = [court.key(name) for name in "abcd"]
    approval_id = approval_of(pay(court))
    assert told(court.decide(approval_id, by=keys[0]), ApprovalDecided) == ApprovalDecided("pending", 2)
    again = court.decide(approval_id, by=keys[0])
    assert (again.code, again.reason) == (
        "approval_decided",
        f"key:a approved {approval_id} already; others must, too.",
    )
    assert told(court.decide(approval_id, by=keys[1]), ApprovalDecided) == ApprovalDecided("pending", 1)
    assert approval_of(pay(court)) == approval_id
    assert told(court.decide(approval_id, by=keys[2]), ApprovalDecided) == ApprovalDecided("approved")
    assert [vote.by for vote in court.approval(approval_id).votes] == ["key:a", "key:b", "key:c"]
    assert pay(court).allowed
    other = approval_of(pay(court, 12 * UNIT))
    court.decide(other, by=keys[0])
    assert told(court.decide(other, "deny", keys[0]), ApprovalDecided) == ApprovalDecided("denied")


@pytest.mark.parametrize("by_rule", [True, False])
def test_with_four_eyes_neither_who_asked_nor_who_opened_a_session_of_the_chain_decides(
    court: Court,
    by_rule: bool,  # noqa: FBT001 - pytest hands it over by name.
) -> None:
    opener, asker, other = (court.key(name) for name in ("opener", "asker", "other"))
    court.session("p", "spend", asked_by=opener)
    court.session("c", "spend", parent="p", asked_by=CredentialRef("session", "p"))
    if by_rule:
        court.hold_rule(four_eyes=True)
    else:
        court.apply(SetFourEyes(op_id=court.op(), four_eyes=True))
    approval_id = approval_of(pay(court, session="c", asked_by=asker))
    for party in (opener, asker):
        for verdict in ("approve", "deny"):
            refused = court.decide(approval_id, verdict, party)
            assert refused.code == "four_eyes"
            assert refused.reason.startswith(f"{party} asked for this or opened its session")
    assert court.decide(approval_id, by=other).allowed


def test_with_four_eyes_who_made_an_agent_does_not_decide_what_it_asks_for(court: Court) -> None:
    maker, other = court.key("maker"), court.key("other")
    made = CreateAgent(
        op_id=court.op(), asked_by=maker, name="bot", sha256="x", scopes=("*",), limit_micros=None, ttl_seconds=9
    )
    assert court.apply(made).allowed
    assert court.apply(OpenAgentSession(op_id=court.op(), agent="bot", session_id="of-bot")).allowed
    court.session("below", "spend", agent_id="tool", parent="of-bot", asked_by=CredentialRef("session", "of-bot"))
    court.session("of-other", "spend", agent_id="bot", asked_by=other)
    court.hold_rule(four_eyes=True)
    for session in ("of-bot", "below"):
        approval_id = approval_of(pay(court, session=session, asked_by=CredentialRef("session", session)))
        assert court.decide(approval_id, by=maker).code == "four_eyes"
        assert court.decide(approval_id, by=other).allowed
    mine = approval_of(pay(court, session="of-other", asked_by=CredentialRef("session", "of-other")))
    assert court.decide(mine, by=other).code == "four_eyes"
    assert court.decide(mine, by=maker).allowed


def test_without_four_eyes_whoever_asked_may_approve(court: Court) -> None:
    full = court.key("full")
    court.session("mine", "spend", asked_by=full)
    assert court.decide(approval_of(pay(court, session="mine", asked_by=full)), by=full).allowed


def webhook_of(court: Court, maker: CredentialRef, **fields: Any) -> int:
    """Have a key make a webhook whose messages have links that decide; return its id."""
    fields = {"name": "w", "events": ("all",), "url_digest": "u", "secret_digest": "s", "links": True, **fields}
    made = court.apply(RegisterWebhook(op_id=court.op(), asked_by=maker, **fields))
    return int(told(made, WebhookRegistered).webhook_id)


def by_link(court: Court, webhook_id: int, maker: CredentialRef, approval_id: str, verdict: Any = "approve") -> Outcome:
    link = CredentialRef("link", str(webhook_id))
    command = DecideApproval(
        op_id=court.op(), asked_by=link, approval_id=approval_id, verdict=verdict, answers_for=str(maker)
    )
    return court.apply(command)


def test_a_link_decides_as_itself_and_says_whose_power_it_has(court: Court) -> None:
    maker = court.key("maker")
    approval_id = approval_of(pay(court))
    number = webhook_of(court, maker)
    assert told(by_link(court, number, maker, approval_id), ApprovalDecided) == ApprovalDecided("approved")
    row = court.approval(approval_id)
    assert (row.state, row.decided_by) == ("approved", f"link:{number}")
    assert row.votes == (Vote(f"link:{number}", court.now, "", "key:maker", row.decided_op),)
    assert row.decided_op
    assert pay(court).allowed
    again = by_link(court, number, maker, approval_id, "deny")
    assert (again.code, again.reason) == (
        "approval_decided",
        f"link:{number} decided {approval_id} already: used.",
    )


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_with_four_eyes_a_link_has_no_say_where_the_key_that_made_its_webhook_has_none(
    court: Court, verdict: Any
) -> None:
    asker, other = court.key("asker"), court.key("other")
    court.hold_rule(four_eyes=True)
    own, foreign = webhook_of(court, asker), webhook_of(court, other)
    approval_id = approval_of(pay(court, asked_by=asker))
    refused = by_link(court, own, asker, approval_id, verdict)
    assert (refused.code, refused.reason) == (
        "four_eyes",
        "key:asker asked for this or opened its session; somebody else must decide.",
    )
    assert by_link(court, foreign, other, approval_id, verdict).allowed


def test_a_key_and_all_links_of_its_webhooks_have_one_vote(court: Court) -> None:
    court.hold_rule("all", approvers=3)
    one, other, third = (court.key(name) for name in ("one", "other", "third"))
    first, second, theirs = webhook_of(court, one), webhook_of(court, one), webhook_of(court, other)
    approval_id = approval_of(pay(court))
    assert told(by_link(court, first, one, approval_id), ApprovalDecided).missing == 2
    for again in (
        by_link(court, first, one, approval_id),
        by_link(court, second, one, approval_id),
        court.decide(approval_id, by=one),
    ):
        assert (again.code, again.reason) == (
            "approval_decided",
            f"key:one approved {approval_id} already; others must, too.",
        )
    assert told(court.decide(approval_id, by=other), ApprovalDecided).missing == 1
    assert by_link(court, theirs, other, approval_id).code == "approval_decided"
    assert told(court.decide(approval_id, by=third), ApprovalDecided) == ApprovalDecided("approved")
    assert [vote.voter for vote in court.approval(approval_id).votes] == ["key:one", "key:other", "key:third"]


GONE = "The webhook that this link came by is gone or disabled, or gives no such links."


def test_a_link_counts_for_as_long_as_its_webhook_and_the_key_that_made_it(court: Court) -> None:
    maker = court.key("maker")
    approval_id = approval_of(pay(court))

    def refusal(number: int) -> tuple[str, str]:
        refused = by_link(court, number, maker, approval_id)
        assert not refused.allowed
        return refused.code, refused.reason

    assert refusal(1) == ("link_ended", GONE)  # There never was one.
    assert refusal(webhook_of(court, maker, links=False)) == ("link_ended", GONE)
    number = webhook_of(court, maker)
    court.apply(DisableWebhook(op_id=court.op(), webhook_id=number))
    assert refusal(number) == ("link_ended", GONE)
    court.apply(EnableWebhook(op_id=court.op(), webhook_id=number))
    court.key("another")
    court.apply(RevokeKey(op_id=court.op(), prefix="maker"))
    reason = "key:maker, which answers for the webhook that this link came by, was revoked."
    assert refusal(number) == ("link_ended", reason)
    court.apply(RemoveWebhook(op_id=court.op(), webhook_id=number))
    assert refusal(number) == ("link_ended", GONE)
    assert court.approval(approval_id).state == "pending"


def request(court: Court, session: str = "s", **fields: Any) -> tuple[str, Outcome]:
    op_id = court.op()
    command = RequestApproval(op_id=op_id, approval_id=f"apr-{op_id}", session_id=session, **fields)
    return command.approval_id, court.apply(command)


def test_a_person_is_asked_for_what_no_rule_holds_and_the_answer_lets_nothing_through(court: Court) -> None:
    approval_id, outcome = request(court, tool="t", action="deploy", amount_micros=11 * UNIT, ttl_seconds=60)
    assert told(outcome, ApprovalRequested).expires_at == court.now + 60 * SECOND
    row = court.approval(approval_id)
    assert (row.effect, row.tool, row.action, row.amount_micros) == ("ask", "t", "deploy", 11 * UNIT)
    assert row.agent_id == "agent-of-s"
    assert court.decide(approval_id).allowed
    assert approval_of(pay(court)) != approval_id


def test_an_ask_is_decided_on_the_terms_of_the_rules_that_would_hold_it(court: Court) -> None:
    court.hold_rule(threshold_micros=UNIT, approvers=2, four_eyes=True)
    assert [court.approval(request(court, amount_micros=micros)[0]).approvers for micros in (UNIT, UNIT + 1)] == [1, 2]
    court.apply(SetFourEyes(op_id=court.op(), four_eyes=True))
    asker = court.key("asker")
    approval_id, _ = request(court, asked_by=asker)
    assert court.decide(approval_id, by=asker).code == "four_eyes"


def test_only_who_acts_in_a_living_session_may_ask(court: Court) -> None:
    court.session("t", "read")
    stranger = request(court, asked_by=CredentialRef("session", "t"))[1]
    assert stranger.code == "session_not_found"
    assert request(court, asked_by=CredentialRef("session", "s"))[1].allowed
    assert request(court, "unknown")[1].code == "session_not_found"
    court.apply(RevokeSession(op_id=court.op(), session_id="s"))
    assert request(court)[1].code == "session_revoked"


def test_each_change_of_the_rules_is_a_new_version_and_there_are_only_so_many_rules(court: Court) -> None:
    added = [
        told(court.apply(AddApprovalRule(op_id=court.op(), rule_id=f"r{n}", rule_kind="all")), RulesChanged).version
        for n in range(99)
    ]
    assert added == list(range(2, 101))
    full = court.apply(AddApprovalRule(op_id=court.op(), rule_id="r", rule_kind="all"))
    assert (full.code, full.reason) == ("too_many_rules", "There are 100 approval rules already.")
    removed = court.apply(RemoveApprovalRule(op_id=court.op(), rule_id="r0"))
    assert told(removed, RulesChanged).version == 101
    unknown = court.apply(RemoveApprovalRule(op_id=court.op(), rule_id="r0"))
    assert (unknown.code, unknown.reason) == ("approval_rule_not_found", "There is no approval rule r0.")
    (rules,) = court.rows(ApprovalRules)
    assert [rule.id for rule in rules.rules][1:] == [f"r{n}" for n in range(1, 99)]


@pytest.mark.parametrize("decided", [True, False])
def test_what_is_over_is_closed_and_its_request_begins_anew(court: Court, decided: bool) -> None:  # noqa: FBT001 - pytest hands it over by name.
    approval_id = approval_of(pay(court))
    if decided:
        court.decide(approval_id)

    def expire(name: str) -> Outcome:
        return court.apply(ExpireApproval(op_id=court.op(), approval_id=name))

    court.now += LIFE - 1
    assert expire(approval_id).code == "approval_decided"
    court.now += 1
    ended = f"{int(court.op(), 16) + 1:032x}"
    assert expire(approval_id).allowed
    assert (court.approval(approval_id).state, court.approval(approval_id).expired_op) == ("expired", ended)
    assert court.rows(Hold) == []
    assert [expire(name).code for name in (approval_id, "apr_unknown")] == ["approval_decided", "approval_not_found"]
    assert approval_of(pay(court)) != approval_id


def test_closing_what_was_superseded_leaves_what_waits_now(court: Court) -> None:
    first, _ = request(court, ttl_seconds=1)
    held = approval_of(pay(court))
    court.now += SECOND
    assert court.apply(ExpireApproval(op_id=court.op(), approval_id=first)).allowed
    assert approval_of(pay(court)) == held
