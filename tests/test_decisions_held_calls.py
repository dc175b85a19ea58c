"""A tool call that a rule holds: what passes is the very call a person approved, once, and nothing like it."""

import asyncio
import hashlib
from typing import Any

import pytest

from court import Court, told
from haldir.approvals.commands import ExpireApproval, RemoveApprovalRule, SetFourEyes
from haldir.approvals.holds import HELD_SECONDS, Held
from haldir.approvals.model import Approval, ApprovalRules, Hold
from haldir.journal.command import DETAILS_WANTED, Outcome, Subject
from haldir.kernel import canonical
from haldir.kernel.clock import SECOND
from haldir.ledger.model import Budget
from haldir.operations.approval_commands import RequestApproval
from haldir.operations.call_commands import Charge
from haldir.operations.payment_commands import AuthorizePayment
from haldir.policy.judgement import Judgement
from haldir.proxy.commands import AcceptTool, AddUpstream, ObserveTools, SeenTool
from haldir.proxy.model import Call
from haldir.proxy.policy_commands import AddPolicy
from haldir.storage.rows import Part

ABOUT = Subject("s", "agent-of-s", "shop", "buy")


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    """A session that may call two tools of a shop and spend 100 micro-units."""
    court = Court(runner)
    court.upstream("shop", "buy", "sell")
    court.session("s", "execute", "spend", limit_micros=100, ttl_seconds=0)
    return court


def call(court: Court, tool: str = "buy", **fields: Any) -> Outcome:
    return court.admit("s", tool, **{"micros": 7, "details_digest": "sealed", **fields})


def held(outcome: Outcome) -> Held:
    assert (outcome.allowed, outcome.code) == (False, "approval_required"), outcome
    found: Held = told(outcome, Held)
    return found


def redefine(court: Court, sha256: str) -> None:
    """Have the shop define its tool anew, and a person accept that."""
    assert court.apply(ObserveTools(op_id=court.op(), upstream="shop", tools=(SeenTool("buy", sha256),))).allowed
    assert court.apply(AcceptTool(op_id=court.op(), upstream="shop", tool="buy", sha256=sha256)).allowed


def move(court: Court, **fields: Any) -> None:
    """Have the operator configure the shop anew."""
    moved = {"transport": "http", "config_digest": "d", **fields}
    assert court.apply(AddUpstream(op_id=court.op(), name="shop", operator=True, **moved)).allowed


def test_a_call_that_would_be_held_is_asked_again_with_what_a_person_must_see(court: Court) -> None:
    court.hold_rule("all")
    asked = call(court, details_digest="")
    assert (asked.stale, asked.code) == (True, DETAILS_WANTED.code)
    assert court.rows(Approval) == []
    first = held(call(court))
    assert not first.again
    assert held(call(court, details_digest="")) == Held(first.approval_id, again=True)


def test_a_held_call_tells_a_person_everything_it_is_bound_to_and_spends_nothing(court: Court) -> None:
    rule_id = court.hold_rule("all")
    outcome = call(court)
    _, record = court.entry(outcome)
    [approval] = court.rows(Approval)
    assert (record.about, bytes(record.result)) == (ABOUT, canonical.encode({"approval_id": approval.id}))
    assert (approval.id, approval.effect, approval.session_id, approval.agent_id) == (
        held(outcome).approval_id,
        "call",
        "s",
        "agent-of-s",
    )
    assert (approval.upstream, approval.tool, approval.action, approval.amount_micros, approval.currency) == (
        "shop",
        "buy",
        "tool_call",
        7,
        "USD",
    )
    assert (approval.details_digest, approval.rule_id, approval.asked_by, approval.openers) == (
        "sealed",
        rule_id,
        "system:",
        ("system:",),
    )
    assert (approval.expires_at, approval.state) == (court.now + HELD_SECONDS * SECOND, "pending")
    assert court.rows(Call) == []
    assert court.rows(Budget) == [Budget("s", 100)]


def test_what_a_person_must_see_is_stored_with_what_is_held_and_not_with_what_is_refused(court: Court) -> None:
    court.hold_rule("all")
    for digest, micros in (("held", 7), ("refused", 101)):
        payment = AuthorizePayment(op_id=court.op(), payment_id="p", session_id="s", amount_micros=micros)
        court.apply(payment, [Part(digest, 1, b"sealed")])
    assert court.rows(Part) == [Part("held", 1, b"sealed")]
    assert [each.action for each in court.rows(Approval)] == ["authorize_payment"]


def test_an_approved_call_passes_once(court: Court) -> None:
    court.hold_rule("all")
    first = held(call(court)).approval_id
    assert court.decide(first).allowed
    assert call(court, call_id="c", details_digest="").allowed
    approval = court.row(Approval, first)
    assert approval is not None
    assert (approval.state, approval.used_by) == ("used", "c")
    assert [each.id for each in court.rows(Call)] == ["c"]
    assert held(call(court)).approval_id != first


def test_a_denied_call_is_told_so(court: Court) -> None:
    court.hold_rule("all")
    court.decide(held(call(court)).approval_id, "deny")
    for details in ("sealed", ""):
        denied = call(court, details_digest=details)
        assert (denied.code, denied.stale) == ("approval_denied", False)


def test_a_call_held_under_other_policies_is_not_decided_but_the_one_that_waits_anew_is(court: Court) -> None:
    court.hold_rule("all")
    first = held(call(court)).approval_id
    court.apply(AddPolicy(op_id=court.op(), policy_id="p", policy_kind="block_tool", definition_digest="d"))
    for verdict in ("approve", "deny"):
        refused = court.decide(first, verdict)
        assert (refused.code, refused.reason) == (
            "approval_outdated",
            f"The policies changed since {first} was asked for.",
        )
    second = held(call(court, judgement=Judgement(1))).approval_id
    assert second != first
    assert court.decide(second).allowed
    assert call(court, judgement=Judgement(1)).allowed


def test_what_a_call_waits_for_is_found_by_what_the_call_is_whichever_release_wrote_it(court: Court) -> None:
    court.hold_rule("all")
    first = held(call(court)).approval_id
    digest = hashlib.sha256(b'["call","shop","d","buy","hash-of-buy","digest",7,"USD"]').hexdigest()
    assert court.rows(Hold) == [Hold("s", digest, first)]


@pytest.mark.parametrize(
    "other",
    [
        {"tool": "sell"},
        {"arguments_digest": "other"},
        {"micros": 8},
        {"charge": Charge(7, ruled=True), "same": True},
        {"charge": Charge(fault="no number"), "refused": "amount_invalid"},
    ],
)
def test_an_approval_lets_no_other_call_through(court: Court, other: dict[str, Any]) -> None:
    same, refused = other.pop("same", False), other.pop("refused", "approval_required")
    court.hold_rule("all")
    first = held(call(court)).approval_id
    court.decide(first)
    seen = call(court, **other)
    assert (seen.code or "passed") == ("passed" if same else refused)
    approval = court.row(Approval, first)
    assert approval is not None
    assert approval.state == ("used" if same else "approved")


@pytest.mark.parametrize("change", ["the definition", "the configuration"])
def test_an_approval_ends_with_what_the_tool_was_when_it_was_given(court: Court, change: str) -> None:
    court.hold_rule("all")
    first = held(call(court)).approval_id
    court.decide(first)
    if change == "the definition":
        redefine(court, "another")
    else:
        move(court, config_digest="elsewhere")
    assert held(call(court)).approval_id != first


def test_a_configuration_that_says_the_same_leaves_an_approval_alone(court: Court) -> None:
    court.hold_rule("all")
    court.decide(held(call(court)).approval_id)
    move(court)
    assert call(court).allowed


def test_a_tool_is_destructive_unless_its_pinned_definition_says_otherwise(court: Court) -> None:
    court.hold_rule("destructive")
    assert call(court, harmless_sha256="hash-of-buy").allowed
    held(call(court))
    held(call(court, harmless_sha256="hash-of-sell"))
    redefine(court, "another")
    held(call(court, harmless_sha256="hash-of-buy"))
    assert call(court, harmless_sha256="another").allowed


def test_an_amount_that_cannot_be_read_is_over_any_threshold(court: Court) -> None:
    court.session("free", "execute", "spend")
    court.hold_rule("spend_over", threshold_micros=10)
    assert court.admit("free", charge=Charge(10)).allowed
    assert court.admit("free", charge=Charge(11), details_digest="sealed").code == "approval_required"
    assert court.admit("free", charge=Charge(fault="no number"), details_digest="sealed").code == "approval_required"


def test_what_is_refused_anyway_is_not_held(court: Court) -> None:
    court.hold_rule("all")
    refused = [
        call(court, micros=101),
        call(court, tool="none"),
        call(court, judgement=Judgement(0, "pol_1", "No.")),
        call(court, fault=("secret_reference", "A reference.")),
    ]
    assert [each.code for each in refused] == ["budget_exceeded", "tool_not_found", "policy_denied", "secret_reference"]
    assert court.rows(Approval) == []


def test_where_there_never_were_rules_they_can_be_changed_and_people_asked_all_the_same(court: Court) -> None:
    removed = court.apply(RemoveApprovalRule(op_id=court.op(), rule_id="none"))
    assert removed.code == "approval_rule_not_found"
    request = RequestApproval(op_id=court.op(), approval_id="apr_1", session_id="s", tool="mail", action="send")
    asked = court.apply(request)
    assert court.entry(asked)[1].about == Subject("s", "agent-of-s", "", "mail")
    assert court.decide("apr_1", by=court.key("k")).allowed
    unknown = court.apply(RequestApproval(op_id=court.op(), approval_id="apr_2", session_id="none", tool="mail"))
    assert court.entry(unknown)[1].about == Subject("none", "", "", "mail")
    assert court.apply(SetFourEyes(op_id=court.op(), four_eyes=True)).allowed
    assert court.rows(ApprovalRules) == [ApprovalRules(1, four_eyes=True)]


def test_an_approval_that_ran_out_takes_no_other_ones_hold_with_it(court: Court) -> None:
    court.hold_rule("all")
    first = held(call(court)).approval_id
    court.now += HELD_SECONDS * SECOND
    second = held(call(court)).approval_id
    assert second != first
    court.apply(ExpireApproval(op_id=court.op(), approval_id=first))
    assert held(call(court)) == Held(second, again=True)


@pytest.mark.parametrize(("asked", "again"), [("", "answers"), ("answers", ""), ("answers", "others")])
def test_what_comes_beside_the_arguments_is_part_of_the_call(court: Court, asked: str, again: str) -> None:
    court.hold_rule("all")
    first = held(call(court, beside_digest=asked))
    action = "tool_call_with_input" if asked else "tool_call"
    assert court.approval(first.approval_id).action == action, "the approver is told where the arguments are not all"
    assert court.decide(first.approval_id).allowed
    assert held(call(court, beside_digest=again)).approval_id != first.approval_id
    assert call(court, beside_digest=asked).allowed
