"""What an approver is shown of what waits: who asks, for whom, why it is held, and what is new about it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir
from upstreams import sample
from upstreams.serving import serving

HOUR = 3600


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """A Haldir with the upstream `sample`, where sessions with a budget have their calls over 10 held."""
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running(tmp_path_factory.mktemp("data"), dsn) as haldir:
        yield haldir


@contextmanager
def running(data: Path, dsn: str | None = None, **settings: Any) -> Iterator[Haldir]:
    """Run a Haldir in front of the sample server."""
    with serving(sample.app(json_response=True)) as url, running_haldir(data, dsn=dsn, **settings) as haldir:
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 10})
        yield haldir


def call(haldir: Haldir, session: Any, arguments: str, tool: str = "echo") -> Any:
    """Call a tool with arguments as they are written; return what was answered."""
    body = f'{{"tool": "sample.{tool}", "session_id": "{session["session_id"]}", "arguments": {arguments}}}'
    answer = haldir.post("/v1/proxy/call", body.encode())
    assert answer.status == 200, answer
    return answer.body


def held(haldir: Haldir, session: Any, arguments: str, **how: Any) -> Any:
    """Have a call held; return its approval as it is shown."""
    said = json.loads(call(haldir, session, arguments, **how)["content"][0]["text"])
    assert said["status"] == "approval_required"
    return haldir.rest("GET", f"/v1/approvals/{said['request_id']}")


def shopper(haldir: Haldir, agent: str, **members: Any) -> Any:
    return haldir.session("execute", "spend", **{"agent_id": agent, "spend_limit": 1000, **members})


def test_the_changes_to_the_agents_previous_call_of_the_tool_are_shown_exactly(haldir: Haldir) -> None:
    session = shopper(haldir, "exact")
    call(haldir, session, '{"text": "x", "amount": 2, "to": {"iban": "A", "name": "n"}, "items": [1, 2]}')
    asked = held(haldir, session, '{"text": "x", "amount": 20.0, "to": {"iban": "B"}, "items": [1, 2.0, 3]}')
    assert asked["changes"] == [
        {"pointer": "/amount", "kind": "changed", "was": 2, "now": 20.0, "cut": False},
        {"pointer": "/items/1", "kind": "changed", "was": 2, "now": 2.0, "cut": False},
        {"pointer": "/items/2", "kind": "added", "was": None, "now": 3, "cut": False},
        {"pointer": "/to/iban", "kind": "changed", "was": "A", "now": "B", "cut": False},
        {"pointer": "/to/name", "kind": "removed", "was": "n", "now": None, "cut": False},
    ]
    raw = haldir.get(f"/v1/approvals/{asked['request_id']}").raw
    assert b'"pointer":"/amount","kind":"changed","was":2,"now":20.0,' in raw
    assert b'"pointer":"/items/1","kind":"changed","was":2,"now":2.0,' in raw
    (made,) = haldir.calls("posted")[:1]
    assert (asked["compared"]["state"], asked["compared"]["more"]) == ("compared", False)
    assert asked["compared"]["call_id"] == made["call_id"]
    assert asked["compared"]["admitted_at"] < asked["created_at"]


def test_only_an_earlier_call_of_the_same_agent_and_tool_counts_in_whichever_session(haldir: Haldir) -> None:
    call(haldir, shopper(haldir, "other"), '{"text": "other agent"}')
    session = shopper(haldir, "mine")
    call(haldir, session, '{"a": 1, "b": 2}', tool="add")
    first = held(haldir, session, '{"text": "first", "amount": 11}')
    assert (first["changes"], first["compared"]["state"], first["compared"]["call_id"]) == (
        None,
        "no_previous_call",
        "",
    )
    call(haldir, session, '{"text": "cheap", "amount": 1}')
    later = held(haldir, shopper(haldir, "mine"), '{"text": "cheap", "amount": 12}')
    assert [change["pointer"] for change in later["changes"]] == ["/amount"]
    assert haldir.rest("GET", f"/v1/approvals/{first['request_id']}")["compared"]["state"] == "no_previous_call"


def test_a_released_call_is_the_previous_one_of_the_next(haldir: Haldir) -> None:
    session = shopper(haldir, "releaser")
    asked = held(haldir, session, '{"text": "same", "amount": 11}')
    haldir.rest("POST", f"/v1/approvals/{asked['request_id']}/approve")
    call(haldir, session, '{"text": "same", "amount": 11}')
    again = held(haldir, session, '{"text": "same", "amount": 11}')
    assert (again["changes"], again["compared"]["state"]) == ([], "compared")


def test_the_list_shows_of_each_what_it_shows_alone(haldir: Haldir) -> None:
    sessions = [shopper(haldir, f"lister-{number}") for number in range(3)]
    for number, session in enumerate(sessions):
        call(haldir, session, f'{{"text": "t{number}"}}')
        held(haldir, session, '{"text": "now", "amount": 11}')
        held(haldir, session, '{"text": "now", "amount": 12}')
    for query in ("", "?agent_id=lister-1", "?limit=4"):
        listed = haldir.rest("GET", f"/v1/approvals/pending{query}")["requests"]
        alone = [haldir.rest("GET", f"/v1/approvals/{each['request_id']}") for each in listed]
        timeless = [[{**each, "seconds_left": None} for each in some] for some in (listed, alone)]
        assert timeless[0] == timeless[1]
    assert {each["compared"]["state"] for each in listed} == {"compared"}


def test_what_is_gone_or_was_never_there_is_said_so(haldir: Haldir) -> None:
    session = shopper(haldir, "gone")
    call(haldir, session, '{"text": "to be erased"}')
    asked = held(haldir, session, '{"text": "now", "amount": 11}')
    made = asked["compared"]["call_id"]
    haldir.rest("DELETE", f"/v1/calls/{made}/payload")
    shown = haldir.rest("GET", f"/v1/approvals/{asked['request_id']}")
    assert (shown["changes"], shown["compared"]["state"], shown["compared"]["call_id"]) == (None, "erased", made)
    body = {"session_id": session["session_id"], "amount": 20}
    payment = haldir.post("/v1/payments/authorize", body).body["request_id"]
    assert haldir.rest("GET", f"/v1/approvals/{payment}")["compared"]["state"] == "no_call"


def test_arguments_of_more_than_256_kib_are_not_compared(haldir: Haldir) -> None:
    session = shopper(haldir, "large")
    call(haldir, session, json.dumps({"text": "x" * (1 << 18)}))
    asked = held(haldir, session, '{"text": "small", "amount": 11}')
    assert (asked["changes"], asked["compared"]["state"]) == (None, "too_large")


def test_where_no_arguments_are_kept_there_is_nothing_to_compare_with(tmp_path: Path) -> None:
    with running(tmp_path, payload_days=0) as haldir:
        session = shopper(haldir, "unkept")
        call(haldir, session, '{"text": "x"}')
        asked = held(haldir, session, '{"text": "y", "amount": 11}')
        assert (asked["details"], asked["changes"]) == ({"text": "y", "amount": 11}, None)
        assert asked["compared"]["state"] == "not_kept"


def test_an_agent_is_not_shown_what_it_called_in_other_sessions(haldir: Haldir) -> None:
    session = shopper(haldir, "curious")
    call(haldir, session, '{"text": "before"}')
    asked = held(haldir, session, '{"text": "now", "amount": 11}')
    seen = haldir.get(f"/v1/approvals/{asked['request_id']}", key=session["token"]).body
    assert (seen["changes"], seen["compared"]) == (
        None,
        {"state": "not_shown", "call_id": "", "admitted_at": None, "more": False},
    )


def test_who_asks_on_whose_behalf_and_why_it_is_held_is_shown(haldir: Haldir) -> None:
    key = haldir.rest("POST", "/v1/keys", {"name": "Night shift", "scopes": ["*"]})["key"]
    opened = {"agent_id": "boss", "scopes": ["execute", "spend"], "spend_limit": 100}
    parent = haldir.post("/v1/sessions", opened, key=key).body["session_id"]
    child = shopper(haldir, "helper", spend_limit=50, parent_session_id=parent)["session_id"]
    asked = {"session_id": child, "amount": 20}
    waiting = haldir.post("/v1/payments/authorize", asked, key=key).body["request_id"]
    shown = haldir.rest("GET", f"/v1/approvals/{waiting}")
    rule = haldir.rest("GET", "/v1/approvals/rules")["rules"][0]["rule_id"]
    reason = f"The rule {rule} (spend_over) holds this until a person approves it."
    assert shown["rule"] == {"id": rule, "kind": "spend_over", "reason": reason}
    assert (shown["asked_by"], shown["asked_by_name"]) == (f"key:{key[:12]}", "Night shift")
    assert [each["credential"] for each in shown["openers"]] == [f"key:{haldir.key[:12]}", f"key:{key[:12]}"]
    assert shown["openers"][1]["name"] == "Night shift"
    assert (shown["parents"], shown["amount"], shown["currency"]) == ([parent], 20.0, "USD")
    assert HOUR - 60 < shown["seconds_left"] <= HOUR
    haldir.post(f"/v1/approvals/{waiting}/deny", key=key)
    denied = haldir.rest("GET", f"/v1/approvals/{waiting}")
    assert (denied["decided_by_name"], denied["seconds_left"]) == ("Night shift", 0)


def test_a_session_that_asks_of_its_own_accord_is_held_by_no_rule(haldir: Haldir) -> None:
    session = shopper(haldir, "asker")
    asked = haldir.post("/v1/approvals/request", {}, key=session["token"]).body["request_id"]
    shown = haldir.rest("GET", f"/v1/approvals/{asked}")
    assert (shown["rule"], shown["asked_by_name"]) == (None, "")
