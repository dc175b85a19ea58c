"""A download as it goes out: one chunk after another, as fast as its reader takes them and no further."""

import asyncio
from contextlib import aclosing

from starlette.types import Receive, Send

from haldir.faces.body import ClientGone
from haldir.operations.download import Download
from haldir.operations.kept_answers import Header

STALLED_SECONDS_MAX = 60.0  # For one chunk: a reader who takes nothing for so long has gone away without saying so.


class Stream:
    """An answer of unknown length. `head_only` asks for its headers alone."""

    def __init__(self, download: Download, receive: Receive, *, head_only: bool) -> None:
        self._download, self._receive, self._head_only = download, receive, head_only

    async def send(self, send: Send) -> None:
        """Send it. Raises ClientGone once nobody reads on, and whatever goes wrong in making it."""
        async with aclosing(self._download.chunks) as chunks:
            await send({"type": "http.response.start", "status": 200, "headers": self._headers()})
            if not self._head_only:
                gone = asyncio.ensure_future(self._disconnected())
                try:
                    async for chunk in chunks:
                        await _sent(send, chunk, gone)
                finally:
                    gone.cancel()
            await send({"type": "http.response.body", "body": b""})

    def _headers(self) -> list[Header]:
        named = {
            "content-type": self._download.media_type,
            "content-disposition": f'attachment; filename="{self._download.filename}"',
            **dict(self._download.headers),
        }
        return [(name.lower().encode(), value.encode()) for name, value in named.items()]

    async def _disconnected(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass


async def _sent(send: Send, chunk: bytes, gone: "asyncio.Future[None]") -> None:
    if gone.done():
        raise ClientGone("The client hung up.")
    try:
        async with asyncio.timeout(STALLED_SECONDS_MAX):
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    except TimeoutError:
        raise ClientGone("The client does not read on.") from None
