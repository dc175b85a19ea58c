"""Ten thousand sessions opened and closed: no process, socket, task or piece of memory stays behind."""

import asyncio
import gc
import json
import shlex
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path

import aiohttp
import pytest

from haldir.gate.model import Session
from haldir.operations.books import KnownCredential
from haldir.outbound.clients import KEEPALIVE_SECONDS
from harness.eventually import eventually
from harness.haldir import Haldir
from harness.messages import call, initialize
from harness.processes import Up
from harness.threads import http_upstream, running_haldir, stdio_upstream
from peers.footprint import Footprint, footprint
from upstreams.serving import serving
from upstreams.tiny import TinyServer, shell_command

SESSIONS = 10_000
WARM_UP_SESSIONS = 4_000  # After these the caches of rows and pages have their size; that of credentials nearly.
CALLERS = 8
KEPT_BYTES_PER_SESSION_MAX = 1_000  # A remembered credential, but not one buffer, task or connection.
WATCHED_SESSIONS = 200
LEAVE_SECONDS_MAX = 60  # Timers of connections that were kept for reuse run out.
REMEMBERED = {Session, KnownCredential, tuple}  # Rows and credentials, and what they hold; how many is bounded.
UPSTREAMS = ("http", "stdio")
HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}


@pytest.fixture
def tiny() -> TinyServer:
    return TinyServer()


@pytest.mark.timeout(1200)
def test_ten_thousand_sessions_leave_nothing_behind(
    tmp_path: Path, tiny: TinyServer, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tiny) as url, up(tmp_path, f"{url}/mcp") as server:
        asyncio.run(run_sessions(server, WARM_UP_SESSIONS))
        before, open_before = at_rest(server), set(tiny.open)  # Haldir has a session of its own, to discover tools.
        asyncio.run(run_sessions(server, SESSIONS))
        after = at_rest(server)
        with capsys.disabled():
            print(f"\n{SESSIONS} sessions: {before} became {after}")  # noqa: T201 - the figures are the result.
        assert tiny.open == open_before
        assert (after.descriptors, after.children, after.threads) == before[1:]
        assert after.resident_bytes - before.resident_bytes < SESSIONS * KEPT_BYTES_PER_SESSION_MAX
        assert server.stop() == 0


def test_sessions_leave_no_task_and_no_object_behind(tmp_path: Path, tiny: TinyServer) -> None:
    """Seen from inside the process: what the collector knows is there as often as before, but for what is cached."""
    stdio = stdio_upstream("stdio", *shell_command())
    with serving(tiny) as url, running_haldir(tmp_path, http_upstream("http", f"{url}/mcp"), stdio) as haldir:
        one_at_a_time(haldir, WATCHED_SESSIONS)  # Whatever is made once is made now.
        before = objects()
        one_at_a_time(haldir, WATCHED_SESSIONS)
        eventually(lambda: not left_over(before), LEAVE_SECONDS_MAX)


def one_at_a_time(haldir: Haldir, count: int) -> None:
    """Open and close sessions; each has a standing stream, which its client simply drops."""
    for number in range(count):
        path, token = f"/mcp/{UPSTREAMS[number % len(UPSTREAMS)]}", haldir.token()
        session = haldir.rpc(path, initialize(), token).headers["mcp-session-id"]
        drop_stream(haldir, path, token, session)
        assert "result" in haldir.rpc(path, call("do"), token, mcp_session_id=session).body
        closed = haldir.delete(path, key=token, mcp_session_id=session)
        assert closed.status == 200


def drop_stream(haldir: Haldir, path: str, token: str, session: str) -> None:
    with closing(HTTPConnection("127.0.0.1", haldir.port, timeout=60)) as connection:
        given = {"Accept": "text/event-stream", "Authorization": f"Bearer {token}", "Mcp-Session-Id": session}
        connection.request("GET", path, headers=given)
        assert connection.getresponse().status in {200, 405}


def objects() -> Counter[type]:
    gc.collect()
    return Counter(map(type, gc.get_objects()))


def left_over(before: Counter[type]) -> dict[type, int]:
    """Return the kinds of objects that were added by the session; what is made once, whenever, is fewer."""
    added = objects() - before
    return {kind: more for kind, more in added.items() if more > WATCHED_SESSIONS // 4 and kind not in REMEMBERED}


def up(data: Path, url: str) -> Up:
    return Up(data, "--upstream", f"http={url}", "--upstream", f"stdio={shlex.join(shell_command())}")


def at_rest(server: Up) -> Footprint:
    """Return the footprint once connections that were kept for reuse are closed and children are gone."""
    quiet_since, found = time.monotonic(), footprint(server.process.pid)
    while time.monotonic() - quiet_since < 2 * KEEPALIVE_SECONDS:
        time.sleep(0.1)
        now = footprint(server.process.pid)
        if now[1:] != found[1:]:
            quiet_since, found = time.monotonic(), now
    return footprint(server.process.pid)


async def run_sessions(server: Up, count: int) -> None:
    numbers = iter(range(count))
    connector = aiohttp.TCPConnector(limit=CALLERS)
    async with aiohttp.ClientSession(server.url, connector=connector, headers=HEADERS) as client:

        async def caller() -> None:
            for number in numbers:
                await one_session(client, server.key, UPSTREAMS[number % len(UPSTREAMS)])

        await asyncio.gather(*(caller() for _ in range(CALLERS)))


async def one_session(client: aiohttp.ClientSession, key: str, upstream: str) -> None:
    """Open a session of Haldir and one of MCP in it, call a tool, and close both."""
    admin = {"Authorization": f"Bearer {key}"}
    async with client.post("/v1/sessions", json={"agent_id": "a", "scopes": ["execute"]}, headers=admin) as answer:
        session = await answer.json()
    agent = {"Authorization": f"Bearer {session['token']}"}
    path = f"/mcp/{upstream}"
    async with client.post(path, json=initialize(), headers=agent) as answer:
        agent["Mcp-Session-Id"] = answer.headers["Mcp-Session-Id"]
    async with client.post(path, json=INITIALIZED, headers=agent) as answer:
        assert answer.status == 202
    async with client.post(path, json=call("do"), headers=agent) as answer:
        result = json.loads(await answer.read())["result"]
        assert result["content"][0]["text"] == "ok", result
    async with client.delete(path, headers=agent) as answer:
        assert answer.status == 200
    async with client.delete(f"/v1/sessions/{session['session_id']}", headers=admin) as answer:
        assert answer.status == 200
