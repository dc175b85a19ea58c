"""One MCP session over a child of its own, played to the relay as if it were a Streamable HTTP upstream.

Which stream a message takes: an answer the stream of its request; progress the stream of the request that asked
for it; other requests and notifications the newest open request's, or the standing GET stream.
"""

from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

import msgspec
from msgspec import UNSET

from haldir.kernel.errors import UpstreamError
from haldir.proxy import message as rpc
from haldir.proxy.child import Child
from haldir.proxy.exchange import Onward
from haldir.proxy.mailbox import Mailbox
from haldir.proxy.message import MessageId
from haldir.proxy.model import UpstreamConfig
from haldir.proxy.nursery import Nursery
from haldir.proxy.played import PlayedExchange, accepted, answered, problem, streamed

BACKLOG_MAX = 64  # Messages kept until the client opens its GET stream; the oldest go first.
STANDING = "\0get"  # The name of the GET stream among the open ones; no request id is like it.


@final
class ChildSession:
    """A child between its start and its end; `is_over` when the client must begin anew."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._open: dict[MessageId, Mailbox] = {}
        self._tokens: dict[MessageId, MessageId] = {}
        self._backlog: deque[bytes] = deque(maxlen=BACKLOG_MAX)

    @classmethod
    async def start(cls, nursery: Nursery, config: UpstreamConfig) -> "ChildSession":
        session = cls()
        session._child = await nursery.start(config, session._hear, session._ended, lambda: bool(session._open))
        return session

    @property
    def is_over(self) -> bool:
        return self._child is None or not self._child.is_alive

    def end(self, nursery: Nursery) -> None:
        """End the child; streams that are open end with it."""
        if self._child is not None:
            nursery.dismiss(self._child)
            self._child = None

    @asynccontextmanager
    async def open(self, onward: Onward) -> AsyncIterator[PlayedExchange]:
        """Play one exchange. A request left early is not cancelled: in this era a disconnect means nothing."""
        if onward.method == "GET":
            async with self._listen() as exchange:
                yield exchange
            return
        message = rpc.read(onward.body)
        if not message.is_request:
            await self._write(onward.body)
            yield accepted()
            return
        assert message.id is not UNSET
        if message.id in self._open:
            yield problem(400, -32600, "A request with this id is still open.")
            return
        async with self._asked(message.id, onward) as exchange:
            yield exchange

    @asynccontextmanager
    async def _asked(self, request_id: MessageId, onward: Onward) -> AsyncIterator[PlayedExchange]:
        mailbox = self._open[request_id] = Mailbox()
        token = _progress_token(onward.body)
        if token is not None:
            self._tokens[token] = request_id
        try:
            await self._write(onward.body)
            first = await mailbox.take()
            if first is not None and rpc.read(first).answers(request_id):
                yield answered(first)
            else:
                yield streamed(first, mailbox)
        finally:
            self._open.pop(request_id, None)
            if token is not None:
                self._tokens.pop(token, None)

    @asynccontextmanager
    async def _listen(self) -> AsyncIterator[PlayedExchange]:
        if STANDING in self._open:
            yield problem(409, -32600, "This session's stream is open already.")
            return
        mailbox = self._open[STANDING] = Mailbox()
        while self._backlog:
            mailbox.put(self._backlog.popleft())
        try:
            yield streamed(None, mailbox)
        finally:
            self._open.pop(STANDING, None)

    async def _write(self, message: bytes) -> None:
        if self._child is None:
            raise UpstreamError("The upstream's process has exited.", sent=False)
        await self._child.write(message)

    def _hear(self, line: bytes) -> None:
        try:
            message = rpc.read(line)
        except UpstreamError:
            return  # Some servers print to their output; what is no message is nobody's.
        if message.is_response:
            mailbox = self._open.get(message.id) if message.id is not UNSET else None
            if mailbox is not None:
                mailbox.put(line)
                mailbox.close()
        elif (listener := self._listener(line)) is not None:
            listener.put(line)
        else:
            self._backlog.append(line)

    def _listener(self, line: bytes) -> Mailbox | None:
        request_id = self._tokens.get(_params(line).progress_token)
        if request_id is not None and request_id in self._open:
            return self._open[request_id]
        asking = [mailbox for name, mailbox in self._open.items() if name != STANDING]
        return asking[-1] if asking else self._open.get(STANDING)

    def _ended(self, error: UpstreamError) -> None:
        for name, mailbox in self._open.items():
            if name == STANDING:
                mailbox.close()
            else:
                mailbox.fail(error)


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    progress_token: MessageId = None


class _Params(msgspec.Struct, frozen=True, rename="camel"):
    progress_token: MessageId = None
    meta: _Meta = msgspec.field(name="_meta", default=_Meta())


class _Asking(msgspec.Struct, frozen=True):
    params: _Params = _Params()


_asking = msgspec.json.Decoder(_Asking).decode


def _params(message: bytes) -> _Params:
    try:
        return _asking(message).params
    except (msgspec.MsgspecError, RecursionError):
        return _Params()


def _progress_token(request: bytes) -> MessageId:
    return _params(request).meta.progress_token
