"""What one worker delivers to a healthy receiver, next to a plain loop of POSTs to that same receiver.

`webhooks.py [EVENTS [SECONDS]]`: first a backlog of so many events at once, then 100 a second for so long.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
import uvloop
from load import Load, Target, ask_times, cpu_seconds
from parties import free_port, post
from postgres import is_installed, postgres

HERE = Path(__file__).parent
FINE = range(200, 300)
CALLERS = 16
LOOPED = 2_000
PER_SECOND = 100  # What one worker shall deliver at least.
WAIT_SECONDS_MAX = 120.0
PAYLOAD = {"event": "anomaly", "source": "haldir", "data": "x" * 300}  # About as large as an event is.


class Haldir(NamedTuple):
    url: str
    admin: dict[str, str]
    pid: int


class Backlog(NamedTuple):
    per_second: float
    cpu_ms: float  # Of all of Haldir, per event.


class Steady(NamedTuple):
    """How late events came that were logged at a steady rate, and how many had not come when the last was logged."""

    late_p50_ms: float
    late_p99_ms: float
    left_over: int


def main(events: int, seconds: float) -> None:
    with receiver() as receiver_url:
        looped = uvloop.run(plain_loop(f"{receiver_url}/loop"))
        print(f"A plain loop of POSTs, one after another: {looped:,.0f}/s. The worker, one endpoint:\n")
        print(f"{'':10} {'of ' + format(events, ','):>10} {'of loop':>8} {'CPU ms':>8}", end=" ")
        print(f"{f'at {PER_SECOND}/s: p50 ms':>18} {'p99 ms':>8} {'left over':>10}", flush=True)
        with tempfile.TemporaryDirectory() as name:
            for engine, options in engines(Path(name)):
                with haldir(Path(name) / engine, options) as running:
                    backlog = deliver_backlog(running, receiver_url, f"/{engine}/backlog", events)
                    steady = deliver_steadily(running, receiver_url, f"/{engine}/steady", seconds)
                row = f"{engine:10} {backlog.per_second:>8,.0f}/s {backlog.per_second / looped:>8.2f}"
                row += f" {backlog.cpu_ms:>8.2f} {steady.late_p50_ms:>18,.0f} {steady.late_p99_ms:>8,.0f}"
                row += f" {steady.left_over:>10}"
                print(row, flush=True)


async def plain_loop(url: str) -> float:
    """Return how many POSTs a second one connection gets through, each after the answer to the one before."""
    async with aiohttp.ClientSession() as client:
        started = time.perf_counter()
        for _ in range(LOOPED):
            async with client.post(url, json=PAYLOAD) as answer:
                await answer.read()
        return LOOPED / (time.perf_counter() - started)


def deliver_backlog(running: Haldir, receiver_url: str, path: str, events: int) -> Backlog:
    """Log events as fast as that goes, and see what is delivered once all are logged."""
    target, load = register(running, receiver_url + path)
    ask_times(target, load, CALLERS, events)
    logged_at, cpu_before = time.monotonic(), cpu_seconds(running.pid)
    before = len(came(receiver_url, path))
    arrived = wait_for(receiver_url, path, events // CALLERS * CALLERS)
    cpu = cpu_seconds(running.pid) - cpu_before
    return Backlog((len(arrived) - before) / (arrived[-1] - logged_at), cpu / (len(arrived) - before) * 1e3)


def deliver_steadily(running: Haldir, receiver_url: str, path: str, seconds: float) -> Steady:
    """Log events at a steady rate; they arrive in order, so each is held against the time at which it was logged."""
    target, load = register(running, receiver_url + path)
    logged = []
    started = time.monotonic()
    for number in range(round(seconds * PER_SECOND)):
        time.sleep(max(0.0, started + number / PER_SECOND - time.monotonic()))
        logged.append(time.monotonic())
        post(target.url, json.loads(load.body), running.admin)
    left_over = len(logged) - len(came(receiver_url, path))
    arrived = wait_for(receiver_url, path, len(logged))
    cuts = statistics.quantiles((there - here for here, there in zip(logged, arrived, strict=True)), n=100)
    return Steady(cuts[49] * 1e3, cuts[98] * 1e3, left_over)


def register(running: Haldir, url: str) -> tuple[Target, Load]:
    """Register a webhook; return how to log an event for it alone."""
    webhook_id = post(f"{running.url}/v1/webhooks", {"url": url}, running.admin)["webhook_id"]
    body = json.dumps({"event": "anomaly", "webhook_id": webhook_id}).encode()
    load = Load(body, accepted=lambda status, _body: status in FINE)
    return Target(f"{running.url}/v1/webhooks/trigger", running.admin, running.pid), load


def wait_for(receiver_url: str, path: str, count: int) -> list[float]:
    give_up = time.monotonic() + WAIT_SECONDS_MAX
    while len(found := came(receiver_url, path)) < count:
        if time.monotonic() > give_up:
            raise TimeoutError(f"Of {count} events {len(found)} came.")
        time.sleep(0.2)
    return found


def came(receiver_url: str, path: str) -> list[float]:
    with urllib.request.urlopen(receiver_url + path) as answer:
        found: list[float] = json.load(answer)
    return found


@contextmanager
def receiver() -> Iterator[str]:
    """Start a receiver; yield its URL once it answers."""
    port = free_port()
    running = subprocess.Popen([sys.executable, HERE / "receiver.py", str(port)])
    try:
        while True:
            try:
                came(f"http://127.0.0.1:{port}", "/loop")
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        running.terminate()
        running.wait()


@contextmanager
def haldir(data: Path, options: list[str]) -> Iterator[Haldir]:
    command = [sys.executable, "-m", "haldir", "up", "--data", str(data), "--port", "0", "--json", "--allow-private"]
    running = subprocess.Popen([*command, *options], stdout=subprocess.PIPE)
    try:
        assert running.stdout is not None
        ready: Any = json.loads(running.stdout.readline())
        key = Path(ready["admin_key_file"]).read_text().strip()
        yield Haldir(ready["url"], {"Authorization": f"Bearer {key}"}, running.pid)
    finally:
        running.terminate()
        running.wait()


def engines(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """Yield each engine, and how a Haldir is started on it."""
    yield "sqlite", []
    if is_installed():
        with postgres(folder / "server") as dsn:
            yield "postgres", ["--database-url", dsn]
    else:
        print("PostgreSQL: not measured, for its development packages are not installed.")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000, float(sys.argv[2]) if len(sys.argv) > 2 else 10.0)
