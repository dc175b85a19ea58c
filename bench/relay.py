"""What a governed call costs, next to the same upstream alone and to others who stand between: `relay.py [seconds]`.

All parties serve one small upstream, each as one process of its own; this one is the clients. Haldir has an agent's
key, SQLite in a temporary folder and 20 policies; its two entries per call are durable before the answer.
"""

import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import parties
from load import Failed, Figures, Load, Target, ask_times, measure, memory_mb
from parties import CALL, PING, NotThere

CONNECTIONS = (1, 16, 64)
CALLS_BEFORE_WEIGHING = 10_000
CALLERS_BEFORE_WEIGHING = 16


class Table:
    """Rows as they are measured, each beside the upstream alone at as many connections."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._alone: dict[int, Figures] = {}
        print(
            f"{'':31} {'connections':>11} {'per s':>8} {'of alone':>8} {'p50 ms':>8} {'p99 ms':>8} {'added':>8}"
            f" {'CPU ms':>8}"
        )

    def row(self, name: str, target: Target, body: bytes, connections: int) -> None:
        found = measure(target, Load(body), connections, self._seconds)
        alone = self._alone.setdefault(connections, found)
        print(
            f"{name:31} {connections:>11} {found.per_second:>8,.0f} {found.per_second / alone.per_second:>8.3f}"
            f" {found.p50_ms:>8.2f} {found.p99_ms:>8.2f} {found.p50_ms - alone.p50_ms:>8.2f} {found.cpu_ms:>8.3f}",
            flush=True,
        )


def main(seconds: float) -> None:
    with parties.upstream() as alone, tempfile.TemporaryDirectory() as data:
        with parties.forwarder(alone) as forwarder, parties.haldir(alone, Path(data)) as haldir:
            ask_times(haldir, Load(CALL), CALLERS_BEFORE_WEIGHING, CALLS_BEFORE_WEIGHING)
            print(f"Haldir holds {memory_mb(haldir.pid):.1f} MB after {CALLS_BEFORE_WEIGHING:,} calls.\n")
            table = Table(seconds)
            for connections in CONNECTIONS:
                table.row("upstream alone", alone, CALL, connections)
                table.row("bare forwarder", forwarder, CALL, connections)
                table.row("Haldir, ungoverned (ping)", haldir, PING, connections)
                table.row("Haldir, governed (tools/call)", haldir, CALL, connections)
        beside(table, "FastMCP proxy", lambda: parties.fastmcp(alone, "fresh"))
        beside(table, "FastMCP proxy, one session", lambda: parties.fastmcp(alone, "shared"))
        beside(table, "LiteLLM MCP gateway", lambda: parties.litellm(alone))


def beside(table: Table, name: str, start: Callable[[], AbstractContextManager[Target]]) -> None:
    """Measure another gateway, or say why that could not be done."""
    try:
        with start() as target:
            for connections in CONNECTIONS:
                table.row(name, target, CALL, connections)
    except (NotThere, Failed) as error:
        print(f"{name}: not measured, for {error}.")


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 4.0)
