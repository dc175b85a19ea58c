"""A tools/call through the transparent relay: its events pass as they come, its answer waits for the settlement."""

import asyncio
from contextlib import ExitStack
from typing import Any, final

from haldir.faces.mcp.awaited import AwaitedAnswer, AwaitedAnswers
from haldir.faces.mcp.call_request import CallRequest
from haldir.faces.mcp.faults import Header
from haldir.faces.mcp.holdable_call import HoldableCall
from haldir.faces.mcp.hop import Hop
from haldir.faces.mcp.inbound import CallerLeft, Inbound
from haldir.faces.mcp.shared import Shared
from haldir.kernel.errors import OutcomeUnknown, Refused, UpstreamError
from haldir.operations.call_tool import CallEnd, call_tool
from haldir.operations.judged_call import ToolCall
from haldir.proxy import message as rpc
from haldir.proxy.exchange import ANSWER_BYTES_MAX, DISTRUSTED, EVENT_STREAM, JSON, REDIRECTED, SERVER_FAULT, Exchange
from haldir.proxy.sse import Event, frame, with_data

LOST_SESSION = 404


@final
class RelayedCall:
    """One call. `run` decides once what the caller gets, after the call was settled."""

    def __init__(self, shared: Shared, hop: Hop, inbound: Inbound, answers: AwaitedAnswers) -> None:
        self._shared, self._hop, self._inbound, self._answers = shared, hop, inbound, answers
        self._call_id = ""
        self._head: tuple[int, list[Header]] = (200, [])
        self._event: Event | None = None  # The one that carries the answer, if a stream does.
        self._resumable = False
        self._awaited: AwaitedAnswer | None = None
        self._while_open = ExitStack()
        self._is_open = False

    async def run(self) -> None:
        """Have the call governed and answer it. Raises what is no answer to a call: credentials, an absent store."""
        asker, upstream, tool = self._hop.asker, self._hop.upstream.name, self._inbound.params["name"]
        request = CallRequest(asker.caller, asker.session_id, upstream, tool, self._inbound, self._hop.reply)
        held = await HoldableCall.begun(self._shared, request)
        self._inbound = held.inbound
        call = ToolCall(asker.caller, asker.session_id, upstream, tool, held.inbound.arguments, held.inbound.beside)
        with self._while_open:
            try:
                end = await held.made(lambda: call_tool(self._shared.ctx, call, self._forward))
            except (Refused, UpstreamError, OutcomeUnknown) as error:
                await self._fail(held.failure(error, self._call_id))
            else:
                await self._deliver(end.answer)

    async def _forward(self, call_id: str, deadline_seconds: float) -> CallEnd:
        """Send the caller's own bytes and return how it ended. Raises UpstreamError."""
        self._call_id = call_id
        exchange = self._hop.channel.watched(self._in_time(deadline_seconds))
        if not self._inbound.is_modern:
            return await exchange  # A disconnect means nothing: the call goes on, is settled, and may be resumed.
        try:
            return await self._inbound.unless_left(exchange)
        except CallerLeft:
            return CallEnd("indeterminate", b"", "The caller cancelled the call.")

    async def _in_time(self, deadline_seconds: float) -> CallEnd:
        try:
            async with asyncio.timeout(deadline_seconds):
                return await self._exchange()
        except TimeoutError:
            raise UpstreamError(f"The upstream did not answer within {deadline_seconds:g} s.", sent=True) from None

    async def _exchange(self) -> CallEnd:
        async with self._hop.channel.endpoint.open(self._hop.onward("POST", self._inbound.body)) as exchange:
            self._head = exchange.status, self._hop.back(self._shared.ctx.keyring, exchange.headers)
            if exchange.media_type == EVENT_STREAM and exchange.status < REDIRECTED:
                answer = await self._from_stream(exchange)
            else:
                answer = await exchange.body()
                is_answer = exchange.media_type == JSON and rpc.is_answer(answer, self._inbound.id)
                if exchange.status in DISTRUSTED or not is_answer:
                    return self._without_answer(exchange, answer)
        ending = rpc.ending_of(answer)
        return CallEnd(ending.state, answer, ending.error)

    def _without_answer(self, exchange: Exchange, body: bytes) -> CallEnd:
        if exchange.status == LOST_SESSION and self._hop.upstream_session is not None:
            return CallEnd("voided", body, "The upstream no longer knows the session.")  # The client begins anew.
        if exchange.status < REDIRECTED:
            raise rpc.garbage()
        sent = exchange.status >= SERVER_FAULT
        raise UpstreamError(f"The upstream answered with HTTP status {exchange.status}.", sent=sent)

    async def _from_stream(self, exchange: Exchange) -> bytes:
        if self._hop.upstream_session is None or self._inbound.is_modern:
            self._event = await self._read(exchange)
        else:
            self._event = await self._read_or_await(exchange, self._hop.upstream_session)
        if self._event is None:
            raise UpstreamError("The upstream closed its answer midway.", sent=True)
        return self._event.data

    async def _read_or_await(self, exchange: Exchange, upstream_session: str) -> Event | None:
        """Take the answer from this stream or, once the client resumes it elsewhere, from there."""
        key = self._hop.asker.caller.tenant, self._hop.upstream.name, upstream_session, self._inbound.id
        self._awaited = self._while_open.enter_context(self._answers.expecting(key))
        reading = asyncio.create_task(self._read(exchange))
        try:
            either: set[asyncio.Future[Any]] = {reading, self._awaited.arrived}
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if not self._awaited.arrived.done():
                answer = reading.result()
                if answer is not None or not self._resumable:
                    return answer
            await self._hop.reply.end()
            return await self._awaited.arrived
        finally:
            reading.cancel()
            await asyncio.wait({reading})

    async def _read(self, exchange: Exchange) -> Event | None:
        """Pass events on until the one with the answer; None if the stream ends before it."""
        try:
            async for event in exchange.events(ANSWER_BYTES_MAX):
                self._resumable = self._resumable or bool(event.id)
                message = rpc.read(event.data) if event.is_message else None
                if message is not None and message.answers(self._inbound.id):
                    return event
                if message is None or not message.is_result_of_another(self._inbound.id):
                    await self._pass_on(event)  # The result of another would pass by its own settlement or filter.
        except UpstreamError:
            if not self._resumable:
                raise
        return None

    async def _pass_on(self, event: Event) -> None:
        reply, asker = self._hop.reply, self._hop.asker
        if not self._is_open:
            self._is_open = True
            opened = self._shared.streams.opened(asker.caller, asker.session_id, reply.end, stands=False)
            self._while_open.enter_context(opened)
            await reply.start_stream(*self._head)
        await reply.event(event.raw)

    async def _deliver(self, answer: bytes) -> None:
        """Give the caller the answer as it came, unless it was changed meanwhile."""
        status, headers = self._head
        if self._event is None:
            await self._hop.reply.answer(status, answer, headers)
            return
        event = self._event if self._event.data == answer else with_data(self._event, answer)
        if self._awaited is not None:
            self._awaited.settle(event)
        await self._finish(event)

    async def _fail(self, failure: bytes) -> None:
        if self._awaited is not None:
            self._awaited.settle(frame(failure))
        await self._hop.reply.answer(200, failure)

    async def _finish(self, event: Event) -> None:
        reply = self._hop.reply
        await reply.start_stream(*self._head)
        await reply.event(event.raw)
        await reply.end()
