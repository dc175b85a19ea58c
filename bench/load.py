"""Requests over so many connections at once, each asking again as soon as it is answered, and what that took.

Written on the bare protocol, so that the asking costs little of the machine that it shares with what it measures.
"""

import asyncio
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import httptools
import uvloop

WARM_UP_SECONDS = 1.0
OK = 200

Accepted = Callable[[int, bytes], bool]  # Whether an answer, by status and body, is what was asked for.


class Target(NamedTuple):
    """Where requests go, with which headers, and the process whose work is measured."""

    url: str
    headers: dict[str, str]
    pid: int


class Figures(NamedTuple):
    per_second: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # Of the target's process, per request.


class Failed(Exception):
    """An answer was not what was asked for."""


def is_result(status: int, body: bytes) -> bool:
    """Tell whether an MCP request succeeded."""
    return status == OK and b'"result"' in body and b'"isError":true' not in body


class Load(NamedTuple):
    """What is asked for again and again."""

    body: bytes = b""
    method: str = "POST"
    accepted: Accepted = is_result


def measure(target: Target, load: Load, connections: int, seconds: float) -> Figures:
    """Ask for so long, after a warm-up on the same connections. Raises Failed."""
    return uvloop.run(_measure(target, load, connections, seconds))


def ask_times(target: Target, load: Load, connections: int, times: int) -> None:
    """Ask so many times in all. Raises Failed."""
    uvloop.run(_ask_times(target, load, connections, times))


def memory_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmRSS")).split()[1]) / 1000


class Caller(asyncio.Protocol):
    """One connection."""

    def __init__(self, request: bytes, accepted: Accepted) -> None:
        self._request, self._accepted = request, accepted
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._body = b""

    async def ask(self) -> float:
        """Return how many seconds it took to be answered."""
        assert self._transport is not None
        self._answer, self._body = asyncio.get_running_loop().create_future(), b""
        started = time.perf_counter()
        self._transport.write(self._request)
        await self._answer
        return time.perf_counter() - started

    def close(self) -> None:
        assert self._transport is not None
        self._transport.close()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._answer.done():
            self._answer.set_exception(Failed(f"The connection was closed: {exc}"))

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        if self._accepted(self._parser.get_status_code(), self._body):
            self._answer.set_result(None)
        else:
            self._answer.set_exception(Failed(f"{self._parser.get_status_code()} {self._body[:300]!r}"))


async def _measure(target: Target, load: Load, connections: int, seconds: float) -> Figures:
    callers = await _connect(target, load, connections)
    await _ask_on(callers, WARM_UP_SECONDS)
    started, cpu_before = time.perf_counter(), cpu_seconds(target.pid)
    took = await _ask_on(callers, seconds)
    elapsed, cpu = time.perf_counter() - started, cpu_seconds(target.pid) - cpu_before
    for caller in callers:
        caller.close()
    cuts = statistics.quantiles(took, n=100)
    return Figures(len(took) / elapsed, cuts[49] * 1e3, cuts[98] * 1e3, cpu / len(took) * 1e3)


async def _ask_on(callers: list[Caller], seconds: float) -> list[float]:
    took: list[float] = []
    end = time.perf_counter() + seconds

    async def ask(caller: Caller) -> None:
        while time.perf_counter() < end:
            took.append(await caller.ask())

    await asyncio.gather(*map(ask, callers))
    return took


async def _ask_times(target: Target, load: Load, connections: int, times: int) -> None:
    async def ask(caller: Caller) -> None:
        for _ in range(times // connections):
            await caller.ask()
        caller.close()

    await asyncio.gather(*map(ask, await _connect(target, load, connections)))


async def _connect(target: Target, load: Load, connections: int) -> list[Caller]:
    parts, loop = urlsplit(target.url), asyncio.get_running_loop()
    place = f"{parts.path}?{parts.query}" if parts.query else parts.path
    lines = [f"{load.method} {place} HTTP/1.1", f"Host: {parts.netloc}", f"Content-Length: {len(load.body)}"]
    lines += ["Content-Type: application/json", "Accept: application/json, text/event-stream"]
    lines += [f"{name}: {value}" for name, value in target.headers.items()]
    request = "\r\n".join((*lines, "", "")).encode() + load.body
    made = [
        await loop.create_connection(lambda: Caller(request, load.accepted), parts.hostname, parts.port)
        for _ in range(connections)
    ]
    return [caller for _, caller in made]


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
