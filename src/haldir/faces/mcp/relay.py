"""The transparent relay of `/mcp/{upstream}`: what is not governed passes as it is, in both directions."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import final

from msgspec import UNSET
from starlette.types import Receive

from haldir.faces.mcp.asker import lasting_asker_of, require_living, require_may_ask
from haldir.faces.mcp.awaited import AwaitedAnswers
from haldir.faces.mcp.hop import Asker, Hop, unsealed
from haldir.faces.mcp.inbound import Inbound, has_left
from haldir.faces.mcp.relayed_call import RelayedCall
from haldir.faces.mcp.reply import Reply
from haldir.faces.mcp.shared import Shared
from haldir.faces.mcp.tool_list import filtered, tools_in
from haldir.gate.model import Session
from haldir.kernel.errors import Refused, UpstreamError
from haldir.operations.upstreams import may_use, observe_tools, upstream_for
from haldir.proxy import message as rpc
from haldir.proxy.exchange import DISTRUSTED, EVENT_STREAM, JSON, SERVER_FAULT, Exchange, Onward
from haldir.proxy.model import Upstream, UpstreamConfig
from haldir.proxy.sse import Event, with_data

Look = Callable[[Event], Awaitable[Event | None]]


@final
class Relay:
    """One for all upstreams; its memory are open streams and calls."""

    def __init__(self, shared: Shared) -> None:
        self._shared, self._ctx, self._streams = shared, shared.ctx, shared.streams
        self._answers = AwaitedAnswers()

    async def post(self, asker: Asker, upstream_name: str, inbound: Inbound, reply: Reply) -> None:
        """Serve one POSTed message."""
        is_call = inbound.kind == "request" and inbound.method == "tools/call"
        if not is_call:  # Of a call its decision tells whether the session lives, and spares it this look.
            asker = await lasting_asker_of(self._ctx, asker.caller)
        hop = await self._hop(asker, inbound.headers, upstream_name, reply)
        if is_call:
            await RelayedCall(self._shared, hop, inbound, self._answers).run()
            return
        session = await require_living(self._ctx, hop.asker)
        if inbound.kind != "response":
            await require_may_ask(self._ctx, hop.asker, session, hop.upstream, inbound.method)
        look = self._list_look(hop, session) if inbound.method == "tools/list" else _own_look(inbound)
        await self._pass(hop, hop.onward("POST", inbound.body), inbound.receive, look)

    async def get(
        self, asker: Asker, headers: dict[str, str], receive: Receive, upstream_name: str, reply: Reply
    ) -> None:
        """Open the standing stream, or resume one. A living session is enough: it asks for nothing new by that."""
        hop = await self._hop(asker, headers, upstream_name, reply)
        session = await require_living(self._ctx, hop.asker)
        self._streams.require_room()
        await self._pass(hop, hop.onward("GET"), receive, self._standing_look(hop, session))

    async def delete(
        self, asker: Asker, headers: dict[str, str], receive: Receive, upstream_name: str, reply: Reply
    ) -> None:
        """End the upstream's session."""
        hop = await self._hop(asker, headers, upstream_name, reply)
        await require_living(self._ctx, hop.asker)
        await self._pass(hop, hop.onward("DELETE"), receive, _unchanged)

    async def _hop(self, asker: Asker, headers: dict[str, str], upstream_name: str, reply: Reply) -> Hop:
        upstream, config = await self._upstream(asker, upstream_name)
        return Hop(
            asker=asker,
            upstream=upstream,
            config=config,
            channel=self._ctx.pool.channel(asker.caller.tenant, upstream, config),
            headers=headers,
            reply=reply,
            upstream_session=unsealed(self._ctx.keyring, headers, asker, upstream.name),
        )

    async def _upstream(self, asker: Asker, name: str) -> tuple[Upstream, UpstreamConfig]:
        try:
            return await upstream_for(self._ctx, asker.caller, name)
        except Refused as refused:
            # Without the name that was tried: one who tries many fills no log.
            await self._ctx.refusals.record(asker.caller, "mcp", refused.code, "There is no such upstream.")
            raise

    async def _pass(self, hop: Hop, onward: Onward, receive: Receive, look: Look) -> None:
        """Pass a request on and its answer back; every message of the answer goes through `look`."""
        async with _opened(hop, onward) as exchange:
            headers = hop.back(self._ctx.keyring, exchange.headers)
            if exchange.media_type == EVENT_STREAM:
                await hop.reply.start_stream(exchange.status, headers)
                await self._stream(hop, exchange, receive, look)
                return
            body = await exchange.body()
        if exchange.status in DISTRUSTED or (exchange.status >= SERVER_FAULT and exchange.media_type != JSON):
            raise UpstreamError(f"The upstream answered with HTTP status {exchange.status}.", sent=True)
        if exchange.media_type == JSON and body:
            looked = await look(Event(b"", data=body))
            body = looked.data if looked is not None else b""
        await hop.reply.whole(exchange.status, body, headers)

    async def _stream(self, hop: Hop, exchange: Exchange, receive: Receive, look: Look) -> None:
        """Pass events on until the upstream ends, the caller leaves, or its session is over."""
        over = asyncio.Event()

        async def end() -> None:
            over.set()

        async def pump() -> None:
            async for event in exchange.events():
                if (looked := await look(event)) is not None:
                    await hop.reply.event(looked.raw)

        with self._streams.opened(hop.asker.caller, hop.asker.session_id, end, stands=True):
            pumping = asyncio.create_task(pump())
            tasks = {pumping, asyncio.create_task(has_left(receive)), asyncio.create_task(over.wait())}
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        await hop.reply.end()
        if not pumping.cancelled() and not isinstance(pumping.exception(), UpstreamError):
            pumping.result()  # A broken stream ends like any other: its client resumes it, or asks again.

    def _list_look(self, hop: Hop, session: Session) -> Look:
        async def look(event: Event) -> Event | None:
            if not event.is_message or rpc.read(event.data).result is UNSET:
                return event
            tools = tools_in(event.data)
            if tools is None:
                return event
            tenant = hop.asker.caller.tenant
            await observe_tools(self._ctx, tenant, hop.upstream.name, [each for each in tools if each is not None])
            visible = filtered(event.data, tools, await may_use(self._ctx, session, tenant, hop.upstream))
            return event if visible == event.data else with_data(event, visible)

        return look

    def _standing_look(self, hop: Hop, session: Session) -> Look:
        """A stream that was resumed may bring the answer to any request: to a call, or to tools/list."""
        look_at_list = self._list_look(hop, session)

        async def look(event: Event) -> Event | None:
            message = rpc.read(event.data) if event.is_message else None
            if message is None or (message.result is UNSET and message.error is UNSET):
                return event
            request_id = None if message.id is UNSET else message.id
            key = hop.asker.caller.tenant, hop.upstream.name, hop.upstream_session or "", request_id
            awaited = self._answers.find(key)
            return await awaited.bring(event) if awaited is not None else await look_at_list(event)

        return look


@asynccontextmanager
async def _opened(hop: Hop, onward: Onward) -> AsyncIterator[Exchange]:
    """Open an exchange under the upstream's deadline; a stream, once it is open, has none."""
    seconds = hop.config.deadline_seconds
    try:
        async with asyncio.timeout(seconds) as timer, hop.channel.endpoint.open(onward) as exchange:
            if exchange.media_type == EVENT_STREAM:
                timer.reschedule(None)
            yield exchange
    except TimeoutError:
        raise UpstreamError(f"The upstream did not answer within {seconds:g} s.", sent=True) from None


def _own_look(inbound: Inbound) -> Look:
    """A POST brings its own answer; the result of another would pass by its own settlement or filter."""

    async def look(event: Event) -> Event | None:
        return None if event.is_message and rpc.is_result_of_another(event.data, inbound.id) else event

    return look


async def _unchanged(event: Event) -> Event | None:
    return event
