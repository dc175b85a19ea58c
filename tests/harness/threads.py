"""A whole Haldir in a thread: what `haldir up` serves, where a test can reach inside the process."""

from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from haldir.app import Parts, serve, wall_clock
from haldir.config_file import OperatorUpstream
from haldir.faces.cli.doors import Ready
from haldir.kernel.clock import Clock
from haldir.kernel.secret import Secret
from haldir.operations.catalogue import Operation
from haldir.operations.everything import OPERATIONS
from haldir.proxy.model import UpstreamConfig
from haldir.settings import Settings
from harness.haldir import Haldir

BOOTSTRAP_TOKEN = "let me in, once"
BODY_SECONDS_MAX = 1.0  # Instead of ten: tests wait for it to pass.
STOP_SECONDS_MAX = 60


@contextmanager
def running_haldir(
    data: Path,
    *upstreams: OperatorUpstream,
    dsn: str | None = None,
    clock: Clock = wall_clock,
    operations: Sequence[Operation] = OPERATIONS,
    **settings: Any,
) -> Iterator[Haldir]:
    """Run a Haldir for as long as the block lasts; `settings` are those of the operator, by their names.

    It has asked its upstreams for their tools already.
    """
    given: dict[str, Any] = {"port": 0, "bootstrap_token": Secret(BOOTSTRAP_TOKEN), "allow_private": True}
    database_url = Secret(dsn) if dsn else None
    asked = Settings(data=data, upstreams=upstreams, database_url=database_url, **(given | settings))
    parts = Parts(clock=clock, operations=operations, body_seconds_max=BODY_SECONDS_MAX)
    ready: Future[Ready] = Future()
    with ThreadPoolExecutor(1) as thread:
        ended = thread.submit(serve, asked, ready.set_result, parts)
        either: list[Future[Any]] = [ready, ended]
        wait(either, return_when=FIRST_COMPLETED)
        if ended.done():
            ended.result()  # Raises what kept it from starting.
        try:
            haldir = Haldir(ready.result().url, data)
            if upstreams:
                haldir.rest("GET", "/v1/proxy/tools")
            yield haldir
        finally:
            ready.result().stop()
            assert ended.result(STOP_SECONDS_MAX) == 0


def http_upstream(name: str, url: str, deadline_seconds: float = 20.0, **headers: str) -> OperatorUpstream:
    named = {header.replace("_", "-"): value for header, value in headers.items()}
    return OperatorUpstream(name, UpstreamConfig(url=url, headers=named, deadline_seconds=deadline_seconds))


def stdio_upstream(name: str, *command: str, deadline_seconds: float = 20.0) -> OperatorUpstream:
    return OperatorUpstream(name, UpstreamConfig(command=command, deadline_seconds=deadline_seconds))
