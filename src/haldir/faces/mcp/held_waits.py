"""Waiting, within a request, for the word that a held call needs: bounded in time and in number."""

import asyncio
from collections.abc import Iterable
from typing import final

import msgspec
from msgspec import Raw

from haldir.approvals.model import Approval
from haldir.faces.mcp.call_request import CallRequest
from haldir.faces.mcp.inbound import has_left
from haldir.faces.mcp.open_streams import OpenStreams
from haldir.kernel.errors import Unavailable
from haldir.operations.approval_waiting import await_decision
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.proxy import message as rpc
from haldir.proxy.sse import frame

WAITERS_MAX = 256  # Each keeps a connection open and looks once a second; who comes beyond is answered at once.
TELL_SECONDS = 1.0  # Between two words of progress: enough for whoever watches.


class WaitSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a held call is waited for within its request, 0 for not at all, and where people find Haldir."""

    seconds_max: float = 0.0
    base_url: str = ""


@final
class HeldWaits:
    """All that wait in this process."""

    def __init__(self, ctx: Context, streams: OpenStreams, settings: WaitSettings) -> None:
        self._ctx, self._streams, self._settings = ctx, streams, settings
        self._count = 0

    async def decided(self, request: CallRequest, approval_id: str) -> bool:
        """Tell whether an approval is decided within the limit; a caller who takes a stream hears meanwhile.

        A caller that leaves, a session that ends and a server that stops end the wait.
        """
        if self._count >= WAITERS_MAX or not self._settings.seconds_max:
            return False
        self._count += 1
        try:
            approval = await find_row(self._ctx, request.caller.tenant, Approval, approval_id)
            return approval is not None and await self._decided(request, approval)
        except Unavailable:
            return False  # What was told of the hold still counts; the store is asked again by whoever comes back.
        finally:
            self._count -= 1

    def link(self, approval_id: str) -> str:
        """Return where a person decides it."""
        return f"{self._settings.base_url}/approvals/{approval_id}"

    async def _decided(self, request: CallRequest, approval: Approval) -> bool:
        over = asyncio.Event()

        async def end() -> None:
            over.set()

        if request.inbound.takes_stream:
            await request.reply.start_stream()
        with self._streams.opened(request.caller, request.session_id, end, stands=True):
            looking = asyncio.create_task(
                await_decision(self._ctx, request.caller.tenant, approval, self._settings.seconds_max)
            )
            telling = asyncio.create_task(self._tell(request, approval.id))
            ends = [looking, asyncio.create_task(has_left(request.inbound.receive)), asyncio.create_task(over.wait())]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                await _stopped((*ends, telling))
        if looking.cancelled():
            return False
        return looking.result().status(self._ctx.clock()) != "pending"

    async def _tell(self, request: CallRequest, approval_id: str) -> None:
        """Tell of the wait under the caller's own token, below 1: tools begin to count there, and it must only grow."""
        token = request.inbound.progress_token
        if token is None or not request.inbound.takes_stream:
            return
        said = f"Held until a person approves it: {self.link(approval_id)}, or `haldir approvals approve {approval_id}`"
        told = 0
        while True:
            await request.reply.event(frame(_progress(token, told / (told + 1), said)).raw)
            told += 1
            await asyncio.sleep(TELL_SECONDS)


def _progress(token: Raw, progress: float, said: str) -> bytes:
    params = {"progressToken": token, "progress": rpc.raw(progress), "message": rpc.raw(said)}
    return rpc.notification("notifications/progress", params)


async def _stopped(tasks: Iterable[asyncio.Task[object]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
