"""What a watcher of the process reads: requests, decisions, what waits, and what the process takes (Prometheus).

Nothing in it names a tenant, an agent or a tool: the operator's watchers are not the tenants' auditors.
"""

import time
from collections.abc import Iterator
from typing import final

from prometheus_client import CollectorRegistry, Counter, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from haldir.operations.context import Context

# From a read in memory to the longest an upstream may take by default.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LEFT = 499  # As nginx says of a caller that went away before it was answered.
METHODS = frozenset({"GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"})


@final
class Meter:
    """Counts what passes through the faces it wraps, and asks the parts for the rest when it is read."""

    def __init__(self, ctx: Context) -> None:
        self._registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        self._registry.register(_Parts(ctx))
        self._requests = Counter(
            "haldir_http_requests",
            "Requests by face, method and status; 499 is a caller that left.",
            ("face", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "haldir_http_request_seconds",
            "Time from a request to the end of its answer.",
            ("face",),
            registry=self._registry,
            buckets=SECONDS,
        )

    def measured(self, face: str, app: ASGIApp) -> ASGIApp:
        """Return the app with its requests counted."""

        async def measure(scope: Scope, receive: Receive, send: Send) -> None:
            status, started = LEFT, time.perf_counter()

            async def noting(message: Message) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            try:
                await app(scope, receive, noting)
            finally:
                if scope["type"] == "http":
                    method = scope["method"] if scope["method"] in METHODS else "other"
                    self._requests.labels(face, method, str(status)).inc()
                    self._seconds.labels(face).observe(time.perf_counter() - started)

        return measure

    def exposition(self) -> bytes:
        """Return everything in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


class _Parts(Collector):
    """What the parts of a running Haldir say of themselves at this moment."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def collect(self) -> Iterator[Metric]:
        figures = self._ctx.journal.figures()
        decisions = CounterMetricFamily("haldir_decisions", "Decisions in the log, by verdict.", labels=["verdict"])
        decisions.add_metric(["allowed"], figures.allowed)
        decisions.add_metric(["refused"], figures.refused)
        yield decisions
        yield CounterMetricFamily("haldir_commands_failed", "Commands without an outcome.", value=figures.failed)
        yield CounterMetricFamily("haldir_batches", "Commits of the journal.", value=figures.batches)
        yield GaugeMetricFamily("haldir_commands_waiting", "Commands that wait to be decided.", value=figures.waiting)
        yield GaugeMetricFamily("haldir_bytes_waiting", "Bytes of what waits.", value=figures.waiting_bytes)
        yield GaugeMetricFamily("haldir_calls_under_way", "Tool calls under way.", value=len(self._ctx.in_flight))
