"""The two wires under a dialogue: requests over Streamable HTTP, and over the pipes of a shared child."""

import asyncio
from typing import TYPE_CHECKING, final

from haldir.kernel.errors import UpstreamError
from haldir.proxy import message as rpc
from haldir.proxy.dialogue import Heard, Question
from haldir.proxy.era import Era
from haldir.proxy.exchange import ANSWER_BYTES_MAX, EVENT_STREAM, JSON, REDIRECTED, SESSION_HEADER, Exchange, Onward
from haldir.proxy.shared_child import NOT_OFFERED, PING_RESULT, SharedChild

if TYPE_CHECKING:  # Only a name here: it comes with aiohttp, which is slow to import.
    from haldir.proxy.http import HttpEndpoint

REPLY_SECONDS = 5.0  # What a server asks of us on the way is answered quickly or not at all.
REPLIES_MAX = 32  # Under way at once; a server that asks faster gets no answer.


@final
class HttpWire:
    """Each request is a POST of its own."""

    generation = 0

    def __init__(self, endpoint: "HttpEndpoint") -> None:
        self._endpoint = endpoint
        self._replies: set[asyncio.Task[None]] = set()

    async def ready(self) -> None:
        """A connection is made with the first request."""

    async def renew(self) -> None:
        """Each request stands alone."""

    async def ask(self, era: Era, question: Question) -> Heard:
        headers = era.headers(question.method, question.params) | dict(question.headers)
        async with self._endpoint.open(Onward("POST", headers, _encoded(question))) as exchange:
            message = await self._answer(exchange, era, question)
            return Heard(message, exchange.status, exchange.headers.get(SESSION_HEADER))

    async def tell(self, era: Era, message: bytes) -> None:
        async with self._endpoint.open(Onward("POST", era.headers("", {}), message)) as exchange:
            await exchange.body()

    async def _answer(self, exchange: Exchange, era: Era, question: Question) -> bytes | None:
        if exchange.media_type == EVENT_STREAM:
            return await self._from_stream(exchange, era, question)
        body = await exchange.body()
        if exchange.status < REDIRECTED:
            if exchange.media_type == JSON and rpc.is_answer(body, question.number):
                return body
            raise rpc.garbage()
        return body if exchange.media_type == JSON and _is_own(body, question.number) else None

    async def _from_stream(self, exchange: Exchange, era: Era, question: Question) -> bytes:
        async for event in exchange.events(ANSWER_BYTES_MAX):
            if not event.is_message:
                continue
            message = rpc.read(event.data)
            if message.answers(question.number):
                return event.data
            if message.is_request:
                self._reply(era, message, event.data)
            elif not message.is_response:
                question.hear(event.data)
        raise UpstreamError("The upstream ended its answer before the result.", sent=True)

    def _reply(self, era: Era, message: rpc.Message, request: bytes) -> None:
        """Answer the upstream's own request: as a client Haldir offers only ping."""
        if len(self._replies) >= REPLIES_MAX:
            return
        answer = {"result": PING_RESULT} if message.method == "ping" else {"error": NOT_OFFERED}
        body = rpc.build({"jsonrpc": rpc.raw("2.0"), "id": rpc.members(request)["id"], **answer})
        task = asyncio.create_task(self._send_reply(era, body))
        self._replies.add(task)
        task.add_done_callback(self._replies.discard)

    async def _send_reply(self, era: Era, body: bytes) -> None:
        try:
            async with asyncio.timeout(REPLY_SECONDS):
                await self.tell(era, body)
        except (UpstreamError, TimeoutError):
            return  # The upstream's own deadline tells it.


@final
class ChildWire:
    """Requests share a child; its start voids what was agreed with the one before."""

    def __init__(self, shared: SharedChild) -> None:
        self._shared = shared

    @property
    def generation(self) -> int:
        return self._shared.generation

    async def ready(self) -> None:
        await self._shared.start()

    async def renew(self) -> None:
        self._shared.stop()
        await self._shared.start()

    async def ask(self, era: Era, question: Question) -> Heard:
        del era  # What it adds to the params stands in them.
        async with await self._shared.begin(rpc.members(_encoded(question))) as opened:
            while (message := await opened.take()) is not None:
                if rpc.read(message).is_response:
                    return Heard(message)
                question.hear(message)
        raise UpstreamError("The upstream ended its answer before the result.", sent=True)

    async def tell(self, era: Era, message: bytes) -> None:
        del era
        await self._shared.tell(message)


def _encoded(question: Question) -> bytes:
    return rpc.request(question.number, question.method, question.params)


def _is_own(body: bytes, number: int) -> bool:
    """Tell whether an HTTP error carries the answer to this very request; one without an id is about HTTP."""
    return rpc.is_answer(body, number) and rpc.read(body).id == number
