"""The body of a request: bounded in bytes and in time before anyone reads meaning into it."""

import asyncio

from starlette.types import Message, Receive

from haldir.kernel.errors import HaldirError, PayloadTooLarge, RequestTimeout

BODY_SECONDS_MAX = 10.0  # For a whole body; slower than any honest line, so a stalled client frees its place.
DISCARD_BYTES_MAX = 64 << 20  # What is still read of a body too large: who is cut off while sending sees no answer.


class ClientGone(HaldirError):
    """The client hung up before its request was complete: there is nobody to answer."""


async def read_body(receive: Receive, seconds_max: float, bytes_max: int) -> bytes:
    """Return the whole body, or raise what is wrong with how it came."""
    deadline = asyncio.get_running_loop().time() + seconds_max
    pieces: list[bytes] = []
    size, more = 0, True
    while more and size <= DISCARD_BYTES_MAX:
        message = await _next(receive, deadline)
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        if size <= bytes_max:
            pieces.append(piece)
    if size > bytes_max:
        raise PayloadTooLarge(f"The body is larger than {bytes_max} bytes.", bytes_max)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def discard_body(receive: Receive, seconds_max: float) -> None:
    """Let a body pass that nobody will read, so that its sender comes to read the answer."""
    deadline = asyncio.get_running_loop().time() + seconds_max
    size, more = 0, True
    while more and size <= DISCARD_BYTES_MAX:
        message = await _next(receive, deadline)
        size += len(message.get("body", b""))
        more = message.get("more_body", False)


async def _next(receive: Receive, deadline: float) -> Message:
    try:
        async with asyncio.timeout_at(deadline):
            message = await receive()
    except TimeoutError:
        raise RequestTimeout("The body did not arrive in time.") from None
    if message["type"] == "http.disconnect":
        raise ClientGone("The client hung up.")
    return message
