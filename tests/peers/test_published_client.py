"""The published client 0.4.2, unmodified, does with Haldir what people use it for: by both its doors, on both engines."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir
from peers.published import Published, Refused
from receiver import receiving

AUTH, PERMISSION, NOT_FOUND = "HaldirAuthError", "HaldirPermissionError", "HaldirNotFoundError"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn, allow_private=True) as haldir:
        yield haldir


@pytest.fixture(params=["sync", "async"])
def client(request: pytest.FixtureRequest, haldir: Haldir) -> Iterator[Published]:
    with Published(haldir, request.param) as client:
        yield client


def test_every_call_works(client: Published) -> None:
    opened = client("create_session", "buyer", scopes=["read", "spend:50"], ttl=600)
    session = opened["session_id"]
    assert (opened["scopes"], opened["spend_limit"], opened["ttl"]) == (["read", "spend"], 50.0, 600)
    assert opened["expires_at"] == pytest.approx(time.time() + 600, abs=60)

    allowed = [client("check_permission", session, scope)["allowed"] for scope in ("read", "spend", "write")]
    assert allowed == [True, True, False]

    assert client("store_secret", "STRIPE", "sk_live", scope_required="read")["stored"] is True
    assert client("get_secret", "STRIPE", session_id=session)["value"] == "sk_live"
    assert client("list_secrets")["secrets"] == ["STRIPE"]
    assert client("delete_secret", "STRIPE")["deleted"] is True

    paid = client("authorize_payment", session, 29.99, description="a book")
    assert (paid["authorized"], paid["amount"], paid["remaining_budget"]) == (True, 29.99, 20.01)
    seen = client("get_session", session)
    assert (seen["agent_id"], seen["spent"], seen["remaining_budget"], seen["is_valid"]) == (
        "buyer",
        29.99,
        20.01,
        True,
    )

    logged = client("log_action", session, "browser", "look", 0.004, {"page": 1})
    assert (logged["logged"], logged["flagged"]) == (True, False)
    trail = client("get_audit_trail", session_id=session, agent_id="buyer", tool="browser", limit=5)
    (entry,) = trail["entries"]
    assert (trail["count"], entry["entry_id"], entry["cost_usd"]) == (1, logged["entry_id"], 0.004)
    assert client("get_audit_trail", flagged_only=True)["entries"] == []
    spent = client("get_spend", session_id=session)
    assert (spent["total_usd"], spent["by_tool"]) == (0.004, {"browser": 0.004})

    head = client("get_tree_head")
    assert client("get_inclusion_proof", logged["entry_id"])["leaf_hash"] == entry["entry_hash"]
    assert client("get_consistency_proof", 1, head["tree_size"])["second_root"] == head["root_hash"]

    assert client("revoke_session", session)["revoked"] is True
    client("close")
    assert client.called == client.names


def test_what_is_left_out_is_as_it_was_published(client: Published) -> None:
    opened = client("create_session", "plain")
    assert (opened["scopes"], opened["ttl"], opened["delegation_depth"]) == (["read", "browse"], 3600, 0)
    assert client("create_session", "thrifty", ["spend:50"], spend_limit=5)["spend_limit"] == 5.0
    assert client("get_spend", agent_id="thrifty")["total_usd"] == 0.0
    assert client("log_action", opened["session_id"], action="look")["logged"] is True


def test_what_fails_is_raised_as_what_it_is(client: Published) -> None:
    session = client("create_session", "refused", ["browse", "spend:50"])["session_id"]
    client("store_secret", "GUARDED", "value", "admin")
    client("store_secret", "GONE", "value")
    client("delete_secret", "GONE")
    poor = Refused(PERMISSION, 403, "budget_exceeded")
    assert client.refused("authorize_payment", session, 50.01) == poor
    assert client("get_session", session)["remaining_budget"] == 50.0
    assert client.refused("authorize_payment", session, 0) == Refused("HaldirAPIError", 400, "invalid_request")
    assert client.refused("get_secret", "GUARDED", session)[:2] == (PERMISSION, 403)
    assert client.refused("get_secret", "GONE", session) == Refused(NOT_FOUND, 404, "secret_not_found")
    assert client.refused("get_secret", "GONE") == Refused(NOT_FOUND, 404, "secret_not_found")
    assert client.refused("delete_secret", "GONE")[:2] == (NOT_FOUND, 404)
    assert client.refused("get_inclusion_proof", "aud_none")[:2] == (NOT_FOUND, 404)
    assert client.refused("get_consistency_proof", 9, 3) == Refused("HaldirAPIError", 400, "invalid_range")
    assert client.refused("create_session", "") == Refused("HaldirAPIError", 400, "invalid_request")


def test_one_full_key_asks_approves_and_pays_once(haldir: Haldir, client: Published) -> None:
    rule = haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 1000})["rule_id"]
    session = client("create_session", f"approver-{rule}", ["spend:5000"])["session_id"]
    asked = ("authorize_payment", session, 1500)
    held = Refused(PERMISSION, 403, "approval_required")
    assert client.refused(*asked) == held
    pending = haldir.rest("GET", f"/v1/approvals/pending?agent_id=approver-{rule}")
    assert (pending["count"], pending["requests"][0]["amount"]) == (1, 1500.0)
    approve_as_published(haldir, pending["requests"][0]["request_id"])
    paid = client(*asked)
    assert (paid["authorized"], paid["remaining_budget"]) == (True, 3500.0)
    assert client.refused(*asked) == held
    haldir.rest("DELETE", f"/v1/approvals/rules/{rule}")


def approve_as_published(haldir: Haldir, approval_id: str) -> None:
    """Approve with the key that asked, as the published JavaScript client does: with an empty body that is JSON."""
    answer = haldir.post(f"/v1/approvals/{approval_id}/approve", b"", content_type="application/json")
    assert (answer.status, answer.body["approved"]) == (200, True)


@pytest.mark.parametrize("why", ["unknown", "revoked"])
def test_a_session_that_is_not_there_is_raised_as_it_was_published(client: Published, why: str) -> None:
    session = "ses_none"
    if why == "revoked":
        session = client("create_session", "gone", ["read", "spend"])["session_id"]
        client("revoke_session", session)
        assert client("revoke_session", session)["revoked"] is True
    else:
        assert client.refused("revoke_session", session)[:2] == (NOT_FOUND, 404)
    client("store_secret", "KEPT", "value")
    assert client.refused("get_session", session)[:2] == (NOT_FOUND, 404)
    assert client("check_permission", session, "read")["allowed"] is False
    assert client.refused("get_secret", "KEPT", session)[:2] == (AUTH, 401)
    assert client.refused("authorize_payment", session, 1)[:2] == (AUTH, 401)
    assert client.refused("log_action", session, "tool", "look")[:2] == (AUTH, 401)
    client("delete_secret", "KEPT")


@pytest.mark.parametrize("door", ["sync", "async"])
def test_a_key_does_what_it_may_and_no_more(haldir: Haldir, door: str) -> None:
    auditor = haldir.rest("POST", "/v1/keys", {"name": "auditor", "scopes": ["audit:read"]})["key"]
    with Published(haldir, door, auditor) as client:
        assert client("get_tree_head")["tree_size"] > 0
        assert client.refused("list_secrets") == Refused(PERMISSION, 403, "insufficient_scope")
        assert client.refused("create_session", "agent") == Refused(PERMISSION, 403, "insufficient_scope")
    with Published(haldir, door, "hld_wrong") as client:
        assert client.refused("get_tree_head") == Refused(AUTH, 401, "unauthenticated")


def test_its_verifiers_believe_our_proofs_and_no_other(client: Published) -> None:
    session = client("create_session", "proven")["session_id"]
    first = client("get_tree_head")
    logged = client("log_action", session, "tool", "look")
    for _ in range(5):
        client("log_action", session, "tool", "look")
    proof, later = client("get_inclusion_proof", logged["entry_id"]), client("get_tree_head")
    grown = client("get_consistency_proof", first["tree_size"], later["tree_size"])
    same = client("get_consistency_proof", later["tree_size"], later["tree_size"])
    assert (grown["first_root"], grown["second_root"]) == (first["root_hash"], later["root_hash"])
    assert client("verify_inclusion_proof", proof) is True
    assert [client("verify_consistency_proof", each) for each in (grown, same)] == [True, True]
    assert [client("verify_sth", head) for head in (first, later, proof["sth"])] == [True, True, True]
    assert client("verify_inclusion_proof", proof | {"leaf_hash": first["root_hash"]}) is False
    assert client("verify_consistency_proof", grown | {"first_root": later["root_hash"]}) is False
    assert client("verify_sth", later | {"root_hash": first["root_hash"]}) is False


def test_its_verifier_takes_our_webhooks_and_no_others(haldir: Haldir) -> None:
    with receiving() as receiver, Published(haldir) as client:
        registered = haldir.rest("POST", "/v1/webhooks", {"url": receiver.url, "events": ["budget_exhausted"]})
        session = client("create_session", "spender", ["spend:10"])["session_id"]
        client("authorize_payment", session, 10)
        receiver.wait_for(1)
        delivery, secret = receiver.came[0], registered["secret"]
        assert (delivery.body["event"], delivery.body["source"]) == ("budget_exhausted", "haldir")
        signed = signature(delivery.headers)
        assert client("verify_webhook_signature", delivery.raw.decode(), *signed, secret) is None
        assert client("verify_webhook_signature", delivery.raw.decode(), *signed, ["whsec_other", secret]) is None
        forged = client.refused("verify_webhook_signature", delivery.raw.decode() + " ", *signed, secret)
        assert forged == Refused("WebhookVerificationError")
        rotated = haldir.rest("POST", f"/v1/webhooks/{registered['webhook_id']}/rotate-secret", {"grace_seconds": 60})
        haldir.rest("POST", "/v1/webhooks/trigger", {"event": "anomaly", "webhook_id": registered["webhook_id"]})
        receiver.wait_for(2)
        told = receiver.came[1]
        both = [rotated["secret"], rotated["secret_prev"]]
        assert client("verify_webhook_signature", told.raw.decode(), *signature(told.headers), both) is None
        haldir.rest("DELETE", f"/v1/webhooks/{registered['webhook_id']}")


def signature(headers: dict[str, Any]) -> tuple[str, str]:
    return headers["x-haldir-signature"], headers["x-haldir-timestamp"]
