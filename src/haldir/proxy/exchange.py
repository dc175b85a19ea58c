"""One HTTP exchange with an upstream, as the relay sees it: real for HTTP upstreams, played for stdio ones."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

import msgspec

from haldir.proxy.sse import Event

ANSWER_BYTES_MAX = 16 << 20  # One answer, held in memory until it is settled; larger ones are refused.
JSON = "application/json"
EVENT_STREAM = "text/event-stream"
REDIRECTED, REFUSED, SERVER_FAULT = 300, 400, 500  # Where these HTTP statuses begin.
DISTRUSTED = frozenset({401, 403, 407})  # The upstream distrusts Haldir's credential; that is not the caller's fault.
SESSION_HEADER = "mcp-session-id"
VERSION_HEADER = "mcp-protocol-version"


class Onward(msgspec.Struct, frozen=True):
    """What goes to the upstream. `headers` have lower-case names and hold nothing of the caller's own."""

    method: Literal["POST", "GET", "DELETE"]
    headers: dict[str, str]
    body: bytes = b""


class Exchange(Protocol):
    """The upstream's answer: its head is there, its body still flows. Faults of the flow raise UpstreamError."""

    status: int
    headers: dict[str, str]  # Lower-case names; of a repeated one the first.

    @property
    def media_type(self) -> str:
        """Return the content type without parameters, in lower case."""

    async def body(self) -> bytes:
        """Return the whole body, at most ANSWER_BYTES_MAX."""

    def events(self, bytes_max: int | None = None) -> AsyncIterator[Event]:
        """Yield the events of a stream as they come, at most `bytes_max` in all."""


class Endpoint(Protocol):
    """Where exchanges with one upstream begin."""

    def open(self, onward: Onward) -> AbstractAsyncContextManager[Exchange]:
        """Send it and yield the answer; leaving the block early ends the exchange there and then."""


def media_type_of(headers: dict[str, str]) -> str:
    return headers.get("content-type", "").partition(";")[0].strip().lower()
