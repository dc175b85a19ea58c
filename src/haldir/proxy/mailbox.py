"""Messages that wait for one reader: bounded, and told apart from an end or a fault."""

import asyncio
from typing import final

from haldir.kernel.errors import UpstreamError
from haldir.proxy.exchange import ANSWER_BYTES_MAX

WAITING_MAX = 4096  # Messages; a reader this far behind is gone in all but name.


@final
class Mailbox:
    """Filled by the reader of a child's output, emptied by the exchange the messages belong to."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[bytes | UpstreamError | None] = asyncio.Queue()
        self._bytes = 0
        self._closed = False

    def put(self, message: bytes) -> None:
        """Add a message. A reader that is too far behind loses the stream, not the process its memory."""
        if self._closed:
            return
        self._bytes += len(message)
        if self._bytes > ANSWER_BYTES_MAX or self._waiting.qsize() >= WAITING_MAX:
            self.fail(UpstreamError("The upstream sends faster than its answers are read.", sent=True))
        else:
            self._waiting.put_nowait(message)

    def fail(self, error: UpstreamError) -> None:
        """End it with a fault, after what waits already."""
        if not self._closed:
            self._closed = True
            self._waiting.put_nowait(error)

    def close(self) -> None:
        """End it, after what waits already."""
        if not self._closed:
            self._closed = True
            self._waiting.put_nowait(None)

    async def take(self) -> bytes | None:
        """Return the next message, or None at the end. Raises the fault it ended with."""
        item = await self._waiting.get()
        if isinstance(item, UpstreamError):
            raise item
        if item is not None:
            self._bytes -= len(item)
        return item
