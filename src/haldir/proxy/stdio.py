"""A stdio upstream as an endpoint of exchanges: a child of its own per MCP session, a shared one without."""

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

from msgspec import UNSET

from haldir.proxy import message as rpc
from haldir.proxy.child_session import ChildSession
from haldir.proxy.dialogue import Dialogue
from haldir.proxy.era import HANDSHAKE_VERSIONS, MODERN
from haldir.proxy.exchange import SESSION_HEADER, VERSION_HEADER, Exchange, Onward
from haldir.proxy.model import UpstreamConfig
from haldir.proxy.nursery import Nursery
from haldir.proxy.played import PlayedExchange, accepted, answered, ended, problem, streamed
from haldir.proxy.shared_child import SharedChild

SESSION_ID_BYTES = 18


@final
class StdioEndpoint:
    """What the relay sees of a stdio upstream."""

    def __init__(self, nursery: Nursery, config: UpstreamConfig, shared: SharedChild, dialogue: Dialogue) -> None:
        self._nursery, self._config = nursery, config
        self._shared, self._dialogue = shared, dialogue
        self._sessions: dict[str, ChildSession] = {}

    @asynccontextmanager
    async def open(self, onward: Onward) -> AsyncIterator[Exchange]:
        """Play one exchange in the era that the request speaks."""
        version = onward.headers.get(VERSION_HEADER)
        if version is not None and version not in HANDSHAKE_VERSIONS:
            async with self._open_modern(onward, version) as exchange:
                yield exchange
        else:
            async with self._open_legacy(onward) as exchange:
                yield exchange

    def close(self) -> None:
        """End all children of this upstream."""
        while self._sessions:
            self._sessions.popitem()[1].end(self._nursery)
        self._shared.stop()

    @asynccontextmanager
    async def _open_legacy(self, onward: Onward) -> AsyncIterator[Exchange]:
        session_id = onward.headers.get(SESSION_HEADER)
        if session_id is None:
            async with self._initialize(onward) as exchange:
                yield exchange
            return
        session = self._sessions.get(session_id)
        if session is None or session.is_over:
            self._sessions.pop(session_id, None)
            yield problem(404, -32600, "Session not found")
        elif onward.method == "DELETE":
            self._sessions.pop(session_id).end(self._nursery)
            yield ended()
        else:
            async with session.open(onward) as exchange:
                yield exchange

    @asynccontextmanager
    async def _initialize(self, onward: Onward) -> AsyncIterator[Exchange]:
        if onward.method != "POST" or rpc.read(onward.body).method != "initialize":
            yield problem(400, -32600, "Bad Request: Missing session ID")
            return
        self._forget_ended()
        session = await ChildSession.start(self._nursery, self._config)
        session_id = secrets.token_urlsafe(SESSION_ID_BYTES)
        try:
            async with session.open(onward) as exchange:
                self._sessions[session_id] = session
                exchange.headers[SESSION_HEADER] = session_id
                yield exchange
        finally:
            if session_id not in self._sessions:
                session.end(self._nursery)

    @asynccontextmanager
    async def _open_modern(self, onward: Onward, version: str) -> AsyncIterator[Exchange]:
        if onward.method != "POST":
            yield problem(405, -32600, "Method Not Allowed")
            return
        message = rpc.read(onward.body)
        if not message.is_request:
            yield accepted()  # This era has no client notification over HTTP that a shared server could act on.
            return
        era = await self._dialogue.agree()
        if version != MODERN or not era.is_modern:
            supported = [MODERN] if era.is_modern else [era.version]
            data = {"supported": supported, "requested": version}
            yield problem(400, -32022, "Unsupported protocol version", data, message.id)
            return
        async with self._ask_shared(onward) as exchange:
            yield exchange

    @asynccontextmanager
    async def _ask_shared(self, onward: Onward) -> AsyncIterator[PlayedExchange]:
        async with await self._shared.begin(rpc.members(onward.body)) as opened:
            first = await opened.take()
            assert first is not None
            message = rpc.read(first)
            if message.is_response:
                yield _with_status(answered(first), message)
            else:
                yield streamed(first, opened.mailbox)

    def _forget_ended(self) -> None:
        for session_id in [name for name, session in self._sessions.items() if session.is_over]:
            del self._sessions[session_id]


def _with_status(exchange: PlayedExchange, message: rpc.Message) -> PlayedExchange:
    """Give an error the HTTP status that 2026-07-28 asks for."""
    if message.error is not UNSET:
        exchange.status = rpc.http_status(message.error)
    return exchange
