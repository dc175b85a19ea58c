"""What REST requests cost, next to an endpoint of the same server that says no more than that it is there.

`rest.py [FOLDER [SECONDS]]`: SQLite, 16 connections, with a log of a thousand and of a million entries. What is
filled into FOLDER is there the next time.
"""

import json
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import uvloop
from growth import fill, serving
from load import Figures, Load, Target, measure

from haldir.app import open_context
from haldir.operations.tenants import first_tenant
from haldir.settings import Settings

SIZES = (1_000, 1_000_000)
CONNECTIONS = 16
SECONDS = 3.0
FINE = range(200, 300)


class Verb(NamedTuple):
    """A request as it is asked again and again; `headers` beside the key."""

    name: str
    method: str
    path: str
    body: dict[str, Any] | None = None
    headers: dict[str, str] = {}


class Side(NamedTuple):
    """A Haldir with a log of some size, and what is asked of it."""

    size: int
    haldir: Target
    key: str
    verbs: list[Verb]


def main(folder: Path, seconds: float) -> None:
    """Ask all sizes for one verb before the next: so that they share whatever else the machine does."""
    with ExitStack() as running:
        sides = [side(folder / str(size), size, running) for size in SIZES]
        heads = ("per s", "of hello", "of first", "p50 ms", "p99 ms", "of first", "CPU ms", "of first")
        print(f"{'':24} {'entries':>10}" + "".join(f"{head:>10}" for head in heads), flush=True)
        hellos: list[Figures] = []
        for number in range(len(sides[0].verbs)):
            found = [ask(each, each.verbs[number], seconds) for each in sides]
            hellos = hellos or found
            for each, figures, hello in zip(sides, found, hellos, strict=True):
                print(row(each.verbs[number].name, each.size, figures, hello, found[0]), flush=True)


def side(data: Path, size: int, running: ExitStack) -> Side:
    settings = Settings(data=data)
    key = uvloop.run(grow(settings, size))
    haldir = running.enter_context(serving(settings))
    return Side(size, haldir, key, list(verbs(haldir.url, key)))


def ask(side: Side, verb: Verb, seconds: float) -> Figures:
    headers = {"Authorization": f"Bearer {side.key}", **verb.headers}
    body = b"" if verb.body is None else json.dumps(verb.body).encode()
    load = Load(body, verb.method, lambda status, _body: status in FINE)
    return measure(Target(side.haldir.url + verb.path, headers, side.haldir.pid), load, CONNECTIONS, seconds)


def row(name: str, size: int, found: Figures, hello: Figures, first: Figures) -> str:
    rate = f"{found.per_second:>10,.0f}{found.per_second / hello.per_second:>10.3f}"
    rate += f"{found.per_second / first.per_second:>10.3f}"
    times = f"{found.p50_ms:>10.2f}{found.p99_ms:>10.2f}{found.p99_ms / first.p99_ms:>10.2f}"
    return f"{name:24} {size:>10,}{rate}{times}{found.cpu_ms:>10.3f}{found.cpu_ms / first.cpu_ms:>10.2f}"


async def grow(settings: Settings, size: int) -> str:
    """Have a log of `size` entries; return the key of the tenant whose it is."""
    settings.data.mkdir(parents=True, exist_ok=True)
    async with open_context(settings) as ctx:
        first = await first_tenant(ctx)
        await fill(ctx, first.tenant, size)
        return first.key.reveal()


def verbs(url: str, key: str) -> Iterator[Verb]:
    """Return what is asked: first what leaves the log as long as it is."""
    opened = {"agent_id": "bench", "scopes": ["read", "spend"], "spend_limit": 1_000_000, "ttl": 0}
    session = post(f"{url}/v1/sessions", opened, key)["session_id"]
    post(f"{url}/v1/secrets", {"name": "BENCH", "value": "value"}, key)
    action = {"session_id": session, "tool": "files.read_file", "action": "read", "cost_usd": 0.01}
    yield Verb("hello", "GET", "/livez")
    yield Verb("audit query, 100", "GET", "/v1/audit")
    yield Verb("audit query, 10 of tool", "GET", "/v1/audit?tool=files.read_file&limit=10")
    yield Verb("audit query, 10 of agent", "GET", "/v1/audit?agent_id=agent-1&limit=10")
    yield Verb("sessions get", "GET", f"/v1/sessions/{session}")
    yield Verb("sessions check", "POST", f"/v1/sessions/{session}/check", {"scope": "read"})
    yield Verb("sessions create", "POST", "/v1/sessions", opened)
    yield Verb("payments authorize", "POST", "/v1/payments/authorize", {"session_id": session, "amount": 0.01})
    yield Verb("secrets get", "GET", "/v1/secrets/BENCH", headers={"X-Session-ID": session})
    yield Verb("audit log", "POST", "/v1/audit", action)


def post(address: str, body: object, key: str) -> Any:
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {key}"}
    with urllib.request.urlopen(urllib.request.Request(address, json.dumps(body).encode(), headers)) as answer:
        return json.load(answer)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        main(Path(sys.argv[1] if len(sys.argv) > 1 else name), float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS)
