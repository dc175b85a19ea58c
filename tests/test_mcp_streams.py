"""Calls that do not go well, and streams that end early: every one is settled, and the caller knows how."""

import json
import resource
import socket
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness.eventually import eventually
from harness.haldir import Haldir
from harness.messages import MODERN, call, initialize, request
from harness.open_requests import open_request, read_until
from harness.threads import http_upstream, running_haldir, stdio_upstream
from upstreams import raw, sample
from upstreams.raw import STREAM_HEAD, RawUpstream, raw_upstream
from upstreams.serving import serving

DEADLINE_SECONDS = 2.0
SAMPLE = str(Path(sample.__file__))


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream(raw.honest) as running:
        yield running


@pytest.fixture
def haldir(tmp_path: Path, upstream: RawUpstream) -> Iterator[Haldir]:
    with running_haldir(tmp_path / "data", http_upstream("up", upstream.url, DEADLINE_SECONDS)) as running:
        yield running


MISBEHAVIOUR = {
    "hang": (raw.hang, "did not answer within 2 s", "indeterminate"),
    "garbage": (raw.garbage, "not an MCP message", "indeterminate"),
    "page": (raw.page, "not an MCP message", "indeterminate"),
    "nothing": (raw.nothing, "without an answer", "indeterminate"),
    "half": (raw.half, "midway", "indeterminate"),
    "half_stream": (raw.half_stream, "midway", "indeterminate"),
    "redirect": (raw.redirect, "redirected", "voided"),
    "unauthorized": (raw.unauthorized, "HTTP status 401", "voided"),
    "fault": (raw.fault, "HTTP status 500", "indeterminate"),
    "flood": (raw.flood, "exceeds 16 MiB", "indeterminate"),
    "endless_events": (raw.endless_events, "", "indeterminate"),
    "endless_line": (raw.endless_line, "too large", "indeterminate"),
}


@pytest.mark.parametrize("path", ["/mcp/up", "/mcp"])
@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_a_misbehaving_upstream_is_a_tool_error_never_silently_paid_for_and_recovers(
    haldir: Haldir, upstream: RawUpstream, kind: str, path: str
) -> None:
    behave, sentence, state = MISBEHAVIOUR[kind]
    tool = "do" if path == "/mcp/up" else "up__do"
    session = haldir.session("execute", "spend", spend_limit=10)
    assert haldir.rpc(path, call(tool, amount=1), session["token"]).message["result"]["isError"] is False
    upstream.on_call = behave
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    answer = haldir.rpc(path, call(tool, amount=1), session["token"])

    said = json.loads(answer.message["result"]["content"][0]["text"])
    assert (answer.status, answer.message["id"], answer.message["result"]["isError"]) == (200, 1, True)
    assert said["code"] == "upstream_error"
    assert sentence in said["error"]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # Kilobytes.
    settled = haldir.rest("GET", f"/v1/calls/{said['call_id']}")
    assert settled["state"] == state
    shown = haldir.rest("GET", f"/v1/sessions/{session['session_id']}")
    assert (shown["spent"], shown["remaining_budget"]) == (1.0, 9.0 if state == "voided" else 8.0)
    upstream.on_call = raw.honest
    assert haldir.rpc(path, call(tool, amount=1), session["token"]).message["result"]["isError"] is False


def test_a_stream_passes_byte_by_byte_with_its_comments_ids_and_line_ends(
    haldir: Haldir, upstream: RawUpstream
) -> None:
    answer = json.dumps({"jsonrpc": "2.0", "id": 1, "result": raw.RESULT, "extra": "\u00e9"}).encode()
    sent = b': hello\r\n\r\nretry: 10\rid: 7\rdata:\r\rid: 8\nevent: message\ndata:{"jsonrpc":"2.0",\ndata:"method":"notifications/x"}\n\n'
    sent += b"event: message\r\nid: 9\r\ndata: " + answer + b"\r\n\r\n"

    def stream(connection: socket.socket, _message: dict[str, Any]) -> None:
        connection.sendall(STREAM_HEAD)
        for byte in sent:
            connection.sendall(bytes([byte]))

    upstream.on_call = stream
    assert haldir.rpc("/mcp/up", call("do"), haldir.token()).raw == sent


def test_before_2026_a_caller_that_leaves_changes_nothing_the_call_is_finished_and_settled(
    haldir: Haldir, upstream: RawUpstream
) -> None:
    finish = threading.Event()

    def slow(connection: socket.socket, message: dict[str, Any]) -> None:
        connection.sendall(STREAM_HEAD + b'data: {"jsonrpc":"2.0","method":"notifications/x"}\n\n')
        finish.wait(10)
        connection.sendall(
            b"data: " + json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": raw.RESULT}).encode() + b"\n\n"
        )

    upstream.on_call = slow
    with open_request(haldir, "/mcp/up", call("do"), haldir.token()) as connection:
        read_until(connection, b"notifications/x")
    finish.set()
    assert haldir.wait_for_call("posted")["tool"] == "do"


def test_at_2026_closing_the_stream_stops_the_upstream_and_the_call_is_indeterminate(
    haldir: Haldir, upstream: RawUpstream
) -> None:
    started, stopped = threading.Event(), threading.Event()

    def wait(connection: socket.socket, message: dict[str, Any]) -> None:
        started.set()
        raw.hang(connection, message)
        stopped.set()

    upstream.on_call = wait
    message = call("do")
    message["params"]["_meta"] = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    with open_request(
        haldir,
        "/mcp/up",
        message,
        haldir.token(),
        f"mcp-protocol-version: {MODERN}\r\nmcp-method: tools/call\r\nmcp-name: do\r\n",
    ):
        assert started.wait(10)
    assert stopped.wait(DEADLINE_SECONDS - 0.5)
    assert "cancelled" in haldir.wait_for_call("indeterminate")["error"]


def resumable(upstream: RawUpstream, answer: dict[str, Any]) -> None:
    """Have calls answered with a stream that breaks off, and a GET that resumes it."""

    def begin(connection: socket.socket, _message: dict[str, Any]) -> None:
        connection.sendall(STREAM_HEAD + b"id: e1\ndata:\n\n")

    def other(connection: socket.socket, message: dict[str, Any]) -> None:
        if message.get("http") == "GET":
            connection.sendall(STREAM_HEAD + b"id: e2\ndata: " + json.dumps(answer).encode() + b"\n\n")
        elif message.get("method") == "initialize":
            body = {
                "jsonrpc": "2.0",
                "id": message["id"],
                "result": {
                    "protocolVersion": "2025-11-25",
                    "capabilities": {},
                    "serverInfo": {"name": "r", "version": "1"},
                },
            }
            raw.respond(connection, json.dumps(body).encode(), extra="mcp-session-id: upstream-session\r\n")
        else:
            raw.honest(connection, message)

    upstream.on_call, upstream.on_other = begin, other


def test_a_stream_that_breaks_off_is_resumed_by_the_client_and_settled_before_it_hears_the_answer(
    haldir: Haldir, upstream: RawUpstream
) -> None:
    resumable(upstream, {"jsonrpc": "2.0", "id": 1, "result": raw.RESULT})
    token = haldir.token()
    sealed = haldir.rpc("/mcp/up", initialize(), token).headers["mcp-session-id"]
    assert "upstream-session" not in sealed
    begun = haldir.rpc("/mcp/up", call("do"), token, mcp_session_id=sealed)
    assert begun.raw == b"id: e1\ndata:\n\n"
    assert len(haldir.calls("open")) == 1
    resumed = haldir.get(
        "/mcp/up",
        key=token,
        accept="text/event-stream",
        mcp_session_id=sealed,
        last_event_id="e1",
    )
    assert resumed.messages[0]["result"] == raw.RESULT
    assert b"last-event-id: e1" in upstream.heads[-1].lower()
    assert [each["tool"] for each in haldir.calls("posted")] == ["do"]
    assert haldir.calls("open") == []


def test_a_stream_that_nobody_resumes_is_indeterminate_at_the_deadline(haldir: Haldir, upstream: RawUpstream) -> None:
    resumable(upstream, {})
    token = haldir.token()
    sealed = haldir.rpc("/mcp/up", initialize(), token).headers["mcp-session-id"]
    haldir.rpc("/mcp/up", call("do"), token, mcp_session_id=sealed)
    assert "did not answer" in haldir.wait_for_call("indeterminate")["error"]


def test_a_list_that_arrives_on_a_resumed_stream_is_filtered_too(haldir: Haldir, upstream: RawUpstream) -> None:
    resumable(
        upstream, {"jsonrpc": "2.0", "id": 5, "result": {"tools": [*raw.TOOLS, {"name": "hidden", "inputSchema": {}}]}}
    )
    token = haldir.token("execute:up:do")
    sealed = haldir.rpc("/mcp/up", initialize(), token).headers["mcp-session-id"]
    resumed = haldir.get(
        "/mcp/up",
        key=token,
        accept="text/event-stream",
        mcp_session_id=sealed,
        last_event_id="e1",
    )
    assert resumed.messages[0]["result"]["tools"] == raw.TOOLS


def test_a_cancellation_passes_to_the_upstream_of_old(haldir: Haldir, upstream: RawUpstream) -> None:
    message = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1, "reason": "enough"}}
    assert haldir.rpc("/mcp/up", message, haldir.token("read")).status == 202
    assert upstream.messages[-1] == message


def test_an_upstreams_distrust_of_haldir_is_not_the_callers(haldir: Haldir, upstream: RawUpstream) -> None:
    upstream.on_other = raw.unauthorized
    answer = haldir.rpc("/mcp/up", request("prompts/list"), haldir.token())
    assert (answer.status, answer.body["error"]["data"]["code"]) == (502, "upstream_error")
    assert "www-authenticate" not in answer.headers


@pytest.mark.parametrize("kind", ["events", "stdio"])
def test_a_standing_stream_ends_within_a_second_of_the_sessions_end(tmp_path: Path, kind: str) -> None:
    stdio = stdio_upstream("stdio", sys.executable, SAMPLE)
    with (
        serving(sample.app()) as url,
        running_haldir(tmp_path / "data", http_upstream("events", f"{url}/mcp"), stdio) as haldir,
    ):
        session = haldir.session("execute")
        token = session["token"]
        sealed = haldir.rpc(f"/mcp/{kind}", initialize(), token).headers["mcp-session-id"]
        haldir.rpc(
            f"/mcp/{kind}", {"jsonrpc": "2.0", "method": "notifications/initialized"}, token, mcp_session_id=sealed
        )
        head = f"GET /mcp/{kind} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\naccept: text/event-stream\r\nmcp-session-id: {sealed}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", haldir.port), timeout=20) as connection:
            connection.sendall(head.encode())
            assert b"200 OK" in read_until(connection, b"\r\n\r\n")
            haldir.rest("DELETE", f"/v1/sessions/{session['session_id']}")
            revoked = time.monotonic()
            read_until(connection, b"0\r\n\r\n")
            assert time.monotonic() - revoked < 1.0


def test_progress_of_a_call_stops_within_a_second_of_the_sessions_end_and_the_call_is_settled(
    haldir: Haldir, upstream: RawUpstream
) -> None:
    finish = threading.Event()

    def chatty(connection: socket.socket, message: dict[str, Any]) -> None:
        connection.sendall(STREAM_HEAD)
        while not finish.wait(0.05):
            connection.sendall(b'data: {"jsonrpc":"2.0","method":"notifications/x"}\n\n')
        connection.sendall(
            b"data: " + json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": raw.RESULT}).encode() + b"\n\n"
        )

    upstream.on_call = chatty
    session = haldir.session("execute")
    with open_request(haldir, "/mcp/up", call("do"), session["token"]) as connection:
        read_until(connection, b"notifications/x")
        haldir.rest("DELETE", f"/v1/sessions/{session['session_id']}")
        revoked = time.monotonic()
        read_until(connection, b"0\r\n\r\n")
        assert time.monotonic() - revoked < 1.0
    finish.set()
    assert eventually(lambda: haldir.calls("posted"))
