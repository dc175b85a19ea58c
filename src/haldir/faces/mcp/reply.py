"""What goes back to the caller: one whole answer, or a stream of events. A caller that left is no error."""

import asyncio
from collections.abc import Iterable, Sequence
from typing import final

from starlette.types import Send

from haldir.faces.mcp.faults import Fault, Header
from haldir.proxy.exchange import EVENT_STREAM, JSON
from haldir.proxy.sse import frame

EVENT_SECONDS_MAX = 5.0  # A caller that takes nothing for this long is gone; its call must not wait for it.

JSON_HEADER: Header = (b"content-type", JSON.encode())
STREAM_HEADERS: tuple[Header, ...] = (
    (b"content-type", EVENT_STREAM.encode()),
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
)


@final
class Reply:
    """Written at most once; what comes after the end is dropped."""

    def __init__(self, send: Send, always: Sequence[Header] = ()) -> None:
        """`always` are headers that any answer has."""
        self._send, self._always = send, always
        self.started = False
        self._ended = False

    async def whole(self, status: int, body: bytes, headers: Iterable[Header] = (JSON_HEADER,)) -> None:
        """Answer at once."""
        if self.started:
            return
        self.started = self._ended = True
        sized = [*headers, *self._always, (b"content-length", str(len(body)).encode())]
        await self._put({"type": "http.response.start", "status": status, "headers": sized})
        await self._put({"type": "http.response.body", "body": body})

    async def answer(self, status: int, body: bytes, headers: Iterable[Header] = (JSON_HEADER,)) -> None:
        """Answer at once, or where a stream was begun with its last event."""
        if not self.started:
            await self.whole(status, body, headers)
            return
        await self.event(frame(body).raw)
        await self.end()

    async def fault(self, fault: Fault, *, close: bool = False) -> None:
        """Answer with a fault; `close` ends the connection, of which more than the head was never read."""
        headers = [JSON_HEADER, *fault.headers, *([(b"connection", b"close")] if close else [])]
        await self.answer(fault.status, fault.body, headers)

    async def start_stream(self, status: int = 200, headers: Iterable[Header] = STREAM_HEADERS) -> None:
        if not self.started:
            self.started = True
            await self._put({"type": "http.response.start", "status": status, "headers": [*headers, *self._always]})

    async def event(self, raw: bytes) -> None:
        """Send the bytes of one event, if anyone still listens."""
        if self._ended:
            return
        try:
            async with asyncio.timeout(EVENT_SECONDS_MAX):
                await self._put({"type": "http.response.body", "body": raw, "more_body": True})
        except TimeoutError:
            self._ended = True

    async def end(self) -> None:
        """End the stream."""
        if self.started and not self._ended:
            self._ended = True
            await self._put({"type": "http.response.body", "body": b""})

    async def _put(self, message: dict[str, object]) -> None:
        try:
            await self._send(message)
        except OSError:
            self._ended = True
