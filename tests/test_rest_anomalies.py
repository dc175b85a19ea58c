"""Anomaly rules by REST and by the command line, on SQLite and on PostgreSQL."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.commands import CliServer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


def test_a_rule_is_added_listed_flags_an_action_and_is_removed(haldir: Haldir) -> None:
    added = haldir.post("/v1/anomalies/rules", {"type": "spend_spike", "factor": 4, "at_least": 2.5})
    assert (added.status, added.body["added"], added.body["type"]) == (201, True, "spend_spike")
    spike = added.body["rule_id"]
    rate = haldir.post("/v1/anomalies/rules", {"type": "call_rate", "max_per_minute": 1, "quiet_minutes": 0})
    hours = {"type": "off_hours", "start_hour": 0, "end_hour": 23, "zone": "Asia/Tokyo", "weekdays": ["sun"]}
    night = haldir.post("/v1/anomalies/rules", hours).body["rule_id"]
    listed = haldir.get("/v1/anomalies/rules").body
    assert listed["count"] == len(listed["rules"]) == 3
    first, _, third = listed["rules"]
    created_at = first.pop("created_at")
    assert first == {"rule_id": spike, "type": "spend_spike", "factor": 4, "at_least": 2.5, "quiet_minutes": 60}
    assert created_at > 1_700_000_000
    assert {name: third[name] for name in hours} == hours
    assert "offsets" not in third
    assert haldir.delete(f"/v1/anomalies/rules/{night}").body == {"removed": True, "rule_id": night}
    session = haldir.session("read")["session_id"]
    action = {"session_id": session, "action": "looked"}
    once, twice = (haldir.post("/v1/audit", action).body for _ in range(2))
    assert (once["flagged"], once["flag_reason"]) == (False, "")
    assert (twice["flagged"], twice["flag_reason"]) == (
        True,
        "call_rate: agent:tester acted more than 1 times within a minute.",
    )
    for rule_id in (spike, rate.body["rule_id"]):
        assert haldir.delete(f"/v1/anomalies/rules/{rule_id}").status == 200
    assert haldir.post("/v1/audit", action).body["flagged"] is False


def test_a_rule_that_means_nothing_is_refused_with_its_fault(haldir: Haldir) -> None:
    answer = haldir.post("/v1/anomalies/rules", {"type": "call_rate", "max_per_minut": 3})
    assert (answer.status, answer.body["code"], answer.body["field"]) == (400, "invalid_request", "/max_per_minut")
    assert "did you mean 'max_per_minute'" in answer.body["error"]
    assert haldir.delete("/v1/anomalies/rules/anr_none").body["code"] == "anomaly_rule_not_found"


def test_who_reports_actions_may_not_change_what_is_looked_for(haldir: Haldir) -> None:
    reporter = haldir.post("/v1/keys", {"scopes": ["audit:write", "admin:read"]}).body["key"]
    assert haldir.get("/v1/anomalies/rules", key=reporter).status == 200
    refused = haldir.post("/v1/anomalies/rules", {"type": "first_use"}, key=reporter)
    assert (refused.status, refused.body["required"]) == (403, "admin:write")
    token = haldir.session()["token"]
    assert haldir.post("/v1/anomalies/rules", {"type": "first_use"}, key=token).status == 403
    assert haldir.get("/v1/anomalies/rules", key=token).status == 403


def test_rules_are_managed_from_the_command_line(tmp_path: Path) -> None:
    with CliServer(tmp_path) as server:
        added = server.answer("anomaly", "add", "off_hours", "start_hour=7", "end_hour=20", "weekdays=mon,fri")
        assert added["type"] == "off_hours"
        file = tmp_path / "rule.json"
        file.write_text(json.dumps({"type": "first_use", "learning_hours": 1}))
        assert server.answer("anomaly", "add", "--file", str(file))["type"] == "first_use"
        told = server.run("anomaly", "list").stdout
        assert "off_hours" in told
        assert 'weekdays=["mon", "fri"]' in told
        assert server.run("anomaly", "remove", added["rule_id"]).exit_code == 0
        assert server.run("anomaly", "remove", added["rule_id"]).exit_code == 4
        assert server.run("anomaly", "add", "nonsense").exit_code == 4
