"""What calls came with and were answered: kept sealed, read by those who may, erased by hand and after its time."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from haldir.app import open_context, wall_clock
from haldir.kernel.clock import DAY, Micros
from haldir.kernel.secret import Secret
from haldir.operations.payload_commands import part_name, parts_of
from haldir.operations.payload_sealing import RESULT_BYTES_MAX
from haldir.operations.payloads import HELD_DAYS
from haldir.settings import Settings
from haldir.storage.postgres import PostgresEngine
from haldir.storage.rows import Part
from haldir.storage.sqlite_reader import SqliteReader
from haldir.workers import sweep as sweeping
from haldir.workers.sweep import sweep
from harness.answers import Answer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.processes import SAMPLE, Up
from harness.threads import running_haldir
from journal_samples import rows_of
from upstreams import sample
from upstreams.serving import serving

WORDS = "nobody else's business"


class Place:
    """Where a Haldir keeps its things, and what the test adds to its clock."""

    def __init__(self, data: Path, dsn: str | None) -> None:
        self.data, self.dsn = data, dsn
        self.ahead: Micros = 0

    def running(self, **settings: Any) -> AbstractContextManager[Haldir]:
        return running_haldir(self.data, dsn=self.dsn, clock=self.clock, **settings)

    def clock(self) -> Micros:
        return wall_clock() + self.ahead

    def swept(self, **settings: Any) -> list[Part]:
        """Sweep once, with no server running; return what is kept of calls then."""
        asyncio.run(self._sweep(**settings))
        return self.kept()

    async def _sweep(self, **given: Any) -> None:
        settings = Settings(data=self.data, database_url=Secret(self.dsn) if self.dsn else None, **given)
        async with open_context(settings, self.clock) as ctx:
            await sweep(ctx)

    def kept(self) -> list[Part]:
        """Return what is kept of calls, as it stands in the store."""
        return asyncio.run(self._kept())

    async def _kept(self) -> list[Part]:
        store = PostgresEngine.open_to_read(self.dsn) if self.dsn else SqliteReader(self.data / "haldir.db")
        try:
            found = [await rows_of(store, tenant, Part) for tenant in await store.tenants()]
            return [part for parts in found for part in parts if part.kept_since is not None]
        finally:
            await store.close()

    def fsck(self) -> int:
        database = ["--database-url", self.dsn] if self.dsn else []
        command = [sys.executable, "-m", "haldir", "fsck", "--data", str(self.data), *database]
        return subprocess.run(command, capture_output=True, check=False).returncode


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serving(sample.app(json_response=True)) as url:
        yield f"{url}/mcp"


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    return Place(tmp_path / "data", dsn)


@pytest.fixture
def haldir(place: Place, upstream: str) -> Iterator[Haldir]:
    with place.running() as haldir:
        added(haldir, upstream)
        yield haldir


def added(haldir: Haldir, upstream: str) -> None:
    assert haldir.post("/v1/proxy/upstreams", {"name": "sample", "url": upstream}).status == 201


def echoed(haldir: Haldir, session: Any, text: str = WORDS, tool: str = "sample.echo") -> Answer:
    body = {"tool": tool, "arguments": {"text": text}, "session_id": session["session_id"]}
    return haldir.post("/v1/proxy/call", body)


def made(haldir: Haldir, text: str = WORDS) -> str:
    """Make one call; return its id."""
    assert echoed(haldir, haldir.session("execute"), text).status == 200
    found: str = haldir.calls("posted")[0]["call_id"]
    return found


def newest_call(haldir: Haldir) -> str:
    """Return the id of the call that was asked for last, let through or not."""
    entry = haldir.rest("GET", "/v1/audit?kind=call.admit&limit=1")["entries"][0]
    found: str = entry["details"]["call_id"]
    return found


def payload(haldir: Haldir, call_id: str, **key: Any) -> Any:
    answer = haldir.get(f"/v1/calls/{call_id}/payload", **key)
    assert answer.status == 200, answer
    return answer.body


def states(haldir: Haldir, call_id: str) -> tuple[str, str]:
    """Return what became of arguments and result; what is not kept is null."""
    found = payload(haldir, call_id)
    for name in ("arguments", "result"):
        assert (found[name] is None) == (found[f"{name}_state"] != "kept")
    return found["arguments_state"], found["result_state"]


def test_a_call_keeps_what_it_came_with_and_what_its_caller_got(haldir: Haldir) -> None:
    params = {"name": "echo", "arguments": {"text": WORDS, "amount": 1.50}}
    got = haldir.ask_modern("/mcp/sample", "tools/call", params, haldir.token("execute", "spend")).message
    call_id = haldir.calls("posted")[0]["call_id"]
    assert payload(haldir, call_id) == {
        "call_id": call_id,
        "arguments_state": "kept",
        "arguments": params["arguments"],
        "result_state": "kept",
        "result": got,
    }


def test_of_a_stream_the_final_answer_is_kept(place: Place) -> None:
    with place.running() as haldir, serving(sample.app()) as url:
        added(haldir, f"{url}/mcp")
        params = {"name": "count", "arguments": {"steps": 3}, "_meta": {"progressToken": "p"}}
        answer = haldir.ask_modern("/mcp/sample", "tools/call", params, haldir.token())
        assert len(answer.messages) > 1
        assert payload(haldir, haldir.calls("posted")[0]["call_id"])["result"] == answer.message


def test_neither_the_log_nor_the_database_shows_a_payload(haldir: Haldir, place: Place) -> None:
    call_id = made(haldir)
    assert payload(haldir, call_id)["arguments"] == {"text": WORDS}
    exported = haldir.get("/v1/audit/export?kind=all").raw
    assert call_id.encode() in exported
    assert WORDS.encode() not in exported
    if place.dsn is None:
        assert not any(WORDS.encode() in file.read_bytes() for file in place.data.iterdir())


def test_who_reads_a_payload_stands_in_the_log_before_it_is_opened(haldir: Haldir) -> None:
    call_id = made(haldir)
    key = haldir.post("/v1/keys", {"scopes": ["payloads:read"]}).body
    payload(haldir, call_id, key=key["key"])
    entry = haldir.rest("GET", "/v1/audit?kind=payload.read&limit=1")["entries"][0]
    assert (entry["agent_id"], entry["tool"]) == ("tester", "echo")
    assert (entry["details"]["call_id"], entry["details"]["asked_by"]["id"]) == (call_id, key["prefix"])
    weak = haldir.post("/v1/keys", {"scopes": ["audit:write", "proxy:write", "admin:read"]}).body["key"]
    assert haldir.get(f"/v1/calls/{call_id}/payload", key=weak).body["required"] == "payloads:read"
    assert haldir.delete(f"/v1/calls/{call_id}/payload", key=key["key"]).body["required"] == "payloads:write"


def test_what_is_erased_by_hand_is_gone_and_the_log_still_verifies(haldir: Haldir, place: Place) -> None:
    calls = [made(haldir, text) for text in ("one", "one", "another")]
    assert haldir.delete(f"/v1/calls/{calls[0]}/payload").body == {"erased": True, "call_id": calls[0]}
    assert [states(haldir, call_id) for call_id in calls] == [("erased", "erased"), *[("kept", "kept")] * 2]
    entry = haldir.rest("GET", "/v1/audit?kind=payload.erase&limit=1")["entries"][0]
    assert (entry["details"]["call_id"], entry["details"]["asked_by"]["kind"]) == (calls[0], "key")
    assert haldir.rest("GET", "/v1/audit/verify")["verified"] is True
    shown = haldir.rest("GET", f"/v1/calls/{calls[0]}")
    assert len(shown["arguments_digest"]) == len(shown["result_digest"]) == 64
    assert {part.digest for part in place.kept()} == {*parts_of(calls[1]), *parts_of(calls[2])}


def test_secrets_are_shown_as_references(haldir: Haldir) -> None:
    for name, value in (("OWN", "own s3cr3t"), ("GONE", "gone s3cr3t")):
        haldir.post("/v1/secrets", {"name": name, "value": value, "exposure": "reveal"})
    call_id = made(haldir, 'say "own s3cr3t", and gone s3cr3t')
    haldir.rest("DELETE", "/v1/secrets/GONE")
    found = payload(haldir, call_id)
    assert found["arguments"] == {"text": 'say "${secret:OWN}", and gone s3cr3t'}
    assert "own s3cr3t" not in json.dumps(found)
    assert found["result"]["result"]["content"][0]["text"] == found["arguments"]["text"]
    haldir.post("/v1/secrets", {"name": "OWN", "value": "another value"})
    assert payload(haldir, call_id)["arguments"] == {"text": 'say "own s3cr3t", and gone s3cr3t'}


def test_an_approver_sees_secrets_as_references_too(haldir: Haldir) -> None:
    haldir.post("/v1/secrets", {"name": "OWN", "value": "own s3cr3t", "exposure": "reveal"})
    session = haldir.session("execute")
    assert echoed(haldir, session, "with own s3cr3t").body["isError"] is False
    haldir.post("/v1/approvals/rules", {"type": "all"})
    echoed(haldir, session, "and with own s3cr3t")
    listed = haldir.get("/v1/approvals/pending")
    one = haldir.get(f"/v1/approvals/{listed.body['requests'][0]['request_id']}")
    for shown in (listed.body["requests"][0], one.body):
        assert shown["details"] == {"text": "and with ${secret:OWN}"}
        assert [change["pointer"] for change in shown["changes"]] == ["/text"]
    assert b"own s3cr3t" not in listed.raw + one.raw


def test_the_command_line_shows_and_erases(haldir: Haldir) -> None:
    call_id = made(haldir)

    def ran(*words: str) -> str:
        command = [sys.executable, "-m", "haldir", "call", *words, "--url", haldir.url, "--data", str(haldir.data)]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout

    shown = ran("show", call_id, "--payload")
    assert shown.startswith('arguments: {\n  "text": "nobody else\'s business"\n}\nresult: {')
    assert ran("erase", call_id) == f"Arguments and result of {call_id} are erased.\n"
    assert ran("show", call_id, "--payload") == "arguments: erased\nresult: erased\n"


def test_a_call_there_is_not_has_no_payload(haldir: Haldir) -> None:
    call_id = made(haldir)
    for name in ("call_" + "0" * 22, "call_", f"{call_id}x", "ses_1"):
        for answer in (haldir.get(f"/v1/calls/{name}/payload"), haldir.delete(f"/v1/calls/{name}/payload")):
            assert (answer.status, answer.body["code"]) == (404, "not_found")


def test_payloads_are_erased_after_their_days_and_the_log_still_verifies(place: Place, upstream: str) -> None:
    with place.running() as haldir:
        added(haldir, upstream)
        old = made(haldir)
    place.ahead = 10 * DAY
    with place.running() as haldir:
        young = made(haldir)
    place.ahead = 30 * DAY - DAY // 24
    assert len(place.swept()) == 4
    place.ahead = 30 * DAY + DAY // 24
    assert {part.digest for part in place.swept()} == {*parts_of(young)}
    with place.running() as haldir:
        assert (states(haldir, old), states(haldir, young)) == (("erased", "erased"), ("kept", "kept"))
        entry = haldir.rest("GET", "/v1/audit?kind=payload.expire&limit=1")["entries"][0]
        assert entry["details"]["calls"] == [old]
        assert haldir.rest("GET", "/v1/audit/verify")["verified"] is True
        size = haldir.rest("GET", "/v1/audit/tree-head")["tree_size"]
    place.swept()
    with place.running() as haldir:  # Nothing to erase is nothing to record.
        assert haldir.rest("GET", "/v1/audit/tree-head")["tree_size"] == size
    assert place.fsck() == 0


def test_the_days_are_a_setting_and_count_for_what_is_kept_already(place: Place, upstream: str) -> None:
    with place.running(payload_days=90) as haldir:
        added(haldir, upstream)
        made(haldir)
    place.ahead = 8 * DAY
    assert len(place.swept(payload_days=90)) == 2
    assert place.swept(payload_days=7) == []


def test_where_nothing_is_kept_there_is_nothing_and_only_an_approver_sees_arguments(
    place: Place, upstream: str
) -> None:
    with place.running(payload_days=0) as haldir:
        added(haldir, upstream)
        call_id = made(haldir)
        assert states(haldir, call_id) == ("not_kept", "not_kept")
        haldir.post("/v1/approvals/rules", {"type": "all"})
        session = haldir.session("execute")
        assert "approval_required" in echoed(haldir, session).raw.decode()
        waiting = haldir.rest("GET", "/v1/approvals/pending")["requests"][0]
        assert waiting["details"] == {"text": WORDS}
        haldir.rest("POST", f"/v1/approvals/{waiting['request_id']}/approve")
        assert echoed(haldir, session).body["isError"] is False
        assert states(haldir, newest_call(haldir)) == ("not_kept", "not_kept")
    place.ahead = (HELD_DAYS - 1) * DAY
    assert len(place.swept(payload_days=0)) == 1
    place.ahead = (HELD_DAYS + 1) * DAY
    assert place.swept(payload_days=0) == []


def test_the_arguments_of_a_held_call_are_one_with_what_its_approver_sees_and_with_the_call_it_becomes(
    haldir: Haldir, place: Place
) -> None:
    haldir.post("/v1/approvals/rules", {"type": "all"})
    session = haldir.session("execute")
    echoed(haldir, session)
    first = newest_call(haldir)
    echoed(haldir, session)
    again = newest_call(haldir)
    waiting = haldir.rest("GET", "/v1/approvals/pending")["requests"][0]
    assert waiting["details"] == {"text": WORDS}
    assert [part.digest for part in place.kept()] == [part_name(first, "arguments")]
    assert [states(haldir, call_id) for call_id in (first, again)] == [("kept", "not_kept")] * 2
    haldir.rest("POST", f"/v1/approvals/{waiting['request_id']}/approve")
    assert echoed(haldir, session).body["isError"] is False
    last = newest_call(haldir)
    assert {part.digest for part in place.kept()} == {*parts_of(last)}
    shown = haldir.rest("GET", f"/v1/approvals/{waiting['request_id']}")
    assert (shown["details"], shown["used_by"]) == ({"text": WORDS}, last)
    assert states(haldir, first) == ("kept", "not_kept")
    haldir.rest("DELETE", f"/v1/calls/{first}/payload")
    assert place.kept() == []
    assert haldir.rest("GET", f"/v1/approvals/{waiting['request_id']}")["details"] is None
    assert [states(haldir, call_id)[0] for call_id in (first, again, last)] == ["erased"] * 3


def test_a_call_refused_by_policy_keeps_its_arguments_and_one_refused_otherwise_does_not(haldir: Haldir) -> None:
    haldir.post("/v1/proxy/policies", {"type": "block_tool", "tool": "fail"})
    session = haldir.session("execute")
    body = {"tool": "sample.fail", "arguments": {"reason": WORDS}, "session_id": session["session_id"]}
    assert haldir.post("/v1/proxy/call", body).body["code"] == "policy_denied"
    refused = newest_call(haldir)
    found = payload(haldir, refused)
    assert (found["arguments"], found["result_state"]) == ({"reason": WORDS}, "not_kept")
    haldir.rest("DELETE", f"/v1/calls/{refused}/payload")
    assert states(haldir, refused) == ("erased", "not_kept")
    assert echoed(haldir, haldir.session("execute:sample:add")).body["code"] == "scope_missing"
    assert states(haldir, newest_call(haldir)) == ("not_kept", "not_kept")
    assert echoed(haldir, session, "${secret:KEY}").body["code"] == "secret_reference"
    assert states(haldir, newest_call(haldir)) == ("not_kept", "not_kept")


def test_an_answer_that_is_too_large_is_known_by_its_digest(haldir: Haldir) -> None:
    quotes = '"' * (RESULT_BYTES_MAX // 3)  # Escaped, and said twice: as text and as structured content.
    call_id = made(haldir, quotes)
    assert states(haldir, call_id) == ("kept", "too_large")
    assert len(haldir.rest("GET", f"/v1/calls/{call_id}")["result_digest"]) == 64


def test_nothing_that_a_killed_server_left_is_kept_for_ever(place: Place) -> None:
    database = {"HALDIR_DATABASE_URL": place.dsn} if place.dsn else {}
    with Up(place.data, "--upstream", SAMPLE, **database) as haldir:
        session = haldir.session("execute")
        body = {"tool": "sample.count", "arguments": {"steps": 1, "pause_seconds": 60}}
        asking = threading.Thread(target=broken_off, args=(haldir, {**body, "session_id": session["session_id"]}))
        asking.start()
        open_call = haldir.wait_for_call("open")["call_id"]
        assert states(haldir, open_call) == ("kept", "not_kept")
        haldir.kill()
        asking.join()
    assert [part.digest for part in place.kept()] == [part_name(open_call, "arguments")]
    place.ahead = 31 * DAY
    assert place.swept() == []
    assert place.fsck() == 0


def broken_off(haldir: Haldir, body: Any) -> None:
    with pytest.raises(OSError, match=r".*"):
        haldir.post("/v1/proxy/call", body)


def test_more_than_one_entry_holds_is_erased_in_one_round(
    place: Place, upstream: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweeping, "ERASED_MAX", 2)
    monkeypatch.setattr(sweeping, "ERASINGS_MAX", 3)
    with place.running() as haldir:
        added(haldir, upstream)
        calls = [made(haldir, str(number)) for number in range(5)]
    place.ahead = 31 * DAY
    assert {part.digest for part in place.swept()} == {*parts_of(calls[3]), *parts_of(calls[4])}
    assert place.swept() == []
