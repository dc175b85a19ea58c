"""A response that is a file: bytes of some media type, made while they are sent, so that memory stays bounded."""

from collections.abc import AsyncGenerator

import msgspec


class Download(msgspec.Struct, frozen=True):
    """What is to be sent as `filename`. Whoever sends it takes a chunk when the one before it is on its way.

    An error in the middle breaks the connection off, so that what arrived is not taken for the whole.
    """

    media_type: str
    filename: str
    chunks: AsyncGenerator[bytes, None]
    headers: tuple[tuple[str, str], ...] = ()


def text_file(filename: str, text: str, media_type: str = "text/plain; charset=utf-8") -> Download:
    """Return a small text as a download."""
    return Download(media_type, filename, _whole(text.encode()))


async def _whole(content: bytes) -> AsyncGenerator[bytes, None]:
    yield content
