"""`/approvals/events`: tells open pages, as server-sent events, that other approvals wait than those they show.

An event carries no content of an approval: the page asks for itself again, with its cookie.
"""

import asyncio
from collections import Counter
from typing import final

import msgspec
from starlette.types import Receive, Send

from haldir.faces.web.reply import HEADERS, NOT_KEPT
from haldir.faces.web.visits import Visit, Visits
from haldir.kernel.errors import Overloaded, RateLimited, Unavailable
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context

STREAMS_MAX = 500  # Open pages of one process; each is a connection, and a look at its key each second.
STREAMS_OF_KEY_MAX = 50  # Of those: the tabs of some people who share a key.
FULL_SECONDS = 10  # Until a page may ask again; its script waits as long.
HEARTBEAT_SECONDS = 15.0  # Proxies drop a silent connection after a minute, some after half of one.
STALLED_SECONDS_MAX = 20.0  # A reader who takes nothing for so long has gone away without saying so.
LOOK_SECONDS = 1.0  # Between two looks at whether the key counts and the visit goes on.
RETRY = b"retry: 2000\n\n"  # Milliseconds until a browser comes again after a stream has ended.
UNKNOWN = -1  # No version.


@final
class Events:
    """The streams that are open, and their end."""

    def __init__(self, ctx: Context, visits: Visits) -> None:
        self._ctx, self._visits = ctx, visits
        self._open: Counter[tuple[TenantId, str]] = Counter()  # By the key that the visit is of.
        self._closing = False

    def close(self) -> None:
        """End all streams within a second."""
        self._closing = True

    async def stream(self, visit: Visit, receive: Receive, send: Send) -> None:
        """Send events until the visit or its key ends, the reader is gone, or Haldir stops.

        Raises Overloaded and RateLimited where there is no place for one more.
        """
        key = visit.tenant, visit.prefix
        self._check_place(key)
        self._open[key] += 1
        gone = asyncio.ensure_future(_disconnected(receive))
        try:
            headers = [(b"content-type", b"text/event-stream"), (b"x-accel-buffering", b"no"), NOT_KEPT, *HEADERS]
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            line = _Line(send)
            await line.send(RETRY)
            await self._tell(visit, gone, line)
            await send({"type": "http.response.body", "body": b""})
        except TimeoutError:
            return
        finally:
            self._open -= Counter([key])  # Keys without a stream are forgotten.
            gone.cancel()

    def _check_place(self, key: tuple[TenantId, str]) -> None:
        if self._open[key] >= STREAMS_OF_KEY_MAX:
            message = f"{STREAMS_OF_KEY_MAX} pages are open with this key; one more will not update by itself."
            raise RateLimited(message, STREAMS_OF_KEY_MAX, "open pages", FULL_SECONDS)
        if self._open.total() >= STREAMS_MAX or self._closing:
            raise Overloaded("Too many pages are open; this one will not update by itself.")

    async def _tell(self, visit: Visit, gone: "asyncio.Future[None]", line: "_Line") -> None:
        version = UNKNOWN
        while not self._closing and not gone.done() and self._visits.goes_on(visit):
            try:
                if await self._visits.still_there(visit) is None:
                    return
                count = await self._ctx.pending.changed(self._ctx.store, visit.tenant, version, LOOK_SECONDS)
            except Unavailable:  # The store is away; look again.
                await asyncio.sleep(LOOK_SECONDS)
                continue
            if count.version != version:
                version = count.version
                told = msgspec.json.encode({"version": version, "waiting": count.pending})
                await line.send(b"event: pending\ndata: " + told + b"\n\n")
            await line.beat()


class _Line:
    """Bytes on their way to a reader, who is given some time to take them. Raises TimeoutError then."""

    def __init__(self, send: Send) -> None:
        self._send, self._now = send, asyncio.get_running_loop().time
        self._sent_at = self._now()

    async def send(self, chunk: bytes) -> None:
        async with asyncio.timeout(STALLED_SECONDS_MAX):
            await self._send({"type": "http.response.body", "body": chunk, "more_body": True})
        self._sent_at = self._now()

    async def beat(self) -> None:
        """Send something if nothing was sent for a while."""
        if self._now() >= self._sent_at + HEARTBEAT_SECONDS:
            await self.send(b":\n\n")


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
