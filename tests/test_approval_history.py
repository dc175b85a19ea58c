"""The history of an approval: each step, who made it, and the entry of the log in which it stands; on both engines."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.commands import haldir as command
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """A Haldir that holds every payment until two approved it."""
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        haldir.rest("POST", "/v1/approvals/rules", {"type": "all", "approvers": 2})
        yield haldir


@pytest.fixture
def session(haldir: Haldir) -> Any:
    return haldir.session("spend", spend_limit=1000)


def key(haldir: Haldir, name: str) -> str:
    return str(haldir.rest("POST", "/v1/keys", {"name": name, "scopes": ["*"]})["key"])


def pay(haldir: Haldir, session: Any, amount: float) -> Any:
    return haldir.post("/v1/payments/authorize", {"session_id": session["session_id"], "amount": amount}).body


def history(haldir: Haldir, approval_id: str) -> list[Any]:
    """Return the steps, each with the kind of the entry that it leads to; they stand in the order of time."""
    told = haldir.rest("GET", f"/v1/approvals/{approval_id}/history")
    assert (told["request_id"], told["count"]) == (approval_id, len(told["history"]))
    listed = haldir.rest("GET", "/v1/audit?kind=all&limit=1000")["entries"]
    entries = {entry["entry_id"]: entry for entry in listed}
    steps = []
    for step in told["history"]:
        entry = entries[step["entry_id"]]
        assert step["at"] == entry["timestamp"]
        steps.append((step["kind"], step["name"], step["note"], entry["kind"]))
    assert told["history"] == sorted(told["history"], key=lambda step: step["at"])
    return steps


def test_who_asked_approved_and_used_it_leads_to_the_entries(haldir: Haldir, session: Any) -> None:
    approval_id = pay(haldir, session, 20)["request_id"]
    for name in ("Ada", "Grace"):
        haldir.post(f"/v1/approvals/{approval_id}/approve", {"note": f"says {name}"}, key=key(haldir, name))
    paid = pay(haldir, session, 20)["authorization_id"]
    assert history(haldir, approval_id) == [
        ("asked", "admin", "", "payment.authorize"),
        ("approved", "Ada", "says Ada", "approval.decide"),
        ("approved", "Grace", "says Grace", "approval.decide"),
        ("used", "", "", "payment.authorize"),
    ]
    assert haldir.rest("GET", f"/v1/approvals/{approval_id}/history")["history"][-1]["by"] == paid


def test_a_vote_and_a_denial_are_told_with_who_said_what(haldir: Haldir, session: Any) -> None:
    asked = haldir.post("/v1/approvals/request", {"amount": 1}, key=session["token"]).body["request_id"]
    haldir.post(f"/v1/approvals/{asked}/approve", key=key(haldir, "Ada"))
    haldir.post(f"/v1/approvals/{asked}/deny", {"note": "never"}, key=key(haldir, "Alan"))
    assert history(haldir, asked) == [
        ("asked", "", "", "approval.request"),
        ("approved", "Ada", "", "approval.decide"),
        ("denied", "Alan", "never", "approval.decide"),
    ]


def test_what_another_request_for_the_same_took_the_place_of_ends_with_that_ones_entry(
    haldir: Haldir, session: Any
) -> None:
    first = pay(haldir, session, 30)["request_id"]
    rule = haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 500})["rule_id"]
    second = pay(haldir, session, 30)["request_id"]
    haldir.rest("DELETE", f"/v1/approvals/rules/{rule}")
    ended, began = (haldir.rest("GET", f"/v1/approvals/{each}/history")["history"] for each in (first, second))
    assert [step["kind"] for step in ended] == ["asked", "expired"]
    assert ended[-1]["entry_id"] == began[0]["entry_id"]
    history(haldir, first)


def test_a_session_sees_the_history_of_its_own_and_of_no_other(haldir: Haldir, session: Any) -> None:
    approval_id = pay(haldir, session, 40)["request_id"]
    where = f"/v1/approvals/{approval_id}/history"
    assert haldir.get(where, key=session["token"]).status == 200
    assert haldir.get(where, key=haldir.session()["token"]).status == 404
    assert haldir.get("/v1/approvals/apr_unknown/history").status == 404


def test_the_command_line_shows_it(haldir: Haldir, session: Any) -> None:
    approval_id = pay(haldir, session, 50)["request_id"]
    shown = command("approvals", "show", approval_id, "--data", str(haldir.data)).stdout
    (step,) = haldir.rest("GET", f"/v1/approvals/{approval_id}/history")["history"]
    assert "waits for 2 words" in shown
    assert step["entry_id"] in shown
