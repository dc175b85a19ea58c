"""What was done in a month, and whether Haldir does its work, by REST and by the command line."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from harness.commands import CliServer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir

MONTH = "2027-03"
SECOND = 1_000_000


class Calendar:
    """A clock that a test sets."""

    def __init__(self, text: str) -> None:
        self.set(text)

    def set(self, text: str) -> None:
        self.now = int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND

    def __call__(self) -> int:
        return self.now


@pytest.fixture(params=["sqlite", "postgres"])
def calendar_and_haldir(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Calendar, Haldir]]:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    calendar = Calendar("2027-02-28T12:00:00")
    with running_haldir(tmp_path, dsn=dsn, clock=calendar) as haldir:
        yield calendar, haldir


def test_usage_counts_a_months_days_with_refusals_flags_and_money(
    calendar_and_haldir: tuple[Calendar, Haldir],
) -> None:
    calendar, haldir = calendar_and_haldir
    session = haldir.session("read", "spend", ttl=0, spend_limit=10)["session_id"]
    haldir.post("/v1/anomalies/rules", {"type": "call_rate", "max_per_minute": 2})
    report = {"session_id": session, "action": "looked", "cost_usd": 0.000001}

    def pay(amount: float) -> int:
        return haldir.post("/v1/payments/authorize", {"session_id": session, "amount": amount}).status

    haldir.post("/v1/audit", report)
    calendar.set("2027-03-01T00:00:00")
    assert (pay(2.5), pay(100)) == (200, 403)
    haldir.post("/v1/audit", report)
    calendar.set("2027-03-31T23:59:59")
    haldir.post("/v1/audit", report)
    calendar.set("2027-04-01T00:00:00")
    haldir.post("/v1/audit", report)
    used = haldir.get(f"/v1/usage?month={MONTH}").body
    assert used.pop("tenant_id")
    assert used == {
        "month": MONTH,
        "action_count": 4,
        "refused_count": 1,
        "flagged_count": 1,
        "spent_usd": 2.500002,
        "days": [
            {"day": "2027-03-01", "action_count": 3, "refused_count": 1, "flagged_count": 1, "spent_usd": 2.500001},
            {"day": "2027-03-31", "action_count": 1, "refused_count": 0, "flagged_count": 0, "spent_usd": 0.000001},
        ],
    }
    assert haldir.get("/v1/usage").body["month"] == "2027-04"
    assert haldir.get("/v1/usage?month=2027-12").body["days"] == []
    for wrong in ("2027-13", "2027-3", "0000-01", "march"):
        assert haldir.get(f"/v1/usage?month={wrong}").body["field"] == "month"


def test_status_needs_no_key_and_says_what_answers(calendar_and_haldir: tuple[Calendar, Haldir]) -> None:
    _, haldir = calendar_and_haldir
    told = haldir.get("/v1/status", key=None)
    assert (told.status, told.body["status"], told.body["service"]) == (200, "ok", "haldir")
    assert {check["name"] for check in told.body["checks"]} == {"store", "journal"}


def test_the_command_line_shows_status_readiness_and_usage(tmp_path: Path) -> None:
    with CliServer(tmp_path) as server:
        assert server.run("status").stdout.startswith("haldir 0.")
        assert server.run("ready").stdout == "ready\n"
        assert server.answer("ready") == {"ready": True}
        assert server.run("usage").stdout.startswith("Nothing was done in 20")
        server.post("/v1/audit", {"session_id": server.session("read")["session_id"], "action": "looked"})
        assert "in all" in server.run("usage").stdout
        assert server.answer("usage")["action_count"] == 1
        assert server.run("usage", "--month", "soon").exit_code == 4
