"""What actions were reported to have cost: totals that are exact, whoever asks for whom."""

from collections.abc import Iterator
from typing import Any

import pytest

from haldir.operations.verbs import audit_spend
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir

SESSIONS = {"a1": "ann", "a2": "ann", "b1": "ben"}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


@pytest.fixture(scope="module")
def told(haldir: Haldir) -> dict[str, str]:
    """Sessions of two agents, by name, that reported what they spent."""
    ids = {name: haldir.session(agent_id=agent)["session_id"] for name, agent in SESSIONS.items()}
    for name, tool, cost in (
        ("a1", "mail", 0.004),
        ("a1", "mail", "0.1"),
        ("a1", "", 1),
        ("a1", "web", 0),
        ("a2", "mail", 0.2),
        ("b1", "mail", 1.5e-05),
        ("b1", "éß", 9_999_999_999_999),
    ):
        report = {"session_id": ids[name], "action": "did", "tool": tool, "cost_usd": cost}
        haldir.rest("POST", "/v1/audit", report)
    return ids


@pytest.mark.parametrize(
    ("query", "total", "count", "by_tool"),
    [
        ("session_id={a1}", 1.104, 4, {"mail": 0.104, "web": 0.0}),
        ("agent_id=ann", 1.304, 5, {"mail": 0.304, "web": 0.0}),
        ("session_id={a1}&agent_id=ann", 1.104, 4, {"mail": 0.104, "web": 0.0}),
        ("session_id={a1}&agent_id=ben", 0.0, 0, {}),
        ("session_id={b1}", 9223372036854.775807, 2, {"mail": 0.000015, "éß": 9223372036854.775807}),
        ("session_id=ses_unknown", 0.0, 0, {}),
        ("agent_id=nobody", 0.0, 0, {}),
        ("", 9223372036854.775807, 7, {"mail": 0.304015, "web": 0.0, "éß": 9223372036854.775807}),
    ],
)
def test_spend_is_told_by_session_by_agent_and_in_all(
    haldir: Haldir, told: dict[str, str], query: str, total: float, *, count: int, by_tool: dict[str, float]
) -> None:
    answer = haldir.rest("GET", f"/v1/audit/spend?{query.format(**told)}")
    assert answer == {"total_usd": total, "action_count": count, "by_tool": by_tool, "tools_left_out": False}


def test_another_tenant_has_spent_nothing(haldir: Haldir, told: dict[str, str]) -> None:
    made: Any = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body
    for query in ("", f"?session_id={told['a1']}", "?agent_id=ann"):
        assert haldir.get(f"/v1/audit/spend{query}", key=made["key"]).body["action_count"] == 0


def test_more_tools_than_an_answer_holds_still_count(haldir: Haldir, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit_spend, "TOOLS_MAX", 2)
    session = haldir.session(agent_id="busy")["session_id"]
    for tool in ("c", "a", "b"):
        haldir.rest("POST", "/v1/audit", {"session_id": session, "action": "did", "tool": tool, "cost_usd": 1})
    answer = haldir.rest("GET", f"/v1/audit/spend?session_id={session}")
    assert answer == {"total_usd": 3.0, "action_count": 3, "by_tool": {"a": 1.0, "b": 1.0}, "tools_left_out": True}
    monkeypatch.setattr(audit_spend, "TOOLS_MAX", 3)
    assert haldir.rest("GET", f"/v1/audit/spend?session_id={session}")["tools_left_out"] is False
