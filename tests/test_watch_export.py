"""Exports: every entry once, the same bytes each time, and a manifest that says what is in them."""

import csv
import hashlib
import http.client
import io
import json
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from haldir.operations.audit_export import GUARDED, guarded
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from merkle import tree_hash

REPORTS = 600  # More than two pages of an export.
FORMULA = '=HYPERLINK("http://evil.example", "click")'


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        sessions = [haldir.session(agent_id=agent)["session_id"] for agent in ("ann", "+ben")]
        for number in range(REPORTS):
            report = {"action": f"step {number}", "tool": "mail", "cost_usd": 0.000001, "details": {"n": number}}
            haldir.rest("POST", "/v1/audit", {"session_id": sessions[number % 2], **report})
        odd = {"action": FORMULA, "tool": "two\nlines", "details": 'say "hi", and;\r\nbye'}
        haldir.rest("POST", "/v1/audit", {"session_id": sessions[1], **odd})
        yield haldir


def exported(haldir: Haldir, query: str = "") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    answer = haldir.get(f"/v1/audit/export?{query}")
    assert answer.status == 200
    *rows, manifest = [json.loads(line) for line in answer.raw.splitlines()]
    return rows, manifest


def listed(haldir: Haldir, query: str) -> list[dict[str, Any]]:
    return list(reversed(haldir.rest("GET", f"/v1/audit?limit=1000&{query}")["entries"]))


@pytest.mark.parametrize("query", ["", "kind=all", "agent_id=ann", "tool=mail&agent_id=ann", "kind=nonsense"])
def test_an_export_holds_what_the_list_holds_oldest_first(haldir: Haldir, query: str) -> None:
    rows, manifest = exported(haldir, query)
    wanted = listed(haldir, query)
    assert [{name: row[name] for name in entry} for row, entry in zip(rows, wanted, strict=True)] == wanted
    assert manifest["count"] == len(wanted)
    ids = "\n".join(entry["entry_id"] for entry in wanted)
    assert manifest["sha256"] == hashlib.sha256(ids.encode()).hexdigest()
    assert (manifest["type"], manifest["format_version"]) == ("manifest", 1)
    ends = [wanted[0]["timestamp"], wanted[-1]["timestamp"], wanted[-1]["entry_hash"]] if wanted else [None, None, ""]
    assert [manifest["first_timestamp"], manifest["last_timestamp"], manifest["last_chain_hash"]] == ends


def test_a_whole_export_is_the_log_its_records_have_the_hashes_and_the_root_that_were_signed(haldir: Haldir) -> None:
    rows, manifest = exported(haldir, "kind=all")
    leaves = [hashlib.sha256(b"\0" + row["record"].encode()).digest() for row in rows]
    assert [leaf.hex() for leaf in leaves] == [row["entry_hash"] for row in rows]
    assert (manifest["tree_size"], manifest["root_hash"]) == (len(rows), tree_hash(leaves).hex())
    assert {row["tenant_id"] for row in rows} == {haldir.rest("GET", "/v1/audit/tree-head")["tenant_id"]}


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_the_same_period_has_the_same_bytes_whatever_was_appended_since(haldir: Haldir, file_format: str) -> None:
    rows, _ = exported(haldir)
    period = f"since={rows[100]['timestamp']:.6f}&until={rows[500]['timestamp']:.6f}&format={file_format}"
    before = haldir.get(f"/v1/audit/export?{period}").raw
    session = haldir.session(agent_id="late")["session_id"]
    haldir.rest("POST", "/v1/audit", {"session_id": session, "action": "meanwhile"})
    assert haldir.get(f"/v1/audit/export?{period}").raw == before
    assert all(before.count(row["entry_hash"].encode()) for row in rows[100:500])
    assert not before.count(rows[500]["entry_hash"].encode())


def test_a_manifest_by_itself_is_the_last_line_of_the_export(haldir: Haldir) -> None:
    for query in ("", "kind=all&since=2020-01-01&until=2999-01-01", "agent_id=ann&allowed=true", "until=2020-01-01"):
        assert haldir.rest("GET", f"/v1/audit/export/manifest?{query}") == exported(haldir, query)[1]
    told = haldir.rest("GET", "/v1/audit/export/manifest?agent_id=ann&flagged=true&since=1.5")
    assert told["filters"] == {"agent_id": "ann", "flagged": "true", "since": "1970-01-01T00:00:01.500000Z"}
    past = haldir.rest("GET", "/v1/audit/export/manifest?until=2020-01-01")
    assert (past["generated_at"], past["tree_size"]) == (datetime(2020, 1, 1, tzinfo=UTC).timestamp(), 0)


def test_csv_has_the_columns_that_readers_know_and_no_cell_is_a_formula(haldir: Haldir) -> None:
    answer = haldir.get("/v1/audit/export?format=csv&agent_id=%2Bben")
    table = list(csv.reader(io.StringIO(answer.raw.decode(), newline="")))
    assert table[0] == [
        "entry_id",
        "timestamp",
        "timestamp_iso",
        "tenant_id",
        "session_id",
        "agent_id",
        "tool",
        "action",
        "cost_usd",
        "flagged",
        "flag_reason",
        "details_json",
        "prev_hash",
        "entry_hash",
    ]
    wanted = listed(haldir, "agent_id=%2Bben")
    assert len(table) == len(wanted) + 1
    first, last = (dict(zip(table[0], row, strict=True)) for row in (table[1], table[-1]))
    assert (first["agent_id"], first["cost_usd"], first["flagged"]) == ("'+ben", "0.000001", "false")
    assert json.loads(first["details_json"]) == wanted[0]["details"]
    assert datetime.fromisoformat(first["timestamp_iso"]).timestamp() == float(first["timestamp"])
    assert (last["action"], last["tool"]) == (f"'{FORMULA}", "two\nlines")
    assert (json.loads(last["details_json"]), last["entry_hash"]) == (wanted[-1]["details"], wanted[-1]["entry_hash"])
    assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for row in table for cell in row)


@given(st.text() | st.sampled_from(GUARDED))
@example("'=1")
def test_a_guarded_cell_is_never_a_formula_and_can_be_read_back(cell: str) -> None:
    found = guarded(cell)
    assert not found.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert found.removeprefix("'") == cell


def test_an_export_says_what_it_is(haldir: Haldir) -> None:
    for file_format, media_type, manifest in (
        ("jsonl", "application/x-ndjson", "embedded-final-line"),
        ("csv", "text/csv; charset=utf-8", "out-of-band"),
    ):
        for method in ("GET", "HEAD"):
            answer = haldir.ask(method, f"/v1/audit/export?format={file_format}&tool=mail&agent_id=ann")
            assert answer.status == 200
            assert answer.headers["content-type"] == media_type
            assert answer.headers["content-disposition"].startswith('attachment; filename="haldir-audit-')
            assert answer.headers["x-haldir-export-manifest"] == manifest
            assert answer.headers["x-haldir-export-format-version"] == "1"
            assert answer.headers["x-request-id"]
            assert bool(answer.raw) == (method == "GET")


@pytest.mark.parametrize(
    ("query", "code"),
    [("format=xml", "invalid_format"), ("since=x", "invalid_request"), ("since=2&until=1", "invalid_request")],
)
def test_an_export_that_makes_no_sense_is_a_400(haldir: Haldir, query: str, code: str) -> None:
    answer = haldir.get(f"/v1/audit/export?{query}")
    assert (answer.status, answer.body["code"]) == (400, code)


def test_an_export_is_of_the_callers_own_log_and_needs_the_scope(haldir: Haldir) -> None:
    made: Any = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body
    assert len(haldir.get("/v1/audit/export?kind=all", key=made["key"]).raw.splitlines()) == 2
    narrow = haldir.rest("POST", "/v1/keys", {"scopes": ["sessions:read"]})["key"]
    assert haldir.get("/v1/audit/export", key=narrow).status == 403


@pytest.fixture(scope="module")
def large(haldir: Haldir) -> str:
    """The query for more entries than the sockets between Haldir and its reader hold."""
    session = haldir.session(agent_id="large")["session_id"]
    for _ in range(300):
        haldir.rest("POST", "/v1/audit", {"session_id": session, "action": "large", "details": "x" * 60_000})
    return "agent_id=large"


def test_a_reader_who_stops_reading_and_one_who_leaves_cost_the_others_nothing(haldir: Haldir, large: str) -> None:
    request = f"GET /v1/audit/export?{large} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {haldir.key}\r\n\r\n"
    with closing(socket.create_connection(("127.0.0.1", haldir.port))) as idle:
        idle.sendall(request.encode())
        assert idle.recv(16) == b"HTTP/1.1 200 OK\r"
        began = time.monotonic()
        with closing(socket.create_connection(("127.0.0.1", haldir.port))) as leaving:
            leaving.sendall(request.encode())
            leaving.recv(16)
        assert len(exported(haldir, large)[0]) == 300
        assert time.monotonic() - began < 30


def test_an_export_breaks_off_when_its_key_is_revoked(haldir: Haldir, large: str) -> None:
    made = haldir.rest("POST", "/v1/keys", {"scopes": ["audit:read"]})
    connection = http.client.HTTPConnection("127.0.0.1", haldir.port, timeout=60)
    with closing(connection):
        connection.request("GET", f"/v1/audit/export?{large}", headers={"Authorization": f"Bearer {made['key']}"})
        response = connection.getresponse()
        begun = response.read(16)
        haldir.rest("DELETE", f"/v1/keys/{made['prefix']}")
        with pytest.raises(http.client.IncompleteRead) as broken:
            response.read()
        assert b'"type":"manifest"' not in begun + broken.value.partial
