"""Held calls whose answer stays open: who listens hears of the wait, and what is approved meanwhile is made at once."""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client

from haldir.faces.mcp.held_waits import WAITERS_MAX
from harness.databases import dsn_of
from harness.eventually import eventually
from harness.haldir import Haldir
from harness.messages import call
from harness.official import official_client
from harness.open_requests import open_request, read_until
from harness.piped import started_client
from harness.threads import running_haldir
from upstreams import sample
from upstreams.serving import serving

FOREVER_SECONDS = 3600.0  # Longer than any test waits: what ends earlier ended for another reason.
LOOKED_SECONDS = 2  # Longer than between two looks at an approval.
APPROVAL = re.compile(r"apr_[\w-]+")
DOORS = [("/mcp/sample", "count"), ("/mcp", "sample__count")]


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with serving(sample.app()) as url:
        yield f"{url}/mcp"


@pytest.fixture(scope="module")
def haldir(upstream: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """A Haldir that holds every call of `count` and every payment, and waits for a person very long."""
    with running_haldir(tmp_path_factory.mktemp("data"), held_seconds=FOREVER_SECONDS) as haldir:
        hold(haldir, upstream)
        yield haldir


def hold(haldir: Haldir, upstream: str) -> None:
    haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": upstream})
    haldir.rest("POST", "/v1/approvals/rules", {"type": "tool_blocked", "tools": ["sample.count"]})
    haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 1})


class Listener:
    """Hears progress as a client does; decides about the approval that the first word of it names."""

    def __init__(self, haldir: Haldir, verdict: str = "") -> None:
        self.haldir, self.verdict = haldir, verdict
        self.told: list[tuple[float, str]] = []

    async def __call__(self, progress: float, total: float | None, message: str | None) -> None:
        self.told.append((progress, message or ""))
        if self.verdict and len(self.told) == 1:
            found = APPROVAL.search(message or "")
            assert found
            await asyncio.to_thread(self.haldir.rest, "POST", f"/v1/approvals/{found.group()}/{self.verdict}")


def told_by(result: Any) -> Any:
    return json.loads(result.content[0].text)


@asynccontextmanager
async def bridged(haldir: Haldir, _path: str, token: str, mode: str) -> AsyncIterator[Client]:
    async with started_client(haldir.url, token, mode) as client:
        yield client


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize(
    ("reach", "path", "tool"),
    [(official_client, *DOORS[0]), (official_client, *DOORS[1]), (bridged, *DOORS[1])],
    ids=["relayed", "joined", "stdio"],
)
def test_what_is_approved_while_its_caller_waits_is_made_within_the_same_request(
    haldir: Haldir, reach: Callable[..., Any], path: str, tool: str, mode: str
) -> None:
    session, listener = haldir.session("execute"), Listener(haldir, "approve")

    async def talk() -> None:
        async with reach(haldir, path, session["token"], mode) as client:
            result = await client.call_tool(tool, {"steps": 2}, progress_callback=listener)
            assert (result.is_error, result.content[0].text) == (False, "counted to 2")

    asyncio.run(talk())
    progress = [heard for heard, _ in listener.told]
    assert progress == sorted(set(progress))
    assert [message for _, message in listener.told][-2:] == ["step 1", "step 2"]
    assert f"{haldir.url}/approvals/apr_" in listener.told[0][1]
    assert len(haldir.calls_let_through(session)) == 1


@pytest.mark.parametrize(("path", "tool"), DOORS)
def test_what_is_denied_while_its_caller_waits_is_refused_at_once(haldir: Haldir, path: str, tool: str) -> None:
    session, listener = haldir.session("execute"), Listener(haldir, "deny")

    async def talk() -> Any:
        async with official_client(haldir, path, session["token"]) as client:
            return await client.call_tool(tool, {"steps": 2}, progress_callback=listener)

    result = asyncio.run(talk())
    assert (result.is_error, told_by(result)["code"]) == (True, "approval_denied")
    assert haldir.calls_let_through(session) == []


@pytest.mark.parametrize("verdict", ["approve", "deny"])
def test_a_payment_that_is_held_is_waited_for_likewise(haldir: Haldir, verdict: str) -> None:
    session, listener = haldir.session("spend", spend_limit=10), Listener(haldir, verdict)

    async def talk() -> Any:
        async with official_client(haldir, "/mcp", session["token"]) as client:
            return await client.call_tool("authorizePayment", {"amount": 3}, progress_callback=listener)

    said = told_by(asyncio.run(talk()))
    assert said["authorized"] is (verdict == "approve")
    shown = haldir.rest("GET", f"/v1/sessions/{session['session_id']}")
    assert shown["spent"] == (3.0 if verdict == "approve" else 0.0)


def test_who_asks_for_no_progress_is_answered_at_once(haldir: Haldir) -> None:
    result = haldir.rpc("/mcp", call("sample__count", steps=1), haldir.token()).message["result"]
    assert json.loads(result["content"][0]["text"])["status"] == "approval_required"


def test_who_takes_no_stream_is_answered_at_once(haldir: Haldir) -> None:
    answer = haldir.rpc("/mcp", listening(), haldir.token(), accept="application/json")
    assert answer.headers["content-type"] == "application/json"
    assert "approval_required" in answer.message["result"]["content"][0]["text"]


def test_a_caller_that_leaves_gives_its_wait_up_and_nothing_is_made_for_it(haldir: Haldir) -> None:
    session = haldir.session("execute")
    with open_listening(haldir, session["token"]) as connection:
        approval_id = named_in(read_until(connection, b"apr_"))
    haldir.rest("POST", f"/v1/approvals/{approval_id}/approve")
    let_look(haldir, session)
    assert haldir.calls_let_through(session) == []
    result = haldir.rpc("/mcp", call("sample__count", steps=1), session["token"]).message["result"]
    assert result["content"][0]["text"] == "counted to 1"
    assert len(haldir.calls_let_through(session)) == 1


def test_a_session_that_is_revoked_ends_the_wait(haldir: Haldir) -> None:
    session = haldir.session("execute")
    with open_listening(haldir, session["token"]) as connection:
        read_until(connection, b"apr_")
        haldir.rest("DELETE", f"/v1/sessions/{session['session_id']}")
        assert b"approval_required" in read_until(connection, b"0\r\n\r\n")


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_when_nobody_decides_in_time_the_answer_is_plain_and_the_identical_call_passes_later(
    upstream: str, tmp_path: Path, store: str, request: pytest.FixtureRequest
) -> None:
    with running_haldir(tmp_path, dsn=dsn_of(request, store), held_seconds=0.3) as haldir:
        hold(haldir, upstream)
        session, listener = haldir.session("execute"), Listener(haldir)

        async def talk() -> None:
            async with official_client(haldir, "/mcp/sample", session["token"], "legacy") as client:
                held = await client.call_tool("count", {"steps": 2}, progress_callback=listener)
                said = told_by(held)
                assert said["status"] == "approval_required"
                assert held.is_error  # Or the client would refuse it: the tool promises structured content.
                assert said["approval_id"] == named_in(listener.told[0][1].encode())
                await asyncio.to_thread(haldir.rest, "POST", f"/v1/approvals/{said['approval_id']}/approve")
                done = await client.call_tool("count", {"steps": 2})
                assert done.content[0].text == "counted to 2"  # type: ignore[union-attr]

        asyncio.run(talk())
        assert len(haldir.calls_let_through(session)) == 1


def test_a_haldir_that_never_waits_answers_at_once(upstream: str, tmp_path: Path) -> None:
    with running_haldir(tmp_path, held_seconds=0) as haldir:
        hold(haldir, upstream)
        answer = haldir.rpc("/mcp", listening(), haldir.token())
        assert answer.headers["content-type"] == "application/json"


def test_a_server_that_stops_answers_who_waits(upstream: str, tmp_path: Path) -> None:
    with running_haldir(tmp_path, held_seconds=FOREVER_SECONDS) as haldir:
        hold(haldir, upstream)
        connection = open_listening(haldir, haldir.token())
        read_until(connection, b"apr_")
    with connection:
        assert b"approval_required" in read_until(connection, b"0\r\n\r\n")


def test_of_two_that_wait_for_the_same_one_is_made_and_the_other_waits_on(haldir: Haldir) -> None:
    session = haldir.session("execute")
    with (
        open_listening(haldir, session["token"]) as one,
        open_listening(haldir, session["token"]) as other,
    ):
        approval_id = named_in(read_until(one, b"apr_"))
        assert named_in(read_until(other, b"apr_")) == approval_id
        haldir.rest("POST", f"/v1/approvals/{approval_id}/approve")
        eventually(lambda: haldir.calls_let_through(session))
        eventually(lambda: haldir.rest("GET", f"/v1/approvals/{approval_id}")["used_by"])
        pending = haldir.rest("GET", "/v1/approvals/pending")["requests"]
        assert all(each["request_id"] != approval_id for each in pending)
        haldir.rest("DELETE", f"/v1/sessions/{session['session_id']}")
        answers = read_until(one, b"0\r\n\r\n"), read_until(other, b"0\r\n\r\n")
    assert sorted(b"counted to 1" in each for each in answers) == [False, True]
    assert len(haldir.calls_let_through(session)) == 1


def test_no_more_wait_than_may_and_who_comes_beyond_is_answered_at_once(haldir: Haldir) -> None:
    session = haldir.session("execute")
    with ExitStack() as waiting:
        for _ in range(WAITERS_MAX):
            read_until(waiting.enter_context(open_listening(haldir, session["token"])), b"apr_")
        beyond = haldir.rpc("/mcp", listening(), session["token"])
        assert beyond.headers["content-type"] == "application/json"
        assert "approval_required" in beyond.message["result"]["content"][0]["text"]

    def is_heard() -> bool:
        with open_listening(haldir, session["token"]) as connection:
            return b"text/event-stream" in read_until(connection, b"apr_")

    eventually(is_heard)  # Once it was noticed that the others left.


def listening() -> dict[str, Any]:
    """Return a call of `sample__count` whose client wants to hear of progress."""
    message = call("sample__count", steps=1)
    message["params"]["_meta"] = {"progressToken": "token"}
    return message


def open_listening(haldir: Haldir, token: str) -> socket.socket:
    return open_request(haldir, "/mcp", listening(), token)


def let_look(haldir: Haldir, session: Any) -> None:
    """Wait for a word that nobody gives, for as long as whoever waits for another one takes to look for it."""
    asked = haldir.rest("POST", "/v1/approvals/request", {"session_id": session["session_id"]})
    haldir.rest("GET", f"/v1/approvals/{asked['request_id']}?wait={LOOKED_SECONDS}")


def named_in(said: bytes) -> str:
    found = APPROVAL.search(said.decode())
    assert found, said
    return found.group()
