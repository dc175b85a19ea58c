"""What commands on webhooks decide, which entries are events, and how deliveries are signed."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook as Standard

from court import TENANT, Court, key_ref, told
from haldir.approvals.commands import ExpireApproval
from haldir.approvals.holds import Held
from haldir.client import WebhookVerificationError, verify_webhook_signature
from haldir.gate.commands import CreateAgent, CreateKey, CreateTenant, RevokeAgent, RevokeKey, RevokeSession
from haldir.kernel.clock import SECOND
from haldir.kernel.secret import Secret
from haldir.operations.approval_commands import RequestApproval
from haldir.proxy.commands import HealthNoted, NoteUpstreamHealth, ObserveTools, RemoveUpstream, SeenTool
from haldir.proxy.model import UpstreamHealth
from haldir.proxy.policy_commands import AddPolicy, PutPolicy, RemovePolicy, ReplacePolicies
from haldir.storage.rows import Entry
from haldir.webhooks.commands import (
    DisableWebhook,
    EnableWebhook,
    RegisterWebhook,
    RemoveWebhook,
    ReplayEvents,
    RotateWebhookSecret,
    SecretRotated,
    TriggerEvent,
    WebhookRegistered,
    WebhookSwitched,
)
from haldir.webhooks.events import EVENTS, EVENTS_PER_ENTRY, Event, events_of, first_place, index_of
from haldir.webhooks.model import Webhook, WebhookCount
from haldir.webhooks.signing import secret_from, signed_headers

UNIT = 1_000_000


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    return Court(runner)


def register(court: Court, *events: str) -> int:
    outcome = court.apply(
        RegisterWebhook(op_id=court.op(), name="n", events=events or ("all",), url_digest="u", secret_digest="s1")
    )
    assert outcome.allowed, outcome
    number: int = told(outcome, WebhookRegistered).webhook_id
    return number


def events(court: Court) -> list[Event]:
    entries = sorted(court.rows(Entry), key=lambda entry: entry.index)
    return [event for entry in entries for event in events_of(entry.index, entry.body)]


def kinds(court: Court) -> list[str]:
    return [event.kind for event in events(court)]


def test_ids_count_up_and_none_is_given_twice(court: Court) -> None:
    assert [register(court), register(court)] == [1, 2]
    assert court.apply(RemoveWebhook(op_id=court.op(), webhook_id=2)).allowed
    assert register(court) == 3
    assert court.row(WebhookCount) == WebhookCount(3, 2)
    assert [webhook.id for webhook in court.rows(Webhook)] == [1, 3]


def test_there_are_only_so_many_and_room_comes_back(court: Court) -> None:
    for _ in range(50):
        register(court)
    one_more = RegisterWebhook(op_id=court.op(), name="", events=("all",), url_digest="u", secret_digest="s")
    refused = court.apply(one_more)
    assert (refused.code, "50" in refused.reason) == ("too_many_webhooks", True)
    court.apply(RemoveWebhook(op_id=court.op(), webhook_id=7))
    assert register(court) == 51


def test_what_was_registered_stands_in_the_row(court: Court) -> None:
    op_id = court.op()
    court.apply(RegisterWebhook(op_id=op_id, name="n", events=("anomaly",), url_digest="u", secret_digest="s"))
    webhook = court.row(Webhook, 1)
    assert webhook == Webhook(1, "n", ("anomaly",), "u", "s", None, None, court.now, op_id, made_by="system:")
    assert webhook.active


def test_how_and_by_whom_a_webhook_was_made_stands_in_the_row(court: Court) -> None:
    maker = court.key("maker")
    fields: dict[str, Any] = {"name": "n", "events": ("all",), "url_digest": "u", "secret_digest": "s"}
    court.apply(RegisterWebhook(op_id=court.op(), asked_by=maker, format="slack", links=True, **fields))
    webhook = court.row(Webhook, 1)
    assert webhook is not None
    assert (webhook.format, webhook.links, webhook.made_by) == ("slack", True, "key:maker")


def test_a_rotated_secret_signs_beside_the_new_one_until_its_grace_ends(court: Court) -> None:
    register(court)
    rotate = RotateWebhookSecret(op_id=court.op(), webhook_id=1, secret_digest="s2", grace_seconds=60)
    assert told(court.apply(rotate), SecretRotated) == SecretRotated(court.now + 60 * SECOND)
    webhook = court.row(Webhook, 1)
    assert webhook is not None
    assert webhook.secret_digests(court.now) == ("s2", "s1")
    assert webhook.secret_digests(court.now + 60 * SECOND - 1) == ("s2", "s1")
    assert webhook.secret_digests(court.now + 60 * SECOND) == ("s2",)
    court.apply(RotateWebhookSecret(op_id=court.op(), webhook_id=1, secret_digest="s3", grace_seconds=60))
    webhook = court.row(Webhook, 1)
    assert webhook is not None
    assert webhook.secret_digests(court.now) == ("s3", "s2")


def test_a_webhook_is_switched_off_and_on_and_hears_from_its_enabling_on(court: Court) -> None:
    register(court)

    def switch(command: Any) -> bool:
        changed: bool = told(court.apply(command), WebhookSwitched).changed
        return changed

    assert not switch(EnableWebhook(op_id=court.op(), webhook_id=1))
    assert switch(DisableWebhook(op_id=court.op(), webhook_id=1, reason="failing"))
    webhook = court.row(Webhook, 1)
    assert webhook is not None
    assert (webhook.active, webhook.disabled_at, webhook.disabled_reason) == (False, court.now, "failing")
    assert not switch(DisableWebhook(op_id=court.op(), webhook_id=1))
    on = EnableWebhook(op_id=court.op(), webhook_id=1)
    assert switch(on)
    webhook = court.row(Webhook, 1)
    assert webhook is not None
    assert (webhook.active, webhook.disabled_reason, webhook.since_op) == (True, "", on.op_id)
    (disabled,) = events(court)
    assert (disabled.kind, disabled.fields["webhook_id"], disabled.fields["reason"]) == (
        "webhook_disabled",
        1,
        "failing",
    )


def test_what_an_unknown_or_disabled_webhook_is_asked_is_refused(court: Court) -> None:
    commands: list[Any] = [
        RemoveWebhook(op_id=court.op(), webhook_id=1),
        RotateWebhookSecret(op_id=court.op(), webhook_id=1, secret_digest="s", grace_seconds=60),
        EnableWebhook(op_id=court.op(), webhook_id=1),
        DisableWebhook(op_id=court.op(), webhook_id=1),
        TriggerEvent(op_id=court.op(), event="anomaly", webhook_id=1),
        ReplayEvents(op_id=court.op(), webhook_id=1, event_count=1),
    ]
    assert [court.apply(command).code for command in commands] == ["webhook_not_found"] * 6
    register(court)
    court.apply(DisableWebhook(op_id=court.op(), webhook_id=1))
    trigger = TriggerEvent(op_id=court.op(), event="anomaly", webhook_id=1)
    replay = ReplayEvents(op_id=court.op(), webhook_id=1, event_count=1)
    assert [court.apply(command).code for command in (trigger, replay)] == ["webhook_disabled"] * 2
    court.apply(EnableWebhook(op_id=court.op(), webhook_id=1))
    assert court.apply(ReplayEvents(op_id=court.op(), webhook_id=1, event_count=1)).allowed


def test_what_happens_is_told_and_what_was_refused_is_not(court: Court) -> None:
    court.apply(
        CreateTenant(
            op_id=court.op(), name="t", data_key_digest="d", key_prefix="k0", key_sha256="h0", key_name="first"
        )
    )
    admin = key_ref("k0")
    court.apply(CreateKey(op_id=court.op(), asked_by=admin, prefix="k1", sha256="h1", name="ci", scopes=("*",)))
    court.apply(CreateKey(op_id=court.op(), asked_by=admin, prefix="k1", sha256="h1", name="ci", scopes=("*",)))
    court.apply(RevokeKey(op_id=court.op(), asked_by=admin, prefix="k1"))
    court.apply(CreateAgent(op_id=court.op(), name="bot", sha256="h2", scopes=(), limit_micros=None, ttl_seconds=0))
    court.session("a", "spend", agent_id="bot", limit_micros=10 * UNIT)
    court.pay("a", 5 * UNIT)
    court.pay("a", 5 * UNIT)
    court.apply(RevokeSession(op_id=court.op(), session_id="a"))
    court.apply(RevokeSession(op_id=court.op(), session_id="nobody's"))
    court.apply(RevokeAgent(op_id=court.op(), name="bot"))
    court.apply(AddPolicy(op_id=court.op(), policy_id="p", policy_kind="block_tool", definition_digest="d"))
    court.apply(RemovePolicy(op_id=court.op(), policy_id="p"))
    put = (PutPolicy("p", "block_tool"),)
    court.apply(ReplacePolicies(op_id=court.op(), expected_epoch=2, definitions_digest="d", puts=put))
    court.apply(ReplacePolicies(op_id=court.op(), expected_epoch=3, definitions_digest="", removes=("p",), restores=2))
    court.apply(ReplacePolicies(op_id=court.op(), expected_epoch=4, definitions_digest=""))
    court.upstream("shop", "buy")
    court.apply(ObserveTools(op_id=court.op(), upstream="shop", tools=(SeenTool("buy", "another"),)))
    found = {event.kind: event for event in events(court)}
    assert kinds(court) == [
        "key_created",
        "key_revoked",
        "budget_threshold",
        "budget_exhausted",
        "session_revoked",
        "agent_revoked",
        *["policy_changed"] * 4,
        "upstream_quarantined",
    ]
    assert {"prefix": "k1", "name": "ci", "asked_by": "key:k0"}.items() <= found["key_created"].fields.items()
    assert found["key_revoked"].fields["prefix"] == "k1"
    assert {"session_id": "a", "agent_id": "bot"}.items() <= found["session_revoked"].fields.items()
    assert found["agent_revoked"].fields["agent_id"] == "bot"
    assert {"upstream": "shop", "tools": ["buy"]}.items() <= found["upstream_quarantined"].fields.items()
    assert found["budget_threshold"].fields["reason"] == "50 % of the budget of a is spent."
    changes = [event.fields for event in events(court) if event.kind == "policy_changed"]
    assert [(each["change"], each.get("policy_id"), each["epoch"]) for each in changes] == [
        ("added", "p", 1),
        ("removed", "p", 2),
        ("replaced", None, 3),
        ("restored", None, 4),
    ]
    assert changes[0]["policy_kind"] == "block_tool"
    assert set(kinds(court)) <= set(EVENTS)


def test_events_have_places_in_the_order_of_the_log_and_ids_of_their_own(court: Court) -> None:
    for name in "ab":
        court.session(name)
        court.apply(RevokeSession(op_id=court.op(), session_id=name))
    first, second = events(court)
    assert (first.place, second.place) == (first_place(1), first_place(3)) == (EVENTS_PER_ENTRY, 3 * EVENTS_PER_ENTRY)
    assert (index_of(first.place), index_of(second.place + EVENTS_PER_ENTRY - 1)) == (1, 3)
    assert first.id.startswith("evt_")
    assert first.id != second.id
    assert events(court) == [first, second]  # Derived again, they are the same.


def test_a_payload_is_what_published_receivers_read(court: Court) -> None:
    court.session("a", agent_id="bot")
    court.apply(RevokeSession(op_id=court.op(), session_id="a"))
    (event,) = events(court)
    assert event.payload(TENANT, "session_revoked") == {
        "event": "session_revoked",
        "event_id": event.id,
        "timestamp": court.now / SECOND,
        "source": "haldir",
        "tenant_id": TENANT,
        "entry_id": "aud_" + "1".zfill(22),
        "asked_by": "system:",
        "session_id": "a",
        "agent_id": "bot",
    }


@pytest.mark.parametrize(
    ("kind", "wanted", "name"),
    [
        ("anomaly", ("all",), "anomaly"),
        ("anomaly", ("anomaly", "flagged"), "anomaly"),
        ("anomaly", ("flagged",), "flagged"),
        ("anomaly", ("key_created",), None),
        ("key_created", ("key_created",), "key_created"),
        ("key_created", ("flagged",), None),
    ],
)
def test_an_endpoint_hears_what_it_wants_under_the_name_it_asked_for(
    kind: str, wanted: tuple[str, ...], name: str | None
) -> None:
    assert Event(0, "evt", kind, 0, {}).heard_as(1, wanted) == name


def test_a_triggered_event_is_a_test_and_can_be_for_one_endpoint_only(court: Court) -> None:
    register(court, "key_created")
    court.apply(TriggerEvent(op_id=court.op(), event="anomaly"))
    court.apply(TriggerEvent(op_id=court.op(), event="anomaly", webhook_id=1))
    to_all, to_one = events(court)
    assert (to_all.fields["test"], to_one.fields["test"]) == (True, True)
    assert (to_all.heard_as(1, ("key_created",)), to_all.heard_as(2, ("all",))) == (None, "anomaly")
    assert (to_one.heard_as(1, ("key_created",)), to_one.heard_as(2, ("all",))) == ("anomaly", None)


def test_the_health_of_an_upstream_is_told_once_each_time_it_changes(court: Court) -> None:
    court.upstream("shop")

    def note(*, healthy: bool, name: str = "shop") -> Any:
        return court.apply(NoteUpstreamHealth(op_id=court.op(), upstream=name, healthy=healthy, reason="It hangs up."))

    said = [True, False, False, True, True, False]
    assert [told(note(healthy=each), HealthNoted).changed for each in said] == [False, True, False, True, False, True]
    assert court.row(UpstreamHealth, "shop") == UpstreamHealth("shop", healthy=False, since=court.now)
    assert kinds(court) == ["upstream_unhealthy", "upstream_recovered", "upstream_unhealthy"]
    assert {"upstream": "shop", "reason": "It hangs up."}.items() <= events(court)[0].fields.items()
    assert note(healthy=False, name="none").code == "upstream_not_found"
    court.apply(RemoveUpstream(op_id=court.op(), name="shop"))
    assert court.row(UpstreamHealth, "shop") is None


def test_whatever_waits_for_a_person_is_told_with_what_is_asked_and_what_became_of_it(court: Court) -> None:
    boss, other = court.key("boss"), court.key("other")
    court.hold_rule("all", approvers=2)
    court.upstream()
    court.session("a", "*", agent_id="bot", limit_micros=50 * UNIT)
    before = len(events(court))
    held = court.pay("a", 12 * UNIT)
    assert court.pay("a", 12 * UNIT).code == "approval_required"  # Asked again, it waits as it did.
    payment = told(held, Held).approval_id
    court.decide(payment, by=boss)
    court.decide(payment, by=other)
    denied_id = told(court.admit("a", micros=3 * UNIT, details_digest="d"), Held).approval_id
    court.decide(denied_id, "deny", by=boss)
    asked = RequestApproval(op_id=court.op(), approval_id="apr_1", session_id="a", action="deploy", ttl_seconds=60)
    court.apply(asked)
    court.now += 61 * SECOND
    court.apply(ExpireApproval(op_id=court.op(), approval_id="apr_1"))
    found = [(event.kind, event.payload(TENANT, event.kind)) for event in events(court)[before:]]
    assert [(kind, payload["request_id"]) for kind, payload in found] == [
        ("approval_requested", payment),
        ("approval_decided", payment),
        ("approval_requested", denied_id),
        ("approval_decided", denied_id),
        ("approval_requested", "apr_1"),
        ("approval_expired", "apr_1"),
    ]
    first, decided, second, denied, by_itself, _ = [payload for _, payload in found]
    assert (first["amount"], first["agent_id"], first["session_id"]) == (12.0, "bot", "a")
    assert (decided["decision"], decided["reason"]) == ("approve", "key:other decided it: approved.")
    assert (second["amount"], second["upstream"], second["tool"]) == (3.0, "shop", "buy")
    assert (denied["decision"], denied["asked_by"]) == ("deny", "key:boss")
    assert (by_itself["action"], by_itself["reason"]) == ("deploy", "A session asks for it.")
    assert {kind for kind, _ in found} <= set(EVENTS)


secrets = st.binary(min_size=1).map(lambda minted: secret_from(Secret(minted.hex())))


@given(secrets, secrets, st.binary(), st.integers(1, 4))
def test_both_schemes_verify_with_either_secret_while_both_sign(
    new: Secret[str], old: Secret[str], body: bytes, attempt: int
) -> None:
    text = json.dumps({"body": body.hex()}).encode()
    at = 1_795_000_000
    headers = signed_headers("evt_1", text, at, attempt, [new, old])
    for secret in (new, old):
        verify(secret, text, headers, at)
    ours = (headers["X-Haldir-Signature"], headers["X-Haldir-Timestamp"])
    verify_webhook_signature(text, *ours, [new.reveal(), old.reveal()], now=at)
    verify_webhook_signature(text, *ours, (new if attempt % 2 else old).reveal(), now=at)


def verify(secret: Secret[str], body: bytes, headers: dict[str, str], at: int) -> None:
    """Hold the headers against the reference implementation: its clock is the wall's, so it signs instead."""
    signed = Standard(secret.reveal()).sign("evt_1", datetime.fromtimestamp(at, UTC), body.decode())
    assert signed in headers["webhook-signature"].split(" ")
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("evt_1", str(at))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"payload": b"{}"}, "not one of this body"),
        ({"signature_header": "v1,abc"}, "does not begin with"),
        ({"signature_header": "sha256=é"}, "not one of this body"),
        ({"timestamp_header": "now"}, "not a number"),
        ({"now": 1_795_000_301}, "more than 300 s"),
        ({"now": 1_794_999_699}, "more than 300 s"),
        ({"secret": "whsec_other"}, "not one of this body"),
        ({"secret": []}, "No secret"),
        ({"secret": ""}, "No secret"),
    ],
)
def test_a_receiver_believes_nothing_else(changes: dict[str, Any], why: str) -> None:
    secret = secret_from(Secret("minted"))
    body, at = b'{"event":"anomaly"}', 1_795_000_000
    headers = signed_headers("evt_1", body, at, 1, [secret])
    given: dict[str, Any] = {
        "payload": body,
        "signature_header": headers["X-Haldir-Signature"],
        "timestamp_header": headers["X-Haldir-Timestamp"],
        "secret": secret.reveal(),
        "now": at + 300,
    }
    verify_webhook_signature(**given)
    verify_webhook_signature(**{**given, "payload": body.decode(), "now": at - 300})
    with pytest.raises(WebhookVerificationError, match=why):
        verify_webhook_signature(**{**given, **changes})
