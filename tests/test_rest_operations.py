"""The first operations by REST, in the shapes that published clients read, on SQLite and on PostgreSQL."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.answers import Answer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from upstreams import sample
from upstreams.serving import free_port, serving


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


@pytest.fixture(scope="module")
def upstream(haldir: Haldir) -> Iterator[str]:
    with serving(sample.app(json_response=True)) as url:
        added = haldir.post(
            "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp", "tools": {"echo": {"scope": "read"}}}
        )
        assert (added.status, added.body["healthy"]) == (201, True), added
        yield "sample"


def refused(answer: Answer, status: int, code: str) -> bool:
    """Tell whether this is that refusal, in the one shape of errors."""
    body = answer.body
    return (answer.status, body["code"], body["request_id"]) == (status, code, answer.headers["x-request-id"]) and bool(
        body["error"]
    )


def test_a_key_is_made_shown_once_listed_used_and_revoked(haldir: Haldir) -> None:
    made = haldir.post("/v1/keys", {"name": "ci", "scopes": ["audit:read", "sessions:write"]})
    assert made.status == 201
    key = made.body["key"]
    assert (key[:4], len(key), made.body["prefix"]) == ("hld_", 47, key[:12])
    assert (made.body["scopes"], made.body["tier"]) == (["audit:read", "sessions:write"], "free")
    listed = haldir.get("/v1/keys").body
    assert listed["count"] == len(listed["keys"])
    shown = next(each for each in listed["keys"] if each["prefix"] == key[:12])
    assert (shown["name"], shown["scopes"], shown["revoked"]) == ("ci", ["audit:read", "sessions:write"], False)
    assert key not in json.dumps(listed)
    assert haldir.get("/v1/audit", key=key).status == 200
    assert haldir.delete(f"/v1/keys/{key[:12]}").body == {"revoked": True, "prefix": key[:12]}
    assert refused(haldir.get("/v1/audit", key=key), 401, "unauthenticated")
    assert refused(haldir.delete(f"/v1/keys/{key[:12]}"), 404, "not_found")
    assert refused(haldir.delete("/v1/keys/zzz"), 400, "invalid_prefix")


def test_a_key_makes_no_broader_key_and_a_missing_scope_is_named(haldir: Haldir) -> None:
    narrow = haldir.post("/v1/keys", {"scopes": ["sessions:read"]}).body["key"]
    answer = haldir.post("/v1/sessions", {"agent_id": "a"}, key=narrow)
    assert refused(answer, 403, "insufficient_scope")
    assert (answer.body["required"], answer.body["granted"]) == ("sessions:write", ["sessions:read"])
    admin = haldir.post("/v1/keys", {"scopes": ["admin:write"]}).body["key"]
    assert refused(haldir.post("/v1/keys", {"scopes": ["*"]}, key=admin), 403, "insufficient_scope")
    assert haldir.post("/v1/keys", {"scopes": "admin:read"}, key=admin).status == 201
    assert refused(haldir.post("/v1/keys", {"scopes": ["nonsense"]}), 400, "invalid_scope")
    assert refused(haldir.post("/v1/keys", {"scopes": []}), 400, "invalid_scope")


def test_the_bootstrap_token_makes_a_tenant_that_sees_nothing_of_the_first(haldir: Haldir) -> None:
    made = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None)
    assert made.status == 201
    other = made.body["key"]
    session = haldir.session()
    assert refused(haldir.get(f"/v1/sessions/{session['session_id']}", key=other), 404, "not_found")
    assert haldir.get("/v1/keys", key=other).body["count"] == 1
    assert haldir.get("/v1/audit?kind=all", key=other).body["count"] == 1
    assert refused(haldir.post("/v1/keys", {"bootstrap_token": "wrong"}, key=None), 401, "unauthenticated")
    assert refused(haldir.post("/v1/keys", {}, key=None), 401, "unauthenticated")


def test_a_session_is_opened_shown_checked_and_ended(haldir: Haldir) -> None:
    before = time.time()
    opened = haldir.post(
        "/v1/sessions", {"agent_id": "bot", "scopes": ["read", "execute:sample", "spend:50"], "ttl": 60}
    )
    assert opened.status == 201
    session = opened.body
    assert (session["agent_id"], session["spend_limit"], session["ttl"]) == ("bot", 50.0, 60)
    assert set(session["scopes"]) == {"read", "execute:sample", "spend"}
    assert before + 60 - 1 < session["expires_at"] < before + 70
    assert session["token"].startswith("hst_")
    where = f"/v1/sessions/{session['session_id']}"
    shown = haldir.get(where).body
    assert (shown["is_valid"], shown["spent"], shown["remaining_budget"]) == (True, 0.0, 50.0)
    assert "token" not in shown

    def allows(scope: str) -> bool:
        checked = haldir.post(f"{where}/check", {"scope": scope})
        assert (checked.status, checked.body["scope"]) == (200, scope)
        return bool(checked.body["allowed"])

    assert [allows(scope) for scope in ("read", "execute:sample:echo", "read:x", "write", "execute")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert haldir.delete(where).body == {"revoked": True, "session_id": session["session_id"]}
    assert haldir.delete(where).status == 200
    assert refused(haldir.get(where), 404, "not_found")
    assert not allows("read")
    assert refused(haldir.delete("/v1/sessions/ses_unknown"), 404, "not_found")
    assert haldir.post("/v1/sessions/ses_unknown/check", {"scope": "read"}).body["allowed"] is False


def test_null_stands_for_absence_as_published_integrations_send_it(haldir: Haldir) -> None:
    session = haldir.session(ttl=None, spend_limit=None, scopes=None)
    assert (session["ttl"], session["scopes"], session["spend_limit"]) == (3600, ["read", "browse"], 0.0)


def test_a_session_token_acts_only_as_its_session(haldir: Haldir) -> None:
    mine, other = haldir.session(spend_limit=5), haldir.session()
    token = mine["token"]
    assert haldir.get(f"/v1/sessions/{mine['session_id']}", key=token).status == 200
    assert refused(haldir.get(f"/v1/sessions/{other['session_id']}", key=token), 404, "not_found")
    for method, path, body in (
        ("POST", "/v1/keys", {}),
        ("GET", "/v1/keys", None),
        ("POST", "/v1/agents", {"name": "x"}),
        ("POST", "/v1/proxy/upstreams", {"name": "x", "url": "https://x.example"}),
        ("POST", "/v1/proxy/policies", {"type": "block_tool", "tool": "x"}),
        ("GET", "/v1/audit", None),
    ):
        answer = haldir.ask(method, path, body, key=token)
        assert refused(answer, 403, "forbidden") or refused(answer, 403, "insufficient_scope"), (path, answer)
    haldir.delete(f"/v1/sessions/{mine['session_id']}")
    assert refused(haldir.get(f"/v1/sessions/{mine['session_id']}", key=token), 401, "unauthenticated")


def test_a_payment_is_authorized_within_the_budget_and_refused_beyond_it(haldir: Haldir) -> None:
    session_id = haldir.session(spend_limit=10, agent_id="payer")["session_id"]
    paid = haldir.post(
        "/v1/payments/authorize", b'{"session_id": "%s", "amount": 2.10, "description": "tea"}' % session_id.encode()
    )
    assert paid.status == 200
    assert paid.body["authorization_id"].startswith("auth_")
    assert (paid.body["authorized"], paid.body["amount"], paid.body["remaining_budget"]) == (True, 2.1, 7.9)
    assert (paid.body["agent_id"], paid.body["currency"], paid.body["description"]) == ("payer", "USD", "tea")
    denied = haldir.post("/v1/payments/authorize", {"session_id": session_id, "amount": 7.91})
    assert refused(denied, 403, "budget_exceeded")
    assert (denied.body["authorized"], denied.body["reason"]) == (False, denied.body["error"])
    assert haldir.get(f"/v1/sessions/{session_id}").body["remaining_budget"] == 7.9
    gone = haldir.post("/v1/payments/authorize", {"session_id": "ses_unknown", "amount": 1})
    assert refused(gone, 401, "session_not_found")
    assert gone.headers["www-authenticate"]
    broke = haldir.session()["session_id"]
    assert refused(haldir.post("/v1/payments/authorize", {"session_id": broke, "amount": 1}), 403, "spend_not_allowed")
    euros = {"session_id": session_id, "amount": 1, "currency": "EUR"}
    assert refused(haldir.post("/v1/payments/authorize", euros), 403, "currency_mismatch")


def test_an_agent_key_opens_its_own_session_and_ends_with_its_agent(haldir: Haldir) -> None:
    made = haldir.post("/v1/agents", {"name": "worker", "scopes": ["read"], "spend_limit": 3, "ttl": 600})
    assert (made.status, made.body["spend_limit"], made.body["key"][:4]) == (201, 3.0, "hla_")
    key = made.body["key"]
    logged = haldir.post("/v1/audit", {"action": "hello"}, key=key)
    assert logged.status == 201
    listed = next(each for each in haldir.get("/v1/agents").body["agents"] if each["name"] == "worker")
    assert listed["session_id"].startswith("ses_")
    entry = haldir.get(f"/v1/audit?session_id={listed['session_id']}").body["entries"][0]
    assert (entry["action"], entry["agent_id"]) == ("hello", "worker")
    assert refused(haldir.post("/v1/agents", {"name": "worker"}), 409, "exists")
    assert haldir.delete("/v1/agents/worker").body == {"revoked": True, "name": "worker"}
    assert haldir.post("/v1/audit", {"action": "hello"}, key=key).status == 401
    assert refused(haldir.delete("/v1/agents/worker"), 404, "agent_not_found")


def test_a_policy_is_added_listed_and_removed_and_a_wrong_one_refused(haldir: Haldir) -> None:
    added = haldir.post("/v1/proxy/policies", {"type": "block_tool", "tool": "rm"})
    assert (added.status, added.body["added"], added.body["type"]) == (201, True, "block_tool")
    listed = haldir.get("/v1/proxy/policies").body
    assert [(each["type"], each["tool"]) for each in listed["policies"]] == [("block_tool", "rm")]
    assert listed["count"] == 1
    removed = haldir.delete(f"/v1/proxy/policies/{added.body['policy_id']}")
    assert (removed.status, removed.body["removed"]) == (200, True)
    assert haldir.get("/v1/proxy/policies").body["count"] == 0
    assert refused(haldir.delete(f"/v1/proxy/policies/{added.body['policy_id']}"), 404, "policy_not_found")
    for wrong in ({}, {"type": "nonsense"}, {"type": "block_tool", "tol": "rm"}, {"type": "spend_limit", "max": "1"}):
        assert haldir.post("/v1/proxy/policies", wrong).status == 400, wrong


def test_a_tool_is_called_and_what_the_upstream_said_is_the_answer(haldir: Haldir, upstream: str) -> None:
    tools = {each["name"]: each for each in haldir.get("/v1/proxy/tools").body["tools"]}
    assert (tools["echo"]["upstream"], tools["echo"]["scope"], tools["add"]["scope"]) == (
        upstream,
        "read",
        "execute:sample:add",
    )
    assert tools["add"]["inputSchema"]["type"] == "object"
    session = haldir.session(scopes=["execute:sample:add"])["session_id"]
    called = haldir.post("/v1/proxy/call", {"tool": "sample.add", "arguments": {"a": 2, "b": 3}, "session_id": session})
    assert (called.status, called.body["content"][0]["text"], called.body["isError"]) == (200, "5", False)
    entry = haldir.get(f"/v1/audit?session_id={session}").body["entries"][0]
    assert (entry["action"], entry["kind"], entry["tool"], entry["upstream"], entry["allowed"]) == (
        "tool_call",
        "call.admit",
        "add",
        "sample",
        True,
    )
    call = haldir.get(f"/v1/calls/{entry['call_id']}").body
    assert (call["state"], call["tool"], call["session_id"]) == ("posted", "add", session)
    assert refused(haldir.post(f"/v1/calls/{entry['call_id']}/resolve", {"state": "void"}), 409, "call_not_open")
    assert refused(haldir.get("/v1/calls/call_unknown"), 404, "not_found")
    assert refused(haldir.post("/v1/calls/call_unknown/resolve", {"state": "void"}), 404, "call_not_found")


def test_a_refused_call_is_a_tool_result_and_an_error_at_once(haldir: Haldir, upstream: str) -> None:
    session = haldir.session(scopes=["read"])["session_id"]
    answer = haldir.post(
        "/v1/proxy/call", {"tool": f"{upstream}.add", "arguments": {"a": 2, "b": 3}, "session_id": session}
    )
    assert refused(answer, 403, "scope_missing")
    assert (answer.body["isError"], answer.body["blocked_by"]) == (True, "haldir")
    assert answer.body["hint"]
    said = json.loads(answer.body["content"][0]["text"])
    assert (said["error"], said["code"], said["blocked_by"]) == (answer.body["error"], "scope_missing", "haldir")
    unknown = haldir.post("/v1/proxy/call", {"tool": "sample.nothing", "session_id": session})
    assert (unknown.status, unknown.body["isError"]) == (403, True)
    ended = haldir.post("/v1/proxy/call", {"tool": "sample.echo", "session_id": "ses_unknown"})
    assert (ended.status, ended.body["code"]) == (401, "session_not_found")


def test_a_tool_that_fails_is_a_403_that_haldir_did_not_block(haldir: Haldir, upstream: str) -> None:
    session = haldir.session(scopes=["execute"])["session_id"]
    answer = haldir.post(
        "/v1/proxy/call", {"tool": f"{upstream}.fail", "arguments": {"reason": "no luck"}, "session_id": session}
    )
    assert (answer.status, answer.body["isError"]) == (403, True)
    assert "no luck" in answer.body["content"][0]["text"]
    assert answer.body["error"]
    assert "blocked_by" not in answer.body


def test_upstreams_are_listed_and_removed_and_one_that_is_down_is_registered_all_the_same(haldir: Haldir) -> None:
    url = f"http://127.0.0.1:{free_port()}/mcp"
    added = haldir.post("/v1/proxy/upstreams", {"name": "down", "url": url})
    assert (added.status, added.body["registered"], added.body["healthy"]) == (201, True, False)
    assert added.body["error"]
    listed = haldir.get("/v1/proxy/upstreams").body
    assert (listed["upstreams"]["down"]["url"], listed["upstreams"]["down"]["healthy"]) == (url, False)
    assert haldir.delete("/v1/proxy/upstreams/down").body == {"removed": True, "name": "down"}
    assert refused(haldir.delete("/v1/proxy/upstreams/down"), 404, "upstream_not_found")
    for bad in ("ftp://x.example", "http://169.254.169.254/latest", "not a url", ""):
        assert haldir.post("/v1/proxy/upstreams", {"name": "bad", "url": bad}).status == 400, bad


def test_every_refusal_stands_in_the_log(haldir: Haldir) -> None:
    session = haldir.session(spend_limit=1)
    haldir.post("/v1/payments/authorize", {"session_id": session["session_id"], "amount": 2})
    haldir.get("/v1/keys", key=session["token"])
    entries: list[dict[str, Any]] = haldir.get(f"/v1/audit?kind=all&session_id={session['session_id']}").body["entries"]
    assert [(entry["kind"], entry["allowed"], entry["code"]) for entry in entries] == [
        ("refusal.record", False, "insufficient_scope"),
        ("payment.authorize", False, "budget_exceeded"),
        ("session.create", True, ""),
    ]


def test_the_log_verifies_after_all_that(haldir: Haldir) -> None:
    answer = haldir.get("/v1/audit/verify")
    assert (answer.status, answer.body["verified"]) == (200, True)
    head = haldir.get("/v1/audit/tree-head").body
    assert head["tree_size"] >= answer.body["entries_checked"]


def test_an_upstream_that_is_misspelt_is_refused(haldir: Haldir) -> None:
    upstream = {"name": "web", "url": "https://tools.example/mcp"}
    misspelt = haldir.post("/v1/proxy/upstreams", {**upstream, "tools": {"do": {"prize": 1}}})
    framing = [
        haldir.post("/v1/proxy/upstreams", {**upstream, "headers": {name: "1"}})
        for name in ("Content-Length", "Host", "Transfer-Encoding", "Mcp-Session-Id")
    ]
    pointer = haldir.post(
        "/v1/proxy/upstreams", {**upstream, "tools": {"do": {"price": {"pointer": "/" + "1" * 5000}}}}
    )
    assert [answer.status for answer in (misspelt, *framing, pointer)] == [400] * 6
    assert "web" not in haldir.get("/v1/proxy/upstreams").body["upstreams"]


def test_a_token_that_names_another_session_is_refused_and_that_is_recorded(haldir: Haldir) -> None:
    mine, other = haldir.session(spend_limit=5), haldir.session(spend_limit=5)
    paid = haldir.post("/v1/payments/authorize", {"session_id": other["session_id"], "amount": 1}, key=mine["token"])
    called = haldir.post("/v1/proxy/call", {"session_id": other["session_id"], "tool": "x"}, key=mine["token"])
    assert [(answer.status, answer.body["code"]) for answer in (paid, called)] == [(401, "session_not_found")] * 2
    entries = haldir.get("/v1/audit?kind=all&limit=2").body["entries"]
    assert [(entry["kind"], entry["code"]) for entry in entries] == [
        ("call.admit", "session_not_found"),
        ("payment.authorize", "session_not_found"),
    ]


def test_a_dead_credential_fills_no_log(haldir: Haldir) -> None:
    agent = haldir.post("/v1/agents", {"name": "mayfly", "scopes": ["execute"]}).body
    haldir.delete("/v1/agents/mayfly")
    before = haldir.get("/v1/audit/tree-head").body["tree_size"]
    answers = [haldir.get("/v1/proxy/tools", key=agent["key"]) for _ in range(30)]
    assert {answer.status for answer in answers} == {401}
    assert haldir.get("/v1/audit/tree-head").body["tree_size"] == before + 10
