"""The log as it is read: newest first, page by page, filtered, with details that only the tenant can open."""

import hashlib
import itertools
import json
import threading
from collections.abc import Iterator
from typing import Any

import apsw
import pytest

from haldir.journal.checkpoint import verify_checkpoint, verify_tree_head
from haldir.operations.verbs.audit import DETAILS_BYTES_MAX
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir

REPORTS = 25


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


@pytest.fixture(scope="module")
def sessions(haldir: Haldir) -> list[str]:
    """Two sessions, whose reports take turns."""
    ids: list[str] = [haldir.session(agent_id=agent)["session_id"] for agent in ("ann", "ben")]
    for number in range(REPORTS):
        for at, session_id in enumerate(ids):
            report = {"session_id": session_id, "action": f"step {number}", "tool": f"tool{at}", "cost_usd": number}
            assert haldir.post("/v1/audit", report).status == 201
    return ids


def pages(haldir: Haldir, query: str, limit: int) -> list[list[dict[str, Any]]]:
    """Follow the cursors to the end."""
    found = []
    cursor = ""
    while True:
        page = haldir.get(f"/v1/audit?{query}&limit={limit}{cursor}").body
        assert page["count"] == len(page["entries"])
        found.append(page["entries"])
        if page["next_cursor"] is None:
            return found
        assert page["entries"]
        cursor = f"&cursor={page['next_cursor']}"


@pytest.mark.parametrize("limit", [1, 7, 25, 50, 1000])
def test_pages_of_any_size_hold_every_entry_once_newest_first(haldir: Haldir, sessions: list[str], limit: int) -> None:
    found = [entry for page in pages(haldir, f"session_id={sessions[0]}", limit) for entry in page]
    assert [entry["action"] for entry in found] == [f"step {number}" for number in reversed(range(REPORTS))]
    assert {entry["session_id"] for entry in found} == {sessions[0]}


def test_entries_added_meanwhile_do_not_shift_the_pages(haldir: Haldir, sessions: list[str]) -> None:
    first = haldir.get(f"/v1/audit?session_id={sessions[1]}&limit=5").body
    haldir.post("/v1/audit", {"session_id": sessions[1], "action": "meanwhile", "tool": "other"})
    second = haldir.get(f"/v1/audit?session_id={sessions[1]}&limit=5&cursor={first['next_cursor']}").body
    told = [entry["action"] for entry in (*first["entries"], *second["entries"])]
    assert told == [f"step {number}" for number in reversed(range(REPORTS - 10, REPORTS))]


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("agent_id=ann", REPORTS),
        ("tool=tool1", REPORTS),
        ("agent_id=ann&tool=tool1", 0),
        ("agent_id=nobody", 0),
        ("kind=tenant.create", 1),
        ("kind=action.log&agent_id=ann", REPORTS),
        ("kind=all&agent_id=ann", REPORTS + 1),
        ("kind=session.create&agent_id=ann", 1),
        ("kind=nonsense", 0),
        ("flagged=true", 0),
        ("flagged=false&agent_id=ann", REPORTS),
        ("allowed=true&agent_id=ann", REPORTS),
        ("allowed=false&agent_id=ann", 0),
        ("since=0&agent_id=ann", REPORTS),
        ("since=1970-01-01&until=2999-12-31T23:59:59Z&agent_id=ann", REPORTS),
        ("until=2020-01-01&agent_id=ann", 0),
        ("since=2999-01-01&agent_id=ann", 0),
    ],
)
def test_filters_narrow_the_list_together(haldir: Haldir, sessions: list[str], query: str, count: int) -> None:
    assert sessions
    assert haldir.get(f"/v1/audit?{query}&limit=1000").body["count"] == count


def test_a_period_holds_its_first_moment_and_not_its_last(haldir: Haldir, sessions: list[str]) -> None:
    reports = haldir.get(f"/v1/audit?session_id={sessions[0]}&limit=1000").body["entries"]
    later, earlier = reports[3], reports[9]
    period = f"since={earlier['timestamp']:.6f}&until={later['timestamp']:.6f}"
    found = [entry for page in pages(haldir, f"session_id={sessions[0]}&{period}", 2) for entry in page]
    wanted = [entry for entry in reports if earlier["timestamp"] <= entry["timestamp"] < later["timestamp"]]
    assert found == wanted
    assert earlier in found
    assert later not in found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("since=yesterday", "since"),
        ("until=-1", "until"),
        ("until=1969-12-31", "until"),
        ("since=1e9", "since"),
        ("since=0001-01-01T00:00:00%2B14:00", "since"),
        ("since=2026-01-02&until=2026-01-01", "since"),
        ("allowed=perhaps", "allowed"),
        ("limit=1001", "limit"),
        ("limit=0", "limit"),
        ("cursor=nonsense", "cursor"),
    ],
)
def test_a_question_that_makes_no_sense_is_a_400(haldir: Haldir, query: str, field: str) -> None:
    answer = haldir.get(f"/v1/audit?{query}")
    assert (answer.status, answer.body["field"]) == (400, field)


def test_refused_entries_of_every_kind_are_listed_where_they_are_asked_for(haldir: Haldir) -> None:
    session = haldir.session(agent_id="poor")
    refused = haldir.post("/v1/payments/authorize", {"session_id": session["session_id"], "amount": 2})
    assert refused.status == 403
    assert haldir.get(f"/v1/audit?session_id={session['session_id']}").body["count"] == 0
    (entry,) = haldir.get("/v1/audit?allowed=false&agent_id=poor").body["entries"]
    assert (entry["kind"], entry["code"]) == ("payment.authorize", "spend_not_allowed")
    assert haldir.get("/v1/audit?allowed=false&agent_id=poor&kind=call.admit").body["count"] == 0


def test_entries_are_chained_by_the_hashes_of_their_leaves(haldir: Haldir, sessions: list[str]) -> None:
    assert sessions
    entries = haldir.get("/v1/audit?kind=all&limit=1000").body["entries"]
    for newer, older in itertools.pairwise(entries):
        assert newer["prev_hash"] == older["entry_hash"]
        assert newer["timestamp"] >= older["timestamp"]
    assert entries[-1]["prev_hash"] == ""
    assert [entry["entry_id"] for entry in entries] == [f"aud_{n:022d}" for n in reversed(range(len(entries)))]
    listed = haldir.get("/v1/audit?limit=1").body["entries"][0]
    assert listed in entries


@pytest.mark.parametrize(
    "details",
    [
        {"a": [1, None, {"b": "é"}]},
        "just a text",
        [],
        0,
        False,
        1e-07,
        "\0",
        {"deep": {"er": []}},
        {"n": 123456789012345678901234567890},
    ],
)
def test_details_of_any_shape_come_back_as_they_were(haldir: Haldir, sessions: list[str], details: Any) -> None:
    logged = haldir.post("/v1/audit", {"session_id": sessions[0], "action": "told", "tool": "x", "details": details})
    assert logged.status == 201, logged
    entry = haldir.get("/v1/audit?limit=1").body["entries"][0]
    assert (entry["entry_id"], entry["details"]) == (logged.body["entry_id"], details)


def test_details_are_sealed_beside_the_log_and_never_in_it(haldir: Haldir, sessions: list[str]) -> None:
    secret = "a word that must not be stored in the clear"
    haldir.post("/v1/audit", {"session_id": sessions[0], "action": "told", "tool": "x", "details": {"word": secret}})
    assert haldir.get("/v1/audit?limit=1").body["entries"][0]["details"] == {"word": secret}
    assert secret not in json.dumps(haldir.get("/v1/audit/tree-head").body)
    for file in haldir.data.iterdir():
        assert secret.encode() not in file.read_bytes(), file


def test_absent_details_read_as_an_empty_object(haldir: Haldir, sessions: list[str]) -> None:
    for report in ({}, {"details": None}):
        haldir.post("/v1/audit", {"session_id": sessions[0], "action": "told", "tool": "x", **report})
        assert haldir.get("/v1/audit?limit=1").body["entries"][0]["details"] == {}


def test_details_that_are_too_large_are_a_413(haldir: Haldir, sessions: list[str]) -> None:
    report = {"session_id": sessions[0], "action": "told", "tool": "x"}
    largest = "x" * (DETAILS_BYTES_MAX - 2)
    assert haldir.post("/v1/audit", {**report, "details": largest}).status == 201
    answer = haldir.post("/v1/audit", {**report, "details": largest + "x"})
    assert (answer.status, answer.body["max_bytes"]) == (413, DETAILS_BYTES_MAX)


def test_a_page_ends_early_rather_than_hold_more_than_some_megabytes(haldir: Haldir) -> None:
    session_id = haldir.session(agent_id="verbose")["session_id"]
    for number in range(150):
        report = {"session_id": session_id, "action": f"step {number}", "details": "x" * 60_000}
        assert haldir.post("/v1/audit", report).status == 201
    found = pages(haldir, "agent_id=verbose", 1000)
    assert [len(page) for page in found] == [128, 22]
    assert [entry["action"] for page in found for entry in page] == [
        f"step {number}" for number in reversed(range(150))
    ]


@pytest.mark.parametrize(("cost", "read"), [(0.25, 0.25), ("0.25", 0.25), (1.5e-05, 1.5e-05), (1e-9, 1e-06), (3, 3.0)])
def test_a_reported_cost_is_rounded_up_to_a_millionth(
    haldir: Haldir, sessions: list[str], cost: Any, read: float
) -> None:
    haldir.post("/v1/audit", {"session_id": sessions[0], "action": "paid", "tool": "x", "cost_usd": cost})
    assert haldir.get("/v1/audit?limit=1").body["entries"][0]["cost_usd"] == read


@pytest.mark.parametrize(
    ("report", "field"),
    [
        ({"action": ""}, "action"),
        ({"action": None}, "action"),
        ({"action": "x" * 129}, "action"),
        ({"tool": "x" * 257}, "tool"),
        ({"cost_usd": "free"}, "cost_usd"),
        ({"cost_usd": -1}, "cost_usd"),
        ({"session_id": ""}, "session_id"),
    ],
)
def test_a_report_that_does_not_fit_is_a_400(
    haldir: Haldir, sessions: list[str], report: dict[str, Any], field: str
) -> None:
    answer = haldir.post("/v1/audit", {"session_id": sessions[0], "action": "x", **report})
    assert (answer.status, answer.body["field"]) == (400, field)


def test_a_report_needs_a_living_session_and_a_token_reports_for_its_own(haldir: Haldir, sessions: list[str]) -> None:
    mine = haldir.session()
    token = mine["token"]
    assert haldir.post("/v1/audit", {"action": "x"}, key=token).status == 201
    assert haldir.post("/v1/audit", {"session_id": mine["session_id"], "action": "x"}, key=token).status == 201
    other = haldir.post("/v1/audit", {"session_id": sessions[0], "action": "x"}, key=token)
    assert (other.status, other.body["code"]) == (401, "session_not_found")
    haldir.delete(f"/v1/sessions/{mine['session_id']}")
    ended = haldir.post("/v1/audit", {"session_id": mine["session_id"], "action": "x"})
    assert (ended.status, ended.body["code"]) == (401, "session_revoked")
    unknown = haldir.post("/v1/audit", {"session_id": "ses_unknown", "action": "x"})
    assert (unknown.status, unknown.body["code"]) == (401, "session_not_found")


def test_the_signed_head_verifies_by_itself(haldir: Haldir, sessions: list[str]) -> None:
    assert sessions
    head = haldir.get("/v1/audit/tree-head").body
    public_key, root = bytes.fromhex(head["public_key"]), bytes.fromhex(head["root_hash"])
    assert head["key_id"] == hashlib.sha256(public_key).hexdigest()[:16]
    assert head["algorithm"] == "Ed25519-over-canonical-sth"
    assert verify_tree_head(bytes.fromhex(head["signature"]), public_key, head["tree_size"], root, head["signed_at"])
    note = verify_checkpoint(head["checkpoint"], head["verifier_key"])
    assert (note.size, note.root, note.tenant) == (head["tree_size"], root, head["tenant_id"])


def test_verification_goes_on_while_the_log_grows(haldir: Haldir, sessions: list[str]) -> None:
    stop = threading.Event()

    def report() -> None:
        while not stop.is_set():
            haldir.post("/v1/audit", {"session_id": sessions[1], "action": "busy", "tool": "other"})

    writers = [threading.Thread(target=report) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        answers = [haldir.get("/v1/audit/verify").body for _ in range(20)]
    finally:
        stop.set()
        for writer in writers:
            writer.join()
    assert {answer["verified"] for answer in answers} == {True}
    assert answers[-1]["entries_checked"] > answers[0]["entries_checked"]


def test_tampering_under_a_running_server_is_found_and_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_haldir(tmp_path_factory.mktemp("data")) as haldir:
        session_id = haldir.session()["session_id"]
        logged = haldir.post("/v1/audit", {"session_id": session_id, "action": "honest"}).body
        connection = apsw.Connection(str(haldir.data / "haldir.db"))
        connection.execute("UPDATE entry SET body = CAST(replace(CAST(body AS TEXT), 'honest', 'crooks') AS BLOB)")
        connection.close()
        answer = haldir.get("/v1/audit/verify")
        assert (answer.status, answer.body["verified"]) == (200, False)
        assert answer.body["tampered_entry"] == logged["entry_id"]
        assert answer.body["error"] == answer.body["findings"][0]["message"]
        assert [finding["problem"] for finding in answer.body["findings"]][:2] == ["entry_altered", "root_mismatch"]
