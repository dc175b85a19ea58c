"""The body of a POST: bounded in bytes and in time before anyone reads meaning into it."""

import asyncio

from starlette.types import Message, Receive

from haldir.kernel.errors import HaldirError, PayloadTooLarge, RequestTimeout

BODY_BYTES_MAX = 4 << 20  # Arguments with a file or two in them; the upstream sees all of it.
BODY_SECONDS_MAX = 10.0  # For a whole body; slower than any honest line, so a stalled client frees its place.
DISCARD_BYTES_MAX = 64 << 20  # What is still read of a body too large: who is cut off while sending sees no answer.


class ClientGone(HaldirError):
    """The client hung up before its request was complete: there is nobody to answer."""


async def read_body(receive: Receive, seconds_max: float) -> bytes:
    """Return the whole body, or raise what is wrong with how it came."""
    deadline = asyncio.get_running_loop().time() + seconds_max
    message = await _next(receive, deadline)
    body: bytes = message.get("body", b"")
    size, pieces = len(body), [body]
    while message.get("more_body", False):
        message = await _next(receive, deadline)
        piece: bytes = message.get("body", b"")
        size += len(piece)
        if size <= BODY_BYTES_MAX:
            pieces.append(piece)
        elif size > DISCARD_BYTES_MAX:
            break
    if size > BODY_BYTES_MAX:
        raise PayloadTooLarge(f"The body is larger than {BODY_BYTES_MAX} bytes.", BODY_BYTES_MAX)
    return body if len(pieces) == 1 else b"".join(pieces)


async def _next(receive: Receive, deadline: float) -> Message:
    try:
        async with asyncio.timeout_at(deadline):
            message = await receive()
    except TimeoutError:
        raise RequestTimeout("The body did not arrive in time.") from None
    if message["type"] == "http.disconnect":
        raise ClientGone("The client hung up.")
    return message
