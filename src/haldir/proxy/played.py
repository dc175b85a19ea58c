"""Exchanges that Haldir plays for an upstream which does not speak HTTP."""

from collections.abc import AsyncIterator
from typing import final

import msgspec

from haldir.kernel.errors import UpstreamError
from haldir.proxy.exchange import EVENT_STREAM, JSON, media_type_of
from haldir.proxy.mailbox import Mailbox
from haldir.proxy.sse import Event, frame


@final
class PlayedExchange:
    """An answer made of messages: one as a whole, or a stream of them."""

    def __init__(
        self,
        status: int,
        headers: dict[str, str],
        body: bytes = b"",
        first: bytes | None = None,
        mailbox: Mailbox | None = None,
    ) -> None:
        self.status, self.headers = status, headers
        self._body, self._first, self._mailbox = body, first, mailbox

    @property
    def media_type(self) -> str:
        return media_type_of(self.headers)

    async def body(self) -> bytes:
        return self._body

    async def events(self, bytes_max: int | None = None) -> AsyncIterator[Event]:
        total = 0
        if self._first is not None:
            yield frame(self._first)
        while self._mailbox is not None and (message := await self._mailbox.take()) is not None:
            total += len(message)
            if bytes_max is not None and total > bytes_max:
                raise UpstreamError("The upstream's answer is too large.", sent=True)
            yield frame(message)


def answered(message: bytes) -> PlayedExchange:
    return PlayedExchange(200, {"content-type": JSON}, message)


def streamed(first: bytes | None, mailbox: Mailbox) -> PlayedExchange:
    return PlayedExchange(200, {"content-type": EVENT_STREAM}, first=first, mailbox=mailbox)


def accepted() -> PlayedExchange:
    return PlayedExchange(202, {})


def ended() -> PlayedExchange:
    return PlayedExchange(200, {})


def problem(status: int, code: int, text: str, data: object = None, request_id: object = None) -> PlayedExchange:
    """Answer with a JSON-RPC error."""
    error = {"code": code, "message": text} | ({"data": data} if data is not None else {})
    body = msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": error})
    return PlayedExchange(status, {"content-type": JSON}, body)
