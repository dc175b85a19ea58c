"""One child that many callers share: their request ids and progress tokens are rewritten, so none meets another's.

What the child says of no request in particular (a log line, a changed list) reaches a caller only when it is
the only one waiting: nobody hears what another's call made the server say.
"""

from types import TracebackType
from typing import Self, final

from msgspec import Raw

from haldir.kernel.errors import UpstreamError
from haldir.proxy import message as rpc
from haldir.proxy.child import Child
from haldir.proxy.mailbox import Mailbox
from haldir.proxy.message import PROGRESS, SUBSCRIPTION_ID, Members
from haldir.proxy.model import UpstreamConfig
from haldir.proxy.nursery import Nursery

PING_RESULT = rpc.raw({})
NOT_OFFERED = rpc.raw({"code": -32601, "message": "Haldir offers its upstreams no such method."})


@final
class OpenRequest:
    """A request the child is working on. Leaving its block before the answer cancels it."""

    def __init__(self, owner: "SharedChild", number: int, parts: Members) -> None:
        self._owner = owner
        self.number = number
        self.own_id = parts["id"]
        self.own_token = rpc.progress_token(rpc.members(parts["params"])) if "params" in parts else None
        self.mailbox = Mailbox()
        self.answered = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._owner.leave(self)

    async def take(self) -> bytes | None:
        """Return the next message, with the caller's own id and token; None after the answer."""
        return await self.mailbox.take()


@final
class SharedChild:
    """Starts its child when needed and again after it ended; `generation` counts the starts."""

    def __init__(self, nursery: Nursery, config: UpstreamConfig) -> None:
        self._nursery, self._config = nursery, config
        self._child: Child | None = None
        self._open: dict[int, OpenRequest] = {}
        self._last_number = 0
        self.generation = 0

    @property
    def is_alive(self) -> bool:
        return self._child is not None and self._child.is_alive

    async def begin(self, parts: Members) -> OpenRequest:
        """Send a request to the child that runs. Raises UpstreamError if it does not get there."""
        if self._child is None:
            raise UpstreamError("The upstream's process is not running.", sent=False)
        self._last_number += 1
        opened = OpenRequest(self, self._last_number, parts)
        self._open[opened.number] = opened
        try:
            await self._child.write(rpc.build(_renumbered(parts, opened)))
        except BaseException:
            self._open.pop(opened.number, None)
            raise
        return opened

    async def tell(self, message: bytes) -> None:
        """Send a notification or a response."""
        if self._child is not None:
            await self._child.write(message)

    async def leave(self, opened: OpenRequest) -> None:
        """Forget a request; if the child still works on it, tell it to stop."""
        if self._open.pop(opened.number, None) is not None and not opened.answered and self.is_alive:
            await self.tell(rpc.notification("notifications/cancelled", {"requestId": rpc.raw(opened.number)}))

    async def start(self) -> None:
        """Start a child if none runs. The caller sees to it that only one starts at a time."""
        if self.is_alive:
            return
        self.generation += 1
        generation = self.generation
        self._child = await self._nursery.start(
            self._config, self._hear, lambda error: self._ended(generation, error), lambda: bool(self._open)
        )

    def stop(self) -> None:
        """End the child; the next start gets a fresh one."""
        if self._child is not None:
            self._nursery.dismiss(self._child)
            self._child = None

    def _ended(self, generation: int, error: UpstreamError) -> None:
        if generation == self.generation:
            for opened in self._open.values():
                opened.mailbox.fail(error)
            self._open.clear()

    def _hear(self, line: bytes) -> None:
        try:
            message = rpc.read(line)
            parts = rpc.members(line)
        except UpstreamError:
            return  # Some servers print to their output; what is no message is nobody's.
        if message.is_response:
            self._answered(message, parts)
        elif message.is_request:
            self._asked(message, parts)
        else:
            self._noticed(parts)

    def _answered(self, message: rpc.Message, parts: Members) -> None:
        opened = self._open.get(message.id) if isinstance(message.id, int) else None
        if opened is not None:
            opened.answered = True
            opened.mailbox.put(rpc.build(parts | {"id": opened.own_id}))
            opened.mailbox.close()
            del self._open[opened.number]

    def _asked(self, message: rpc.Message, parts: Members) -> None:
        """Answer the child's own request: as a client of a shared server, Haldir offers only ping."""
        answer = {"result": PING_RESULT} if message.method == "ping" else {"error": NOT_OFFERED}
        if self._child is not None:
            self._child.post(rpc.build({"jsonrpc": rpc.raw("2.0"), "id": parts["id"], **answer}))

    def _noticed(self, parts: Members) -> None:
        try:
            opened, params = self._whose(rpc.members(parts.get("params", Raw(b"{}"))))
        except UpstreamError:
            return
        if opened is not None:
            opened.mailbox.put(rpc.build(parts | {"params": Raw(rpc.build(params))} if params else parts))

    def _whose(self, params: Members) -> tuple[OpenRequest | None, Members]:
        """Find whom a notification is for, and put the caller's own names back into it."""
        if PROGRESS in params:
            opened = self._numbered(params[PROGRESS])
            if opened is not None and opened.own_token is not None:
                return opened, params | {PROGRESS: opened.own_token}
            return None, params
        meta = rpc.members(params["_meta"]) if "_meta" in params else {}
        if SUBSCRIPTION_ID in meta:
            opened = self._numbered(meta[SUBSCRIPTION_ID])
            return opened, rpc.with_meta(params, {SUBSCRIPTION_ID: opened.own_id}) if opened else params
        return (next(iter(self._open.values())) if len(self._open) == 1 else None), params

    def _numbered(self, encoded: Raw) -> OpenRequest | None:
        text = bytes(encoded).decode(errors="replace").strip('"')
        return self._open.get(int(text)) if text.isascii() and text.isdigit() else None


def _renumbered(parts: Members, opened: OpenRequest) -> Members:
    number = rpc.raw(opened.number)
    if opened.own_token is None:
        return parts | {"id": number}
    params = rpc.with_meta(rpc.members(parts["params"]), {PROGRESS: number})
    return parts | {"id": number, "params": Raw(rpc.build(params))}
