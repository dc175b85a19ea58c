"""The two servers that are examined: the official one, and a Haldir in front of it."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from harness.processes import Up
from outside.places import EVERYTHING_SERVER
from upstreams.serving import free_port

UPSTREAM = "everything"
PATH = f"/mcp/{UPSTREAM}"
START_SECONDS_MAX = 60


@contextmanager
def official_server() -> Iterator[int]:
    """Run the official server; yields its port."""
    port = free_port()
    command = [sys.executable, "-m", "mcp_everything_server.server", "--port", str(port), "--log-level", "CRITICAL"]
    with subprocess.Popen(
        command, cwd=EVERYTHING_SERVER, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(port)
            yield port
        finally:
            process.terminate()


@contextmanager
def haldir_before(port: int, data: Path, *, with_policies: bool) -> Iterator[tuple[int, str]]:
    """Run a Haldir in front of it; yields its port, and the token of a session that may call everything."""
    with Up(data, "--upstream", f"{UPSTREAM}=http://127.0.0.1:{port}/mcp") as up:
        if with_policies:
            _add_policies_that_allow_all(up)
        token = up.token(f"execute:{UPSTREAM}", agent_id="conformance")
        yield up.port, token
        assert up.stop() == 0


def _add_policies_that_allow_all(up: Up) -> None:
    """Add one policy of every kind, none of which forbids anything the suite does."""
    offered = [tool["name"] for tool in up.rest("GET", "/v1/proxy/tools")["tools"]]
    hour = datetime.now(UTC).hour
    for policy in (
        {"type": "block_tool", "tool": "no_such_tool"},
        {"type": "deny_list", "tools": ["another.no_such_tool"]},
        {"type": "allow_list", "tools": [*offered, "no_such_tool", "test_dynamic_tool"]},
        {"type": "spend_limit", "max": 1_000_000},
        {"type": "rate_limit", "max_per_minute": 100_000},
        {"type": "time_window", "start_hour": (hour - 6) % 24, "end_hour": (hour + 6) % 24},
    ):
        up.rest("POST", "/v1/proxy/policies", policy)


def _wait_for(port: int) -> None:
    give_up = time.monotonic() + START_SECONDS_MAX
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            assert time.monotonic() < give_up, "the official server does not start"
            time.sleep(0.05)
        else:
            return
