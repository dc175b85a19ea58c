"""How an upstream has been doing: counted from its real calls, so that it recovers with the next good one."""

from typing import final

import msgspec

from haldir.kernel.clock import Clock, Micros

MILLISECONDS = 1000


class Health(msgspec.Struct, frozen=True):
    """What GET /v1/proxy/upstreams tells (WIRE.md §7). `last_check` 0 means never."""

    healthy: bool = True
    total_calls: int = 0
    total_errors: int = 0
    avg_latency_ms: float = 0.0
    last_check: Micros = 0
    last_error: str = ""
    failures: int = 0  # In a row, up to now.


@final
class HealthRecord:
    """Counts calls and errors; the last call alone says whether the upstream is healthy."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._calls = self._errors = self._failures = 0
        self._latency_seconds = 0.0
        self._last_error = ""
        self._last_check: Micros = 0

    def good(self, latency_seconds: float) -> None:
        """The upstream answered as MCP asks, whatever it said."""
        self._calls += 1
        self._failures = 0
        self._latency_seconds += latency_seconds
        self._last_error, self._last_check = "", self._clock()

    def bad(self, reason: str) -> None:
        """The upstream did not answer as MCP asks."""
        self._calls += 1
        self._errors += 1
        self._failures += 1
        self._last_error, self._last_check = reason, self._clock()

    def now(self) -> Health:
        answered = self._calls - self._errors
        average = round(self._latency_seconds / answered * MILLISECONDS, 3) if answered else 0.0
        return Health(
            not self._last_error,
            self._calls,
            self._errors,
            average,
            self._last_check,
            self._last_error,
            self._failures,
        )
