"""What a long log costs: `growth.py [sqlite|postgres] [SIZE…]`, by default SQLite at a thousand to a million entries.

Entries are made as in life: through the journal, by 64 callers, each an agent that opens a new session now and then.
"Append" is what the next commands cost at each size; the rest is asked of a `haldir up` over HTTP.
"""

import asyncio
import base64
import hashlib
import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import uvloop
from load import Target
from postgres import postgres

from haldir.app import open_context
from haldir.kernel import ids
from haldir.kernel.ids import TenantId
from haldir.kernel.secret import Secret
from haldir.operations.audit_commands import LogAction
from haldir.operations.context import Context
from haldir.operations.session_commands import CreateSession
from haldir.operations.tenants import first_tenant
from haldir.settings import Settings
from haldir.watch.queries import read_bundle, read_head

SIZES = (1_000, 100_000, 1_000_000)
CALLERS = 64
ACTIONS_PER_SESSION = 500
APPEND_SECONDS = 2.0
PAGE_ROUNDS = 50
WARM_UP_SECONDS = 1.0  # A Haldir that just started still loads what speaks to upstreams.
BUNDLE = 256
MEGABYTE = 1_000_000
PAGES = ("newest", "of a session", "of an agent", "all kinds", "middle")


class Author:
    """One caller: an agent that reports actions, in a session that it renews."""

    def __init__(self, ctx: Context, tenant: TenantId, number: int) -> None:
        self._ctx, self._tenant = ctx, tenant
        self.agent, self.session = f"agent-{number}", ""
        self._left = number * ACTIONS_PER_SESSION // CALLERS  # So that they do not all renew at once.

    async def act(self) -> None:
        if not self.session or not self._left:
            await self._open_session()
        self._left -= 1
        action = LogAction(op_id=self._ctx.new_op(), session_id=self.session, action="read", tool="files.read_file")
        assert (await self._ctx.journal.apply(self._tenant, action)).allowed

    async def _open_session(self) -> None:
        op_id = self._ctx.new_op()
        self.session, self._left = ids.session_id(op_id), self._left or ACTIONS_PER_SESSION
        opened = CreateSession(
            op_id=op_id,
            session_id=self.session,
            agent_id=self.agent,
            token_sha256=secrets.token_hex(32),
            scopes=("read",),
            ttl_seconds=0,
        )
        assert (await self._ctx.journal.apply(self._tenant, opened)).allowed


class Appended(NamedTuple):
    per_second: float
    cpu_micros: float  # Per command.


class Grown(NamedTuple):
    """A log of some size: what appending to it cost, its bytes, and what plain SHA-256 takes for them."""

    size: int
    by_many: Appended
    by_one: Appended
    log_bytes: int
    hash_seconds: float
    someone: Author
    key: str


def main(engine: str, sizes: list[int]) -> None:
    print(f"{engine}, each page 100 entries, times in ms (median of {PAGE_ROUNDS})\n")
    heads = ("entries", "append/s", "CPU µs", "by one/s", *PAGES, "tree head", "verify s", "MB/s", "SHA-256 MB/s")
    print("".join(f"{head:>13}" for head in heads), flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if engine == "sqlite":
            for size in sizes:
                show(Settings(data=folder), size)
        else:
            with postgres(folder / "postgres") as url:
                for size in sizes:
                    show(Settings(data=folder, database_url=Secret(url)), size)


def show(settings: Settings, size: int) -> None:
    grown = uvloop.run(grow(settings, size))
    with serving(settings) as haldir:
        client = Client(haldir.url, grown.key)
        client.warm_up()
        pages = [client.milliseconds(path) for path in paths(client, grown)]
        head = client.milliseconds("/v1/audit/tree-head")
        began = time.perf_counter()
        verified = client.get("/v1/audit/verify")
        took = time.perf_counter() - began
    assert verified["verified"], verified
    rates = (grown.by_many.per_second, grown.by_many.cpu_micros, grown.by_one.per_second)
    row = [f"{size:>13,}", *(f"{rate:>13,.0f}" for rate in rates), *(f"{page:>13.2f}" for page in (*pages, head))]
    row += [f"{took:>13.2f}", *(f"{grown.log_bytes / each / MEGABYTE:>13.0f}" for each in (took, grown.hash_seconds))]
    print("".join(row), flush=True)


async def grow(settings: Settings, size: int) -> Grown:
    """Fill the log up to `size` entries, and see what more of them cost."""
    async with open_context(settings) as ctx:
        first = await first_tenant(ctx)
        authors = await fill(ctx, first.tenant, size)
        by_one = await append(authors[:1])
        by_many = await append(authors)
        log_bytes, hash_seconds = await hashed(ctx, first.tenant)
        return Grown(size, by_many, by_one, log_bytes, hash_seconds, authors[0], first.key.reveal())


async def fill(ctx: Context, tenant: TenantId, size: int) -> list[Author]:
    """Have a log of about `size` entries; return who wrote what was missing."""
    authors = [Author(ctx, tenant, number) for number in range(CALLERS)]
    missing = size - (await read_head(ctx.store, tenant)).size
    await asyncio.gather(*(act_times(author, missing // CALLERS) for author in authors))
    return authors


async def act_times(author: Author, times: int) -> None:
    for _ in range(times):
        await author.act()


async def append(authors: list[Author]) -> Appended:
    made, began, cpu = 0, time.perf_counter(), time.process_time()

    async def act_on(author: Author) -> None:
        nonlocal made
        while time.perf_counter() < began + APPEND_SECONDS:
            await author.act()
            made += 1

    await asyncio.gather(*map(act_on, authors))
    elapsed, spent = time.perf_counter() - began, time.process_time() - cpu
    return Appended(made / elapsed, spent / made * 1e6)


async def hashed(ctx: Context, tenant: TenantId) -> tuple[int, float]:
    """Return how many bytes the log's entries have, and how long SHA-256 alone takes for them."""
    plain, log_bytes, seconds = hashlib.sha256(), 0, 0.0
    for bundle in range(-(-(await read_head(ctx.store, tenant)).size // BUNDLE)):
        bodies = [entry.body for entry in await read_bundle(ctx.store, tenant, bundle)]
        began = time.perf_counter()
        for body in bodies:
            plain.update(body)
        seconds += time.perf_counter() - began
        log_bytes += sum(map(len, bodies))
    return log_bytes, seconds


class Client:
    """Asks over one connection."""

    def __init__(self, url: str, key: str) -> None:
        self._connection = http.client.HTTPConnection(urlsplit(url).netloc)
        self._headers = {"Authorization": f"Bearer {key}"}

    def get(self, path: str) -> Any:
        return self._ask("GET", path)

    def post(self, path: str) -> Any:
        return self._ask("POST", path)

    def _ask(self, method: str, path: str) -> Any:
        self._connection.request(method, path, headers=self._headers)
        answer = self._connection.getresponse()
        body = json.loads(answer.read())
        assert answer.status == http.client.OK, body
        return body

    def warm_up(self) -> None:
        end = time.perf_counter() + WARM_UP_SECONDS
        while time.perf_counter() < end:
            self.get("/v1/audit")

    def milliseconds(self, path: str) -> float:
        took = []
        for _ in range(PAGE_ROUNDS):
            began = time.perf_counter()
            self.get(path)
            took.append(time.perf_counter() - began)
        return statistics.median(took) * 1e3


def paths(client: Client, grown: Grown) -> list[str]:
    """Return the pages that are asked for, in the order of PAGES."""
    middle = client.get(f"/v1/audit?kind=all&cursor={cursor(grown.size // 2)}")["next_cursor"]
    return [
        "/v1/audit",
        f"/v1/audit?session_id={grown.someone.session}",
        f"/v1/audit?agent_id={grown.someone.agent}",
        "/v1/audit?kind=all",
        f"/v1/audit?cursor={middle}",
    ]


def cursor(index: int) -> str:
    """Return the cursor of the page that begins below this entry, as `GET /v1/audit` gives it."""
    return base64.urlsafe_b64encode(f"before {index}".encode()).decode().rstrip("=")


@contextmanager
def serving(settings: Settings) -> Iterator[Target]:
    """Run `haldir up` on the same data."""
    command = [sys.executable, "-m", "haldir", "up", "--data", str(settings.data), "--port", "0", "--json"]
    database = {"HALDIR_DATABASE_URL": settings.database_url.reveal()} if settings.database_url else {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | database) as running:
        assert running.stdout is not None
        try:
            yield Target(json.loads(running.stdout.readline())["url"], {}, running.pid)
        finally:
            running.terminate()


if __name__ == "__main__":
    asked = sys.argv[1:]
    main(asked[0] if asked else "sqlite", [int(size) for size in asked[1:]] or list(SIZES))
