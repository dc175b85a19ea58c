"""Approvals by REST, in the shapes that published clients read, on SQLite and on PostgreSQL."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.answers import Answer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir

RETRIES = 50
RACES = 200
CALLERS = 16


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """A Haldir that holds every payment over 10."""
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        added = haldir.post("/v1/approvals/rules", {"type": "spend_over", "threshold": 10})
        assert (added.status, added.body["added"], added.body["type"]) == (201, True, "spend_over")
        yield haldir


@pytest.fixture
def session(haldir: Haldir) -> Any:
    return haldir.session(spend_limit=1000, agent_id="buyer")


def pay(haldir: Haldir, session: Any, amount: float = 20, key: str | None = "", **members: Any) -> Answer:
    body = {"session_id": session["session_id"], "amount": amount, **members}
    return haldir.post("/v1/payments/authorize", body, key=key)


def held(haldir: Haldir, session: Any, amount: float = 20, **members: Any) -> str:
    """Ask for a payment that is held; return the approval it waits for."""
    answer = pay(haldir, session, amount, **members)
    assert (answer.status, answer.body["code"]) == (403, "approval_required"), answer
    return str(answer.body["request_id"])


def approve(haldir: Haldir, approval_id: str, body: Any = None, **how: Any) -> Answer:
    return haldir.post(f"/v1/approvals/{approval_id}/approve", body, **how)


def deny(haldir: Haldir, approval_id: str, body: Any = None, **how: Any) -> Answer:
    return haldir.post(f"/v1/approvals/{approval_id}/deny", body, **how)


def refused(answer: Answer, status: int, code: str) -> bool:
    return (answer.status, answer.body["code"]) == (status, code)


def test_a_held_payment_says_what_it_waits_for_and_the_identical_retry_passes_once(
    haldir: Haldir, session: Any
) -> None:
    answer = pay(haldir, session, description="a chair")
    assert answer.status == 403
    said = answer.body
    assert (said["authorized"], said["code"], said["error"]) == (False, "approval_required", said["reason"])
    assert said["request_id"].startswith("apr_")
    assert (said["approval_id"], said["url"]) == (said["request_id"], f"/v1/approvals/{said['request_id']}")
    assert said["hint"]
    assert said["poll_after_seconds"] > 0
    shown = haldir.get(said["url"]).body
    assert (shown["status"], shown["amount"], shown["agent_id"]) == ("pending", 20.0, "buyer")
    assert (shown["effect"], shown["action"], shown["tool"]) == ("payment", "authorize_payment", "")
    assert (shown["details"], shown["reason"]) == ({"description": "a chair"}, said["reason"])
    assert held(haldir, session, description="a chair") == said["request_id"]
    assert approve(haldir, said["request_id"]).body == {
        "approved": True,
        "request_id": said["request_id"],
        "missing": 0,
    }
    paid = pay(haldir, session, description="a chair")
    assert (paid.status, paid.body["remaining_budget"]) == (200, 980.0)
    used = haldir.get(said["url"]).body
    assert (used["status"], used["used_by"]) == ("approved", paid.body["authorization_id"])
    assert held(haldir, session, description="a chair") != said["request_id"]


def test_a_request_named_by_its_client_passes_under_the_same_name_once_it_is_approved(
    haldir: Haldir, session: Any
) -> None:
    body = {"session_id": session["session_id"], "amount": 33}

    def named() -> Answer:
        return haldir.post("/v1/payments/authorize", body, idempotency_key=f"chair-{session['session_id']}")

    first, second = named(), named()
    assert first.body["request_id"] == second.body["request_id"]
    approve(haldir, first.body["request_id"])
    paid, again = named(), named()
    assert (paid.status, again.raw) == (200, paid.raw)
    assert haldir.get(f"/v1/sessions/{session['session_id']}").body["spent"] == 33.0


def test_another_amount_description_or_session_never_passes(haldir: Haldir, session: Any) -> None:
    approve(haldir, held(haldir, session, 20, description="this"))
    other = haldir.session(spend_limit=1000)
    waiting = {
        held(haldir, session, 20.000001, description="this"),
        held(haldir, session, 20, description="that"),
        held(haldir, other, 20, description="this"),
    }
    assert len(waiting) == 3
    assert pay(haldir, session, 20, description="this").status == 200


def at_once(count: int, ask: Callable[[int], Answer]) -> list[Answer]:
    """Ask that often, as many at a time as there are callers, all beginning together."""
    start = threading.Barrier(CALLERS)

    def caller(number: int) -> list[Answer]:
        start.wait(30)
        return [ask(each) for each in range(number, count, CALLERS)]

    with ThreadPoolExecutor(CALLERS) as pool:
        return [answer for answers in pool.map(caller, range(CALLERS)) for answer in answers]


def test_of_fifty_identical_retries_in_parallel_one_pays(haldir: Haldir, session: Any) -> None:
    approval_id = held(haldir, session)
    approve(haldir, approval_id)
    answers = at_once(RETRIES, lambda _: pay(haldir, session))
    assert sorted(answer.status for answer in answers) == [200] + [403] * (RETRIES - 1)
    waiting = {answer.body["request_id"] for answer in answers if answer.status == 403}
    assert len(waiting) == 1
    assert approval_id not in waiting
    assert haldir.get(f"/v1/sessions/{session['session_id']}").body["spent"] == 20.0
    assert haldir.get(f"/v1/payments?session_id={session['session_id']}").body["count"] == 1


def test_fifty_identical_first_requests_in_parallel_wait_for_one_approval(haldir: Haldir, session: Any) -> None:
    answers = at_once(RETRIES, lambda _: pay(haldir, session))
    assert {answer.status for answer in answers} == {403}
    assert len({answer.body["request_id"] for answer in answers}) == 1


def test_of_approve_and_deny_at_the_same_time_never_both(haldir: Haldir, session: Any) -> None:
    other = haldir.session(spend_limit=1000)  # For a session waits for so many and no more.
    waiting = [held(haldir, (session, other)[number % 2], 11 + number) for number in range(RACES)]
    decide = (approve, deny)
    answers = at_once(2 * RACES, lambda number: decide[number % 2](haldir, waiting[number // 2]))
    assert sorted(answer.status for answer in answers) == [200] * RACES + [400] * RACES
    said = [answer.body for answer in answers if answer.status == 200]
    for body in said:
        status = haldir.get(f"/v1/approvals/{body['request_id']}").body["status"]
        assert status == ("approved" if "approved" in body else "denied")
    assert len({body["request_id"] for body in said}) == RACES


def test_a_published_client_asks_decides_and_looks(haldir: Haldir, session: Any) -> None:
    asked = haldir.post(
        "/v1/approvals/request",
        {
            "session_id": session["session_id"],
            "tool": "stripe",
            "action": "refund",
            "amount": 42.5,
            "reason": "the customer is angry",
            "details": {"order": 7},
            "params": {"all": True},
            "ttl": 60,
        },
    )
    assert (asked.status, asked.body["status"]) == (201, "pending")
    assert 50 < asked.body["expires_at"] - time.time() < 61
    where = f"/v1/approvals/{asked.body['request_id']}"
    shown = haldir.get(where).body
    assert {name: shown[name] for name in ("status", "agent_id", "tool", "action", "amount", "reason")} == {
        "status": "pending",
        "agent_id": "buyer",
        "tool": "stripe",
        "action": "refund",
        "amount": 42.5,
        "reason": "the customer is angry",
    }
    assert (shown["details"], shown["params"]) == ({"order": 7}, {"all": True})
    pending = haldir.get("/v1/approvals/pending?agent_id=buyer").body
    assert pending["requests"][0] == shown
    assert pending["count"] == len(pending["requests"])
    assert haldir.get("/v1/approvals/pending?agent_id=nobody").body["requests"] == []
    denied = haldir.post(f"{where}/deny", {"reason": "no refunds"})
    assert denied.body == {"denied": True, "request_id": asked.body["request_id"]}
    decided = haldir.get(where).body
    assert (decided["status"], decided["decision_note"]) == ("denied", "no refunds")
    assert refused(haldir.post(f"{where}/approve"), 400, "approval_decided")


def test_an_empty_body_with_json_content_type_approves_as_javascript_sends_it(haldir: Haldir, session: Any) -> None:
    approval_id = held(haldir, session)
    answer = approve(haldir, approval_id, b"", content_type="application/json")
    assert (answer.status, answer.body["approved"]) == (200, True)


def test_who_decided_is_the_credential_and_a_name_in_the_body_is_a_claim(haldir: Haldir, session: Any) -> None:
    approval_id = held(haldir, session)
    approve(haldir, approval_id, {"decided_by": "alice@example.com", "note": "fine by me"})
    shown = haldir.get(f"/v1/approvals/{approval_id}").body
    assert shown["decided_by"] == f"key:{haldir.key[:12]}"
    assert (shown["claimed_by"], shown["decision_note"]) == ("alice@example.com", "fine by me")
    assert shown["decided_at"] >= shown["created_at"]


def test_words_of_people_are_sealed_and_never_stand_in_the_log(haldir: Haldir, session: Any) -> None:
    words = ("why-i-ask", "what-it-is-about", "my-own-name", "my-own-opinion", "what-i-buy")
    body = {"session_id": session["session_id"], "reason": words[0], "details": words[1]}
    approval_id = haldir.post("/v1/approvals/request", body).body["request_id"]
    deny(haldir, approval_id, {"decided_by": words[2], "note": words[3]})
    held(haldir, session, description=words[4])
    entries = json.dumps(haldir.get(f"/v1/audit?kind=all&session_id={session['session_id']}").body)
    assert "approval.decide" in entries
    assert not [word for word in words if word in entries]


@pytest.mark.parametrize(
    ("members", "seconds"), [({}, 3600), ({"ttl": 0}, 604_800), ({"expires_in_s": 90}, 90), ({"ttl": 604_800}, 604_800)]
)
def test_every_approval_expires(haldir: Haldir, session: Any, members: dict[str, int], seconds: int) -> None:
    asked = haldir.post("/v1/approvals/request", {"session_id": session["session_id"], **members}).body
    assert abs(asked["expires_at"] - time.time() - seconds) < 10


def test_what_is_asked_wrongly_is_refused_by_name(haldir: Haldir, session: Any) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"ttl": 604_801}, "ttl"),
        ({"ttl": -1}, "ttl"),
        ({"expires_in_s": 604_801}, "expires_in_s"),
        ({"amount": -1}, "amount"),
        ({"tool": "x" * 129}, "tool"),
        ({"session_id": ""}, "session_id"),
    ]
    for members, field in wrong:
        answer = haldir.post("/v1/approvals/request", {"session_id": session["session_id"], **members})
        assert (answer.status, answer.body["field"]) == (400, field), members
    large = haldir.post("/v1/approvals/request", {"session_id": session["session_id"], "details": "x" * 70_000})
    assert refused(large, 413, "payload_too_large")
    gone = haldir.post("/v1/approvals/request", {"session_id": "ses_unknown"})
    assert refused(gone, 401, "session_not_found")
    assert haldir.get("/v1/approvals/pending?limit=501").status == 400
    assert haldir.get("/v1/approvals/apr_unknown?wait=31").status == 400


def test_a_rule_that_is_none_is_refused_with_what_would_be_one(haldir: Haldir) -> None:
    bodies: list[dict[str, Any]] = [
        {"tool": "stripe", "condition": "amount > 100", "action": "require_approval"},
        {"type": "nonsense"},
        {},
    ]
    for body in bodies:
        answer = haldir.post("/v1/approvals/rules", body)
        assert (answer.status, answer.body["field"]) == (400, "type")
        assert "spend_over, tool_blocked, destructive, all" in answer.body["error"]
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"type": "tool_blocked"}, "tools"),
        ({"type": "tool_blocked", "tools": [""]}, "tools"),
        ({"type": "all", "approvers": 0}, "approvers"),
        ({"type": "all", "approvers": 11}, "approvers"),
        ({"type": "spend_over", "threshold": "ten"}, "threshold"),
    ]
    for body, field in wrong:
        answer = haldir.post("/v1/approvals/rules", body)
        assert (answer.status, answer.body["field"]) == (400, field), body


def test_rules_are_listed_and_removed(haldir: Haldir) -> None:
    before = haldir.get("/v1/approvals/rules").body
    added = haldir.post("/v1/approvals/rules", {"type": "tool_blocked", "tools": ["rm", "files.rm"], "approvers": 2})
    assert added.body["version"] == before["version"] + 1
    listed = haldir.get("/v1/approvals/rules").body
    assert listed["count"] == before["count"] + 1
    rule = listed["rules"][-1]
    assert (rule["rule_id"], rule["type"], rule["tools"]) == (added.body["rule_id"], "tool_blocked", ["rm", "files.rm"])
    assert (rule["approvers"], rule["four_eyes"], rule["created_by"]) == (2, False, f"key:{haldir.key[:12]}")
    where = f"/v1/approvals/rules/{rule['rule_id']}"
    assert haldir.delete(where).body["removed"] is True
    assert refused(haldir.delete(where), 404, "approval_rule_not_found")
    assert haldir.get("/v1/approvals/rules").body["count"] == before["count"]


def test_what_other_rules_made_worthless_is_not_decided_and_says_what_to_do(haldir: Haldir, session: Any) -> None:
    approval_id = held(haldir, session)
    rule = haldir.post("/v1/approvals/rules", {"type": "spend_over", "threshold": 900}).body["rule_id"]
    for answer in (approve(haldir, approval_id), deny(haldir, approval_id)):
        assert refused(answer, 409, "approval_outdated")
        assert "rules changed" in answer.body["error"]
        assert "sent again" in answer.body["hint"]
    assert haldir.get(f"/v1/approvals/{approval_id}").body["status"] == "pending"
    entries = haldir.get("/v1/audit?kind=approval.decide&limit=2").body["entries"]
    assert [entry["code"] for entry in entries] == ["approval_outdated"] * 2
    again = held(haldir, session)
    assert again != approval_id
    assert approve(haldir, again).status == 200
    assert pay(haldir, session).status == 200
    haldir.delete(f"/v1/approvals/rules/{rule}")


def test_unknown_decided_and_foreign_approvals_are_what_published_clients_expect(haldir: Haldir, session: Any) -> None:
    assert refused(haldir.get("/v1/approvals/apr_unknown"), 404, "not_found")
    for decide in (approve, deny):
        assert refused(decide(haldir, "apr_unknown"), 400, "approval_not_found")
    approval_id = held(haldir, session)
    other = haldir.session()
    assert refused(haldir.get(f"/v1/approvals/{approval_id}", key=other["token"]), 404, "not_found")
    assert haldir.get(f"/v1/approvals/{approval_id}", key=session["token"]).status == 200


def test_least_privilege(haldir: Haldir, session: Any) -> None:
    approval_id = held(haldir, session)
    token = session["token"]
    agent = haldir.post("/v1/agents", {"name": f"agent-{approval_id[-8:]}", "scopes": ["*"]}).body["key"]

    def key(*scopes: str) -> str:
        return str(haldir.post("/v1/keys", {"scopes": list(scopes)}).body["key"])

    reader, asker = key("approvals:read", "payments:write"), key("approvals:request")
    for who in (token, agent, reader, asker):
        answers = [approve(haldir, approval_id, key=who), deny(haldir, approval_id, key=who)]
        answers.append(haldir.post("/v1/approvals/rules", {"type": "all"}, key=who))
        answers.append(haldir.delete("/v1/approvals/rules/x", key=who))
        answers.append(haldir.ask("PUT", "/v1/approvals/settings", {"four_eyes": True}, key=who))
        answers.append(haldir.post("/v1/proxy/policies", {"type": "block_tool", "tool": "any"}, key=who))
        answers.append(haldir.delete("/v1/proxy/policies/x", key=who))
        assert {answer.status for answer in answers} == {403}
    assert haldir.get(f"/v1/approvals/{approval_id}").body["status"] == "pending"
    ask = {"session_id": session["session_id"]}
    assert [haldir.post("/v1/approvals/request", ask, key=who).status for who in (token, asker)] == [201, 201]
    assert haldir.post("/v1/approvals/request", {}, key=token).status == 201
    assert haldir.post("/v1/approvals/request", {}, key=agent).status == 201
    other = {"session_id": haldir.session()["session_id"]}
    assert refused(haldir.post("/v1/approvals/request", other, key=token), 401, "session_not_found")
    assert refused(haldir.post("/v1/approvals/request", ask, key=reader), 403, "insufficient_scope")
    writer = key("approvals:write")
    assert haldir.post("/v1/approvals/request", ask, key=writer).status == 201
    assert refused(
        haldir.ask("PUT", "/v1/approvals/settings", {"four_eyes": True}, key=writer), 403, "insufficient_scope"
    )
    assert approve(haldir, approval_id, key=writer).status == 200


def test_with_four_eyes_on_the_key_that_opened_the_session_cannot_approve(haldir: Haldir, session: Any) -> None:
    other = haldir.post("/v1/keys", {"scopes": ["approvals:write"]}).body["key"]
    on = haldir.ask("PUT", "/v1/approvals/settings", {"four_eyes": True}).body
    assert on["four_eyes"] is haldir.get("/v1/approvals/rules").body["four_eyes"] is True
    try:
        approval_id = held(haldir, session, key=session["token"])
        answer = approve(haldir, approval_id)
        assert refused(answer, 403, "four_eyes")
        assert answer.body["hint"]
        assert approve(haldir, approval_id, key=other).status == 200
        agent = haldir.post("/v1/agents", {"name": f"agent-{approval_id[-8:]}", "scopes": ["*"]}).body["key"]
        asked = haldir.post("/v1/approvals/request", {"action": "go"}, key=agent).body["request_id"]
        assert refused(approve(haldir, asked), 403, "four_eyes")
        assert approve(haldir, asked, key=other).status == 200
    finally:
        assert haldir.ask("PUT", "/v1/approvals/settings", {"four_eyes": False}).status == 200
    assert approve(haldir, held(haldir, session)).status == 200


def test_two_of_two_must_approve(haldir: Haldir, session: Any) -> None:
    rule = haldir.post("/v1/approvals/rules", {"type": "spend_over", "threshold": 500, "approvers": 2}).body["rule_id"]
    other = haldir.post("/v1/keys", {"scopes": ["approvals:write"]}).body["key"]
    try:
        approval_id = held(haldir, session, 501)
        assert approve(haldir, approval_id, {"note": "one"}).body["missing"] == 1
        assert refused(approve(haldir, approval_id), 400, "approval_decided")
        assert held(haldir, session, 501) == approval_id
        assert approve(haldir, approval_id, {"note": "two"}, key=other).body["approved"] is True
        shown = haldir.get(f"/v1/approvals/{approval_id}").body
        assert [(vote["approved_by"], vote["note"]) for vote in shown["votes"]] == [
            (f"key:{haldir.key[:12]}", "one"),
            (f"key:{other[:12]}", "two"),
        ]
        assert pay(haldir, session, 501).status == 200
    finally:
        haldir.delete(f"/v1/approvals/rules/{rule}")


def test_pending_ones_come_newest_first_page_by_page(haldir: Haldir) -> None:
    session = haldir.session(agent_id="pager", spend_limit=1000)
    made = [held(haldir, session, 11 + number) for number in range(3)]
    approve(haldir, made.pop())
    made.append(held(haldir, session, 99))
    found: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = haldir.get(f"/v1/approvals/pending?agent_id=pager&limit=2&cursor={cursor}").body
        found += [each["request_id"] for each in page["requests"]]
        cursor = page["next_cursor"]
    assert found == made[::-1]


def test_waiting_for_a_decision_ends_when_it_comes(haldir: Haldir, session: Any) -> None:
    approval_id = held(haldir, session)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        waiting = pool.submit(haldir.get, f"/v1/approvals/{approval_id}?wait=30", key=session["token"])
        approve(haldir, approval_id)
        assert waiting.result(30).body["status"] == "approved"
        assert time.monotonic() - began < 20


def test_waiting_for_what_nobody_decides_ends_in_time(haldir: Haldir, session: Any) -> None:
    began = time.monotonic()
    assert haldir.get(f"/v1/approvals/{held(haldir, session)}?wait=1").body["status"] == "pending"
    assert 1 <= time.monotonic() - began < 20


def test_who_waits_with_a_credential_that_ends_meanwhile_learns_nothing(haldir: Haldir, session: Any) -> None:
    key = haldir.post("/v1/keys", {"scopes": ["approvals:read"]}).body["key"]
    approval_id = held(haldir, session)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(haldir.get, f"/v1/approvals/{approval_id}?wait=2", key=key)
        haldir.delete(f"/v1/keys/{key[:12]}")
        assert waiting.result(30).status == 401


def test_the_log_verifies_after_all_that(haldir: Haldir) -> None:
    assert haldir.get("/v1/audit/verify").body["verified"] is True
