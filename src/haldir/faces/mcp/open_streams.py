"""The streams that are open, so that they end within a second of their session: it is read freshly meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import final

import msgspec

from haldir.faces.mcp.faults import UNAVAILABLE, RpcFault
from haldir.kernel.errors import HaldirError, Refused
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.living import living_session

LOOK_SECONDS = 0.4  # With the reading itself, well under the promised second.
STREAMS_MAX = 2000  # Connections held open at once; the next one is told to come back.

End = Callable[[], Awaitable[None]]


class OpenStream(msgspec.Struct, frozen=True, eq=False):
    """How a stream is ended, and whether it would ever end by itself."""

    end: End
    stands: bool


@final
class OpenStreams:
    """One look per session however many streams it has; no look while there are none."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._open: dict[tuple[Caller, str | None], list[OpenStream]] = {}
        self._count = 0
        self._looking: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[None]] = set()

    def require_room(self) -> None:
        """Raise RpcFault if no further stream may be opened for its own sake."""
        if self._count >= STREAMS_MAX:
            raise RpcFault(503, UNAVAILABLE, "Too many streams are open; try again later.")

    @contextmanager
    def opened(self, caller: Caller, session_id: str | None, end: End, *, stands: bool) -> Iterator[None]:
        """Within the block, `end` is called once the session, or whoever acts in it, is no longer alive.

        Where there is no session, only the end of standing streams ends it.
        """
        key, stream = (caller, session_id), OpenStream(end, stands)
        self._open.setdefault(key, []).append(stream)
        self._count += 1
        if self._looking is None or self._looking.done():
            self._looking = asyncio.create_task(self._look_on())
        try:
            yield
        finally:
            self._count -= 1
            streams = self._open[key]
            streams.remove(stream)
            if not streams:
                del self._open[key]

    def end_standing(self) -> None:
        """End the streams that no answer will end; calls under way keep theirs."""
        for streams in self._open.values():
            for stream in streams:
                if stream.stands:
                    self._end(stream)

    async def _look_on(self) -> None:
        while self._open:
            await asyncio.sleep(LOOK_SECONDS)
            for caller, session_id in list(self._open):
                if not await self._lives(caller, session_id):
                    for stream in self._open.get((caller, session_id), ()):
                        self._end(stream)

    def _end(self, stream: OpenStream) -> None:
        task = asyncio.create_task(_run(stream.end))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _lives(self, caller: Caller, session_id: str | None) -> bool:
        if session_id is None:
            return True
        try:
            await living_session(self._ctx, caller, session_id)
        except Refused:
            return False
        except HaldirError:
            return True  # The store is away: nobody can have revoked anything.
        except Exception:  # noqa: BLE001 - the loop must outlive it, and a stream nobody can vouch for ends.
            return False
        return True


async def _run(end: End) -> None:
    await end()
