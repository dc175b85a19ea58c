"""Who stands behind an address in `relay.py`: each a process of its own, started, waited for and ended."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from load import Target

HERE = Path(__file__).parent
GATEWAYS = HERE.parent / ".venv" / "gateways"
START_SECONDS_MAX = 120.0  # LiteLLM takes ten on a quiet machine.
MASTER_KEY = "sk-bench"  # As gateways/litellm.yaml has it.
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class NotThere(Exception):
    """A party that is not installed, or does not start."""


def message(method: str, **params: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()


PING = message("ping")
CALL = message("tools/call", name="echo", arguments={"text": "hello"})


@contextmanager
def upstream() -> Iterator[Target]:
    port = free_port()
    with started([sys.executable, HERE / "upstream.py", port], url(port), CALL) as target:
        yield target


@contextmanager
def forwarder(behind: Target) -> Iterator[Target]:
    port = free_port()
    with started([sys.executable, HERE / "forwarder.py", port, behind.url], url(port), CALL) as target:
        yield target


@contextmanager
def fastmcp(behind: Target, sessions: str) -> Iterator[Target]:
    """FastMCP's proxy; `sessions` as gateways/fastmcp_proxy.py has it."""
    port, python = free_port(), installed("fastmcp", "python")
    command = [python, HERE / "gateways" / "fastmcp_proxy.py", port, behind.url, sessions]
    with started(command, url(port, "/mcp"), CALL) as target:
        yield target


@contextmanager
def litellm(behind: Target) -> Iterator[Target]:
    """LiteLLM's MCP gateway, with one worker: each party is one process."""
    port, program = free_port(), installed("litellm", "litellm")
    config = HERE / "gateways" / "litellm.yaml"
    command = [program, "--config", config, "--host", "127.0.0.1", "--port", port, "--num_workers", "1"]
    production = {"LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "BENCH_UPSTREAM": behind.url}
    headers = {"Authorization": f"Bearer {MASTER_KEY}"}
    with started([*command, "--telemetry", "False"], url(port, "/mcp/bench"), CALL, headers, production) as target:
        yield target


@contextmanager
def haldir(behind: Target, data: Path) -> Iterator[Target]:
    """Haldir as an operator starts it, with an agent's key and 20 policies."""
    command = [sys.executable, "-m", "haldir", "up", "--data", str(data), "--port", "0", "--json"]
    running = subprocess.Popen([*command, "--upstream", f"bench={behind.url}"], stdout=subprocess.PIPE)
    try:
        assert running.stdout is not None
        ready = json.loads(running.stdout.readline())
        admin = {"Authorization": f"Bearer {Path(ready['admin_key_file']).read_text().strip()}"}
        asked = {"name": "bench", "scopes": ["execute"], "spend_limit": 1_000_000}
        key = post(f"{ready['url']}/v1/agents", asked, admin)["key"]
        for policy in policies():
            post(f"{ready['url']}/v1/proxy/policies", policy, admin)
        yield Target(f"{ready['url']}/mcp/bench", {"Authorization": f"Bearer {key}"}, running.pid)
    finally:
        running.terminate()
        running.wait()


def policies() -> list[dict[str, Any]]:
    """Return 20 policies of every kind: 11 look at the tool `echo`, 9 are about others, none refuses."""
    far = (datetime.now(UTC) + timedelta(days=3)).weekday()  # A day that this will not last until.
    open_days = [day for at, day in enumerate(WEEKDAYS) if at != far]
    window = {"type": "time_window", "start_hour": 0, "end_hour": 24, "weekdays": open_days}
    rate = {"type": "rate_limit", "max_per_minute": 1_000_000}
    return [
        *({"type": "block_tool", "tool": f"other.delete_{number}"} for number in range(6)),
        *({"type": "deny_list", "tools": [f"drop_{number}", f"truncate_{number}"]} for number in range(3)),
        *({"type": "allow_list", "tools": ["echo", f"tool_{number}"]} for number in range(3)),
        *({"type": "spend_limit", "max": 10 * number} for number in range(1, 4)),
        *({**rate, "per": per} for per in ("session", "agent", "tenant")),
        *({**window, "zone": zone} for zone in ("Europe/Berlin", "America/New_York")),
    ]


def post(address: str, body: object, headers: dict[str, str]) -> Any:
    asked = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json", **headers})
    with urllib.request.urlopen(asked) as answer:
        return json.load(answer)


def installed(gateway: str, program: str) -> Path:
    found = GATEWAYS / gateway / "bin" / program
    if not found.exists():
        raise NotThere("it is not installed: `make gateways` does that")
    return found


@contextmanager
def started(
    command: list[Any],
    address: str,
    body: bytes,
    headers: dict[str, str] | None = None,
    environment: dict[str, str] | None = None,
) -> Iterator[Target]:
    """Start a process and yield its target once it answers `body`. Raises NotThere."""
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    running = subprocess.Popen([str(word) for word in command], env=os.environ | (environment or {}), **silent)
    target = Target(address, headers or {}, running.pid)
    try:
        wait_until_it_answers(target, body, running)
        yield target
    finally:
        running.terminate()
        running.wait()


def wait_until_it_answers(target: Target, body: bytes, running: "subprocess.Popen[bytes]") -> None:
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream", **target.headers}
    end, answer = time.monotonic() + START_SECONDS_MAX, "nothing"
    while time.monotonic() < end:
        if running.poll() is not None:
            raise NotThere(f"it ended with code {running.returncode} when it was started")
        try:
            with urllib.request.urlopen(urllib.request.Request(target.url, body, headers), timeout=10) as answered:
                answer = answered.read().decode()
            if '"result"' in answer:
                return
        except (OSError, urllib.error.HTTPError) as error:
            answer = str(error)
        time.sleep(0.2)
    raise NotThere(f"it did not answer within {START_SECONDS_MAX:g} s, but said: {answer}")


def url(port: int, path: str = "/") -> str:
    return f"http://127.0.0.1:{port}{path}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
