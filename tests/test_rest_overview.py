"""The tenant at a glance, by REST and by the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import CliServer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from upstreams import sample
from upstreams.serving import serving


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn, allow_private=True) as haldir:
        yield haldir


def test_metrics_count_what_one_tenant_has_and_did(haldir: Haldir) -> None:
    key = haldir.post("/v1/keys", {"bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]

    def post(path: str, **members: object) -> dict[str, object]:
        answer = haldir.post(path, members, key=key)
        assert answer.status < 500, answer
        body: dict[str, object] = answer.body
        return body

    sessions = [post("/v1/sessions", agent_id=name, scopes=["read"], spend_limit=10)["session_id"] for name in "aab"]
    haldir.delete(f"/v1/sessions/{sessions[2]}", key=key)
    post("/v1/secrets", name="s", value="v")
    post("/v1/payments/authorize", session_id=sessions[0], amount=2.5)
    post("/v1/payments/authorize", session_id=sessions[0], amount=1, capture=False)
    post("/v1/payments/authorize", session_id=sessions[0], amount=99)
    post("/v1/audit", session_id=sessions[1], action="looked", tool="browser", cost_usd=0.25)
    post("/v1/approvals/request", session_id=sessions[0], action="deploy")
    found = haldir.get("/v1/metrics", key=key).body
    month = found.pop("usage_this_month")
    assert found == {
        "total_api_keys": 1,
        "total_sessions": 3,
        "active_sessions": 2,
        "unique_agents": 2,
        "total_actions": 4,
        "flagged_actions": 0,
        "actions_today": 4,
        "total_spend_usd": 2.75,
        "total_secrets": 1,
        "total_payments": 1,
        "total_payment_volume_usd": 2.5,
        "pending_approvals": 1,
        "total_approvals": 1,
        "top_tools": {"browser": 1},
        "top_agents": {"a": 4},
    }
    assert month["action_count"] == 4


def test_the_overview_shows_what_is_flagged_waiting_and_wrong(haldir: Haldir) -> None:
    with serving(sample.app(json_response=True)) as url:
        added = haldir.post("/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        assert added.body["healthy"], added
    rule = haldir.post("/v1/anomalies/rules", {"type": "call_rate", "max_per_minute": 1}).body["rule_id"]
    session = haldir.session("read")["session_id"]
    for _ in range(2):
        haldir.post("/v1/audit", {"session_id": session, "action": "looked"})
    haldir.post("/v1/webhooks", {"url": "http://127.0.0.1:9/hook"})
    seen = haldir.get("/v1/admin/overview").body
    assert [entry["flag_reason"] for entry in seen["flagged"]] == [
        "call_rate: agent:tester acted more than 1 times within a minute."
    ]
    assert (seen["today"]["actions"], seen["today"]["flagged"]) == (2, 1)
    assert seen["upstreams"] == {"sample": {"healthy": True, "error": ""}}
    assert (seen["webhooks_active"], seen["webhooks_disabled"], seen["pending_approvals"]) == (1, 0, 0)
    head = haldir.get("/v1/audit/tree-head").body
    assert seen["log"] == {"entries": head["tree_size"], "root_hash": head["root_hash"]}
    haldir.delete(f"/v1/anomalies/rules/{rule}")


def test_the_command_line_shows_it(tmp_path: Path) -> None:
    with CliServer(tmp_path) as server:
        assert "approvals waiting" in server.run("overview").stdout
        assert server.answer("overview")["log"]["entries"] > 0
