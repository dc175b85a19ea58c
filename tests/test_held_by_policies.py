"""Rules and required approvals end to end: what a caller reads by REST and by MCP, and what the log keeps."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from harness.answers import Answer
from harness.databases import dsn_of
from harness.haldir import Haldir
from harness.sampled import haldir_with_sample


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """A Haldir with the upstream `sample` and no approval rules."""
    with haldir_with_sample(tmp_path_factory.mktemp("data"), dsn_of(request)) as haldir:
        yield haldir


@pytest.fixture
def standing(haldir: Haldir) -> Iterator[Any]:
    """Add policies that are removed again after the test."""
    added: list[str] = []

    def add(**definition: Any) -> Any:
        answer = haldir.post("/v1/proxy/policies", definition)
        assert answer.status == 201, answer
        added.append(answer.body["policy_id"])
        return answer.body

    yield add
    for policy_id in added:
        haldir.rest("DELETE", f"/v1/proxy/policies/{policy_id}")


def call(haldir: Haldir, session: Any, a: Any = 2) -> Answer:
    body = {"tool": "sample.add", "arguments": {"a": a, "b": 3}, "session_id": session["session_id"]}
    return haldir.post("/v1/proxy/call", body)


def said(answer: Answer) -> Any:
    return json.loads(answer.body["content"][0]["text"])


def test_what_a_rule_holds_names_the_rule_and_passes_once_when_it_is_approved(haldir: Haldir, standing: Any) -> None:
    when = {"all": [{"tool": "sample.add"}, {"argument": "/a", "gt": 10}, {"agent": "add*"}]}
    rule = standing(type="rule", effect="hold", reason="Large sums need a person.", when=when)
    session, other = haldir.session("execute", agent_id="adder"), haldir.session("execute", agent_id="other")
    assert call(haldir, session, 10).body["content"][0]["text"] == "13"
    assert call(haldir, other, 11).body["content"][0]["text"] == "14"
    held = call(haldir, session, 11)
    assert (held.status, held.body["isError"], said(held)["status"]) == (200, False, "approval_required")
    reason = f"Policy {rule['policy_id']} (rule) holds this until it is approved: Large sums need a person."
    assert said(held)["reason"] == reason
    shown = haldir.get(said(held)["url"]).body
    assert (shown["rule_id"], shown["reason"], shown["details"]) == (rule["policy_id"], reason, {"a": 11, "b": 3})
    haldir.rest("POST", f"{said(held)['url']}/approve")
    assert call(haldir, session, 11).body["content"][0]["text"] == "14"
    assert said(call(haldir, session, 11))["approval_id"] != said(held)["approval_id"]


def test_the_reason_of_a_rule_is_read_by_whoever_it_refuses(haldir: Haldir, standing: Any) -> None:
    rule = standing(type="rule", effect="deny", reason="Not in these days.", when={"argument": "/a", "in": [7]})
    session = haldir.session("execute")
    reason = f"Policy {rule['policy_id']} (rule) denies this: Not in these days."
    refused = call(haldir, session, 7)
    assert (refused.status, refused.body["code"]) == (403, "policy_denied")
    assert reason in json.dumps(refused.body)
    params = {"name": "add", "arguments": {"a": 7, "b": 3}}
    by_mcp = haldir.ask_modern("/mcp/sample", "tools/call", params, session["token"]).message["result"]
    assert by_mcp["isError"]
    assert reason in json.dumps(by_mcp)
    assert call(haldir, session, "7").body["code"] == "policy_denied"
    assert call(haldir, session, 8).body["content"][0]["text"] == "11"


def test_calls_and_spend_within_a_window_are_counted_by_the_journal(haldir: Haldir, standing: Any) -> None:
    window = {"per": "session", "within_seconds": 3600, "tools": ["sample.add"]}
    standing(type="rule", effect="deny", reason="Enough.", when={"any": [{"calls": window, "gt": 2}, {"tool": "none"}]})
    session = haldir.session("execute")
    assert [call(haldir, session).status for _ in range(3)] == [200, 200, 403]
    assert call(haldir, haldir.session("execute")).status == 200


def test_an_approval_is_required_without_any_approval_rule(haldir: Haldir, standing: Any) -> None:
    standing(type="require_approval", tools=["sample.add"], agents=["careful"], approvers=1)
    held = call(haldir, haldir.session("execute", agent_id="careful"))
    assert said(held)["status"] == "approval_required"
    assert call(haldir, haldir.session("execute", agent_id="bold")).body["content"][0]["text"] == "5"


def test_what_a_policy_in_shadow_mode_would_have_done_is_read_in_the_audit_trail(haldir: Haldir, standing: Any) -> None:
    shadow = standing(type="block_tool", tool="sample.add", mode="shadow")
    named = standing(type="rule", effect="allow", reason="Sums are fine.", when={"tool": "sample.*"})
    assert [each["pointer"] for each in named["warnings"]] == ["/effect"]
    session = haldir.session("execute")
    assert call(haldir, session).body["content"][0]["text"] == "5"
    (entry,) = haldir.get(f"/v1/audit?session_id={session['session_id']}").body["entries"]
    assert entry["remarks"] == [
        f"In shadow mode: Policy {shadow['policy_id']} (block_tool) blocks the tool 'add'.",
        f"Policy {named['policy_id']} (rule) allows this: Sums are fine.",
    ]
    (listed,) = [
        each for each in haldir.get("/v1/proxy/policies").body["policies"] if each["policy_id"] == shadow["policy_id"]
    ]
    assert (listed["mode"], listed["tool"]) == ("shadow", "sample.add")


def test_a_tool_that_an_upstream_does_not_have_is_refused_and_one_that_nobody_has_is_odd(
    haldir: Haldir, standing: Any
) -> None:
    refused = haldir.post("/v1/proxy/policies", {"type": "deny_list", "tools": ["wipe", "sample.ad"]})
    assert (refused.status, refused.body["code"], refused.body["field"]) == (400, "invalid_policy", "/tools/1")
    added = standing(type="deny_list", tools=["sample.add", "wipe"])
    assert [each["pointer"] for each in added["warnings"]] == ["/tools/1"]
