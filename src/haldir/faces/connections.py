"""Connections that wait for a request: none waits for long, and however many wait, a request still gets in.

Whoever can reach the socket can open connections; they cost him nothing before he has to say who he is.
"""

import asyncio
import resource
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

CONNECTIONS_MAX = 8192  # Beyond this a request is told 503 at once instead of waiting for everyone else.
HEAD_SECONDS = 10.0  # A head is one packet or two; what takes longer is not a client.
KEEP_ALIVE_SECONDS = 75  # Longer than the usual idle time of a client's pool, so that it closes first.
FILES_PER_CONNECTION = 2  # Its own, and one for what its request has to open: an upstream, the database.


class WaitingRoom:
    """Who waits for a request, longest first. Beyond half of all connections the first one is turned out."""

    def __init__(self, connections_max: int, head_seconds: float) -> None:
        self.connections_max, self.head_seconds = connections_max, head_seconds
        self._waiting: dict[asyncio.Transport, None] = {}

    def enter(self, transport: asyncio.Transport) -> None:
        self._waiting[transport] = None
        if len(self._waiting) > self.connections_max // 2:
            longest = next(iter(self._waiting))
            del self._waiting[longest]
            longest.abort()  # Not `close`: that would wait for whoever does not read what he was sent.

    def leave(self, transport: asyncio.Transport) -> None:
        self._waiting.pop(transport, None)


class Listener(uvicorn.Config):
    """uvicorn's configuration, and the waiting room that all its connections share."""

    def __init__(self, app: ASGIApp, room: WaitingRoom, graceful_seconds: int) -> None:
        super().__init__(
            app,
            http=Connection,
            loop="none",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            limit_concurrency=room.connections_max,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=graceful_seconds,
        )
        self.room = room


class Connection(HttpToolsProtocol):
    """One connection. Between requests uvicorn's keep-alive timer watches it until the next byte, then this one."""

    def __init__(
        self,
        config: Listener,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._room = config.room
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # As uvicorn has it.
        super().connection_made(transport)
        self._room.enter(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._head_timer is None and self._idle():  # A part of the next head, or of a body that nobody reads.
            self._expect_head()

    def on_headers_complete(self) -> None:
        self._room.leave(self.transport)
        self._stop_timer()
        super().on_headers_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._idle():  # Also when it is being closed: it counts until all that was sent is read.
            self._room.enter(self.transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._room.leave(self.transport)
        self._stop_timer()
        super().connection_lost(exc)

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self._room.head_seconds, self.transport.close)

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None


def connections_max() -> int:
    """Return how many connections this process can hold open, having asked the system for as many as it takes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = CONNECTIONS_MAX * FILES_PER_CONNECTION
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return CONNECTIONS_MAX if soft == resource.RLIM_INFINITY else min(CONNECTIONS_MAX, soft // FILES_PER_CONNECTION)
