"""How many governed calls a second one Haldir relays, and what each costs: `python bench/relay.py [seconds]`.

Three processes: a small upstream, `haldir up` with SQLite in a temporary folder, and this one as the clients.
"""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import uvicorn

CONNECTIONS = (1, 16, 64)
WARM_UP_SECONDS = 0.5
UPSTREAM_PORT = 4399
DEFINITION = {"name": "echo", "description": "Says the same again.", "inputSchema": {"type": "object"}}
RESULTS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "bench", "version": "1"},
    },
    "tools/list": {"tools": [DEFINITION]},
    "tools/call": {"content": [{"type": "text", "text": "hello"}], "isError": False},
    "ping": {},
}


def message(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


PING = message("ping")
CALL = message("tools/call", name="echo", arguments={"text": "hello"})


class Target(NamedTuple):
    url: str
    token: str
    pid: int


async def upstream(_scope: Any, receive: Any, send: Any) -> None:
    """Answer as a small server of the handshake era."""
    asked = json.loads((await receive())["body"])
    result = RESULTS.get(asked["method"])
    answer = {"result": result} if result is not None else {"error": {"code": -32601, "message": "no"}}
    body = json.dumps({"jsonrpc": "2.0", "id": asked.get("id"), **answer}).encode() if "id" in asked else b""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": 200 if body else 202, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main(seconds: float) -> None:
    """Time the upstream alone, then the same through Haldir ungoverned (ping) and governed (tools/call)."""
    with process("--upstream") as upstream_process, tempfile.TemporaryDirectory() as data, haldir(Path(data)) as up:
        server, ready = up
        key = Path(ready["admin_key_file"]).read_text().strip()
        alone = Target(f"http://127.0.0.1:{UPSTREAM_PORT}/", "", upstream_process.pid)
        relayed = Target(f"{ready['url']}/mcp/bench", session_token(ready["url"], key), server.pid)
        print(
            f"{'request':22} {'connections':>11} {'per s':>8} {'of alone':>8} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8}"
        )
        for connections in CONNECTIONS:
            baseline = show("tools/call, alone", alone, CALL, connections, seconds)
            show("ping, through", relayed, PING, connections, seconds, baseline=baseline)
            show("tools/call, governed", relayed, CALL, connections, seconds, baseline=baseline)


def show(
    name: str, target: Target, body: bytes, connections: int, seconds: float, *, baseline: float | None = None
) -> float:
    """Print a row, and return its requests per second; `baseline` is those of the upstream alone."""
    took, cpu_seconds_spent = asyncio.run(measure(target, body, connections, seconds))
    p50, p99 = (statistics.quantiles(took, n=100)[at] * 1e3 for at in (49, 98))
    rate, cpu = len(took) / seconds, cpu_seconds_spent / len(took) * 1e3
    share = rate / (baseline or rate)
    print(f"{name:22} {connections:>11} {rate:>8.0f} {share:>8.2f} {p50:>8.2f} {p99:>8.2f} {cpu:>8.3f}")
    return rate


@contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    running = subprocess.Popen([sys.executable, __file__, *arguments])
    try:
        yield running
    finally:
        running.terminate()
        running.wait()


@contextmanager
def haldir(data: Path) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, str]]]:
    url = f"bench=http://127.0.0.1:{UPSTREAM_PORT}/"
    command = [sys.executable, "-m", "haldir", "up", "--data", str(data), "--port", "0", "--json", "--upstream", url]
    running = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert running.stdout is not None
        yield running, json.loads(running.stdout.readline())
    finally:
        running.terminate()
        running.wait()


def session_token(url: str, key: str) -> str:
    body = json.dumps({"agent_id": "bench", "scopes": ["execute", "spend"], "spend_limit": 1_000_000}).encode()
    asked = urllib.request.Request(
        f"{url}/v1/sessions", body, {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    )
    with urllib.request.urlopen(asked) as answer:
        token: str = json.load(answer)["token"]
        return token


async def measure(target: Target, body: bytes, connections: int, seconds: float) -> tuple[list[float], float]:
    """Return how long each request took, and the processor time Haldir spent on all of them."""
    headers = {
        "Authorization": f"Bearer {target.token}",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
    }
    took: list[float] = []
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=connections), headers=headers) as client:

        async def once() -> None:
            started = time.perf_counter()
            async with client.post(target.url, data=body) as answer:
                result = await answer.json()
                assert "result" in result, result
                assert not result["result"].get("isError"), result
            took.append(time.perf_counter() - started)

        await load(once, connections, WARM_UP_SECONDS)
        took.clear()
        cpu_before = cpu_seconds(target.pid)
        await load(once, connections, seconds)
        return took, cpu_seconds(target.pid) - cpu_before


async def load(once: Callable[[], Awaitable[None]], callers: int, seconds: float) -> None:
    end = time.perf_counter() + seconds

    async def call_on() -> None:
        while time.perf_counter() < end:
            await once()

    await asyncio.gather(*(call_on() for _ in range(callers)))


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    if "--upstream" in sys.argv:
        uvicorn.run(upstream, port=UPSTREAM_PORT, log_level="error", lifespan="off")
    else:
        main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0)
