"""The bytes of an entry, which stand in logs for years: written so, and read so whatever was added since."""

import asyncio
import typing

import msgspec
import pytest

from court import START, Court
from haldir.gate.commands import RevokeSession
from haldir.journal.command import (
    ANOMALY,
    DETAILS_WANTED,
    STALE,
    SYSTEM,
    CredentialRef,
    Notice,
    Outcome,
    Record,
    Subject,
)
from haldir.journal.errors import Unstorable
from haldir.journal.witness import RolledBack, WitnessDamaged
from haldir.operations.call_commands import Charge
from haldir.operations.commands import LAWS, AnyCommand
from haldir.policy.judgement import Judgement, Pending, RateAbove
from haldir.storage.rows import BUNDLE, Entry

PAID = (
    b'{"about":{"agent_id":"agent-of-a","session_id":"a"},"allowed":true,"at":1800000000000000,"command":'
    b'{"amount_micros":2,"kind":"payment.authorize","op_id":"00000000000000000000000000000002","payment_id":"p",'
    b'"session_id":"a"},"result":{"agent_id":"agent-of-a","payment_id":"p","remaining_micros":3},"rules":1}'
)
REFUSED = (
    b'{"about":{"agent_id":"agent-of-a","session_id":"a"},"allowed":false,"at":1800000000000000,"code":'
    b'"budget_exceeded","command":{"amount_micros":4,"asked_by":{"id":"a","kind":"session"},"kind":'
    b'"payment.authorize","op_id":"00000000000000000000000000000003","payment_id":"q","session_id":"a"},"reason":'
    b'"This costs 0.000004 USD; the budget of a has 0.000003 left.","result":null,"rules":1}'
)
JUDGED = (
    b'{"about":{"agent_id":"agent-of-a","session_id":"a","tool":"buy","upstream":"shop"},"allowed":true,"at":'
    b'1800000000000000,"command":{"arguments_digest":"digest","call_id":"c","charge":{"fault":"no number"},'
    b'"deadline_ms":30000,"judgement":{"epoch":0,"pending":[{"policy_id":"p","reason":"At most 9.","when":'
    b'{"holder":"agent","max_per_minute":9,"policy_id":"p","type":"rate_above"}}]},"kind":"call.admit","op_id":'
    b'"00000000000000000000000000000004","session_id":"a","tool":"buy","upstream":"shop","upstream_version":'
    b'1800000000000000},"result":null,"rules":1}'
)
OLDEST = b'{"allowed":true,"at":7,"command":{"kind":"session.revoke","op_id":"o","session_id":"a"},"rules":1}'


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


def body(court: Court, outcome: Outcome) -> bytes:
    entry = court.row(Entry, *divmod(outcome.index, BUNDLE))
    assert entry is not None
    return entry.body


def test_an_entry_is_canonical_json_without_what_says_nothing(court: Court) -> None:
    court.session("a", "execute", "spend", limit_micros=5)
    assert body(court, court.pay("a", 2, payment_id="p")) == PAID
    assert body(court, court.pay("a", 4, payment_id="q", asked_by=CredentialRef("session", "a"))) == REFUSED


def test_what_a_call_was_judged_by_stands_in_its_entry(court: Court) -> None:

    court.session("a", "execute", "spend")
    court.upstream()
    pending = Pending("p", "At most 9.", RateAbove("p", "agent", 9))
    admitted = court.admit(
        "a", call_id="c", judgement=Judgement(0, pending=(pending,)), charge=Charge(fault="no number")
    )
    assert body(court, admitted) == JUDGED


def test_an_entry_that_says_no_more_than_it_must_is_read() -> None:
    record = msgspec.json.decode(OLDEST, type=Record)
    assert (record.at, record.rules, record.allowed, record.code, record.reason) == (7, 1, True, "", "")
    assert (record.about, bytes(record.result), record.notices) == (Subject("", "", "", ""), b"null", ())
    assert LAWS.decode(record.command) == RevokeSession(op_id="o", asked_by=SYSTEM, session_id="a")
    assert CredentialRef("system", "") == SYSTEM


def test_a_command_with_a_field_that_these_rules_do_not_know_is_not_decided_again() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field `more`"):
        LAWS.decode(b'{"kind":"session.revoke","op_id":"o","session_id":"a","more":1}')


def test_a_flagged_entry_says_anomaly() -> None:
    assert Notice("anomaly", "a", "b") == Notice(ANOMALY, "a", "b")


def test_the_log_lists_what_agents_do_unless_it_is_asked_for_all() -> None:
    listed = {str(each.__struct_config__.tag) for each in typing.get_args(AnyCommand) if each.LISTED}
    assert listed == {"action.log", "call.admit"}


def test_a_stale_command_is_told_so_and_nothing_else(court: Court) -> None:
    court.session("a", "execute")
    court.upstream()
    stale = court.admit("a", judgement=Judgement(9))
    assert (stale.index, stale.at, stale.allowed, stale.code, stale.reason, stale.stale) == (
        -1,
        START,
        False,
        "stale",
        "",
        True,
    )
    assert bytes(stale.result) == b"null"


def test_what_has_to_come_again_is_not_allowed_meanwhile() -> None:
    assert [each.allowed for each in (STALE, DETAILS_WANTED)] == [False, False]


def test_what_is_wrong_with_a_store_is_a_fault_of_the_server_and_says_which() -> None:
    told = [(each.code, each.status) for each in (Unstorable, RolledBack, WitnessDamaged)]
    assert told == [("unstorable", 500), ("rolled_back", 503), ("witness_damaged", 503)]


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ('"kind":"tenant.create","name":"","data_key_digest":"","key_prefix":"","key_sha256":"","key_name":""', {"key_scopes": ("*",)}),
        ('"kind":"session.create","session_id":"","agent_id":"","token_sha256":"","scopes":[]', {"limit_micros": None, "ttl_seconds": None, "parent_id": None}),
        ('"kind":"payment.authorize","payment_id":"","session_id":"","amount_micros":1', {"currency": "USD", "description_digest": "", "capture": True}),
        ('"kind":"payment.capture","payment_id":""', {"amount_micros": None}),
        ('"kind":"action.log","session_id":"","action":""', {"tool": "", "cost_micros": 0, "details_digest": ""}),
        ('"kind":"upstream.add","name":"","transport":"http","config_digest":""', {"operator": False, "tool_rules": ()}),
        ('"kind":"upstream.remove","name":""', {"operator": False}),
        (
            '"kind":"call.admit","call_id":"","session_id":"","upstream":"","upstream_version":0,"tool":"","arguments_digest":"","judgement":{"epoch":0},"deadline_ms":1',
            {
                "charge": Charge(0, "USD", False, ""),
                "fault": None,
                "judgement": Judgement(0, "", "", (), None),
                "harmless_sha256": "",
                "details_digest": "",
            },
        ),
        ('"kind":"call.settle","call_id":"","state":"posted"', {"result_digest": "", "error": "", "latency_ms": 0}),
        ('"kind":"call.resolve","call_id":"","state":"posted"', {"amount_micros": None}),
        ('"kind":"webhook.disable","webhook_id":1', {"reason": "asked"}),
        ('"kind":"webhook.register","name":"","events":[],"url_digest":"","secret_digest":""', {"format": "haldir", "links": False}),
        ('"kind":"webhook.trigger","event":"e"', {"webhook_id": None}),
        ('"kind":"approval.rule.add","rule_id":"","rule_kind":"all"', {"threshold_micros": 0, "tools": (), "approvers": 1, "four_eyes": False}),
        ('"kind":"approval.request","approval_id":"","session_id":""', {"tool": "", "action": "", "amount_micros": 0, "details_digest": "", "ttl_seconds": 3600}),
        ('"kind":"approval.decide","approval_id":"","verdict":"approve"', {"note_digest": "", "answers_for": ""}),
        ('"kind":"secret.reveal","name":"a"', {"session_id": "", "value_digest": ""}),
        ('"kind":"secret.store","name":"a","value_digest":"","key_version":1,"scope_required":"read","exposure":"reveal"', {"upstreams": ()}),
    ],
)  # fmt: skip
def test_a_command_without_what_was_added_since_is_read_as_it_was_meant(
    command: str, absent: dict[str, object]
) -> None:
    read = LAWS.decode(f'{{"op_id":"o",{command}}}'.encode())
    assert {name: getattr(read, name) for name in absent} == absent
    assert read.asked_by == SYSTEM


def test_no_kind_that_a_log_may_hold_was_renamed() -> None:
    kinds = {str(each.__struct_config__.tag) for each in typing.get_args(AnyCommand)}
    assert kinds >= {
        *("tenant.create", "key.create", "key.revoke", "agent.create", "agent.revoke", "agent.session"),
        *("session.create", "session.revoke", "payment.authorize", "payment.capture", "payment.void", "action.log"),
        *("upstream.add", "upstream.remove", "tools.observe", "tool.accept", "policy.add", "policy.remove"),
        *("call.admit", "call.settle", "call.lapse", "call.resolve", "anomaly.add", "anomaly.remove"),
        *("webhook.register", "webhook.remove", "webhook.enable", "webhook.disable", "webhook.rotate", "webhook.replay"),
        *("webhook.trigger", "approval.rule.add", "approval.rule.remove", "approval.four_eyes", "approval.request"),
        *("approval.decide", "approval.expire", "secret.store", "secret.delete", "secret.reveal", "vault.rotate"),
        *("vault.rewrap", "request.reserve", "request.answer", "request.release", "request.forget", "refusal.record"),
    }  # fmt: skip
