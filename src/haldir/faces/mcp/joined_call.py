"""A tools/call at the joint endpoint: governed like any other, and put into the era of its upstream and back."""

import asyncio
from contextlib import ExitStack
from typing import final

from haldir.faces.mcp.call_request import CallRequest
from haldir.faces.mcp.faults import RpcFault, tool_answer
from haldir.faces.mcp.holdable_call import HoldableCall
from haldir.faces.mcp.hop import Asker
from haldir.faces.mcp.inbound import CallerLeft, Inbound
from haldir.faces.mcp.joined_eras import in_callers_era, status_of
from haldir.faces.mcp.joined_names import split_name
from haldir.faces.mcp.reply import Reply
from haldir.faces.mcp.shared import Shared
from haldir.kernel.errors import OutcomeUnknown, Refused, UpstreamError
from haldir.operations.books import KnownUpstream
from haldir.operations.call_tool import CallEnd, call_tool
from haldir.operations.judged_call import ToolCall
from haldir.operations.upstreams import upstreams_of
from haldir.proxy import message as rpc
from haldir.proxy.message import HEADER_MISMATCH
from haldir.proxy.param_headers import mismatch
from haldir.proxy.sse import frame

NEEDS_INPUT = {
    "error": "The tool asks for input, and this client's protocol revision cannot give it.",
    "code": "input_required",
    "hint": "Use a client that speaks MCP 2026-07-28, or give the tool everything in its arguments.",
}


@final
class JoinedCall:
    """One call. What the upstream says on the way is streamed if the caller can take a stream."""

    def __init__(self, shared: Shared, asker: Asker, inbound: Inbound, reply: Reply) -> None:
        self._shared, self._ctx, self._asker, self._inbound, self._reply = shared, shared.ctx, asker, inbound, reply
        self._call_id = ""
        self._told: list[bytes] = []
        self._telling: asyncio.Task[None] | None = None
        self._while_open = ExitStack()
        self._is_open = False

    async def run(self) -> None:
        """Have the call governed and answer it. Raises what is no answer to a call: credentials, an absent store."""
        known = await upstreams_of(self._ctx, self._asker.caller.tenant)
        name = self._inbound.params["name"]
        upstream, tool = split_name(name, known) or ("", name)  # The decision refuses an unknown name, and records it.
        if upstream:
            self._check_headers(known[upstream], tool)

        async def forward(call_id: str, deadline_seconds: float) -> CallEnd:
            self._call_id = call_id
            return await self._forward(known[upstream], tool, deadline_seconds)

        asker = self._asker
        request = CallRequest(asker.caller, asker.session_id, upstream, tool, self._inbound, self._reply)
        held = await HoldableCall.begun(self._shared, request)
        self._inbound = held.inbound
        call = ToolCall(asker.caller, asker.session_id, upstream, tool, held.inbound.arguments, held.inbound.beside)
        with self._while_open:
            try:
                answer = (await held.made(lambda: call_tool(self._ctx, call, forward))).answer
            except (Refused, UpstreamError, OutcomeUnknown) as error:
                answer = held.failure(error, self._call_id)
            await self._deliver(answer)

    def _check_headers(self, known: KnownUpstream, tool: str) -> None:
        channel = self._ctx.pool.channel(self._asker.caller.tenant, known.upstream, known.config)
        names = channel.header_names.get(tool)
        if not names or not self._inbound.is_modern:
            return
        if header := mismatch(names, self._inbound.params.get("arguments", {}), self._inbound.headers):
            raise RpcFault(400, HEADER_MISMATCH, f"The header {header} does not match the call's arguments.")

    async def _forward(self, known: KnownUpstream, tool: str, deadline_seconds: float) -> CallEnd:
        params = rpc.members(rpc.members(self._inbound.body)["params"]) | {"name": rpc.raw(tool)}
        asking = self._ctx.pool.call_tool(
            self._asker.caller.tenant,
            known.upstream,
            known.config,
            rpc.build(params),
            deadline_seconds,
            on_notification=self._hear,
        )
        if not self._inbound.ends_by_leaving:
            return self._ended(await asking)
        try:
            return self._ended(await self._inbound.unless_left(asking))
        except CallerLeft:
            return CallEnd("indeterminate", b"", "The caller cancelled the call.")

    def _ended(self, answer: bytes) -> CallEnd:
        ending = rpc.ending_of(answer)
        if ending.error == "input_required" and not self._inbound.is_modern:
            return CallEnd("voided", tool_answer(self._inbound.id_raw, NEEDS_INPUT, modern=False), ending.error)
        return CallEnd(ending.state, in_callers_era(answer, self._inbound), ending.error)

    def _hear(self, message: bytes) -> None:
        """Pass on what the upstream says meanwhile, in order, while its answer is awaited."""
        if self._inbound.takes_stream and rpc.read(message).method in (
            "notifications/progress",
            "notifications/message",
        ):
            self._told.append(message)
            if self._telling is None:
                self._telling = asyncio.create_task(self._tell())

    async def _tell(self) -> None:
        if not self._is_open:
            self._is_open = True
            opened = self._shared.streams.opened(
                self._asker.caller, self._asker.session_id, self._reply.end, stands=False
            )
            self._while_open.enter_context(opened)
            await self._reply.start_stream()
        while self._told:
            await self._reply.event(frame(self._told.pop(0)).raw)
        self._telling = None

    async def _deliver(self, answer: bytes) -> None:
        if self._telling is not None:
            await self._telling
        await self._reply.answer(status_of(answer, self._inbound), answer)
