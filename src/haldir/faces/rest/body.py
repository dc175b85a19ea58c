"""The body of a request: bounded in bytes and in time, and strict before anyone reads meaning into it."""

import asyncio
from typing import Any

from starlette.types import Message, Receive

from haldir.kernel import strict_json
from haldir.kernel.errors import HaldirError, InvalidRequest, PayloadTooLarge, RequestTimeout

BODY_BYTES_MAX = 1 << 20  # WIRE.md's limit; an entry holds far less.
STRANGERS_BODY_BYTES_MAX = 16 << 10  # Whoever has shown no credential may not fill the memory with bodies.
BODY_SECONDS_MAX = 10.0  # For a whole body; slower than any honest line, so a stalled client frees its place.
DISCARD_BYTES_MAX = 64 << 20  # What is still read of a body too large: who is cut off while sending sees no answer.


class ClientGone(HaldirError):
    """The client hung up before its request was complete: there is nobody to answer."""


async def read_body(receive: Receive, seconds_max: float, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """Return the whole body, or raise what is wrong with how it came."""
    deadline = asyncio.get_running_loop().time() + seconds_max
    message = await _next(receive, deadline)
    body: bytes = message.get("body", b"")
    if message.get("more_body", False):
        body = await _rest(receive, body, deadline, bytes_max)
    if len(body) > bytes_max:
        raise _too_large(bytes_max)
    return body


async def discard_body(receive: Receive, seconds_max: float) -> None:
    """Let a body pass that nobody will read, so that its sender comes to read the answer."""
    deadline = asyncio.get_running_loop().time() + seconds_max
    size, more = 0, True
    while more and size <= DISCARD_BYTES_MAX:
        message = await _next(receive, deadline)
        size += len(message.get("body", b""))
        more = message.get("more_body", False)


def json_object(body: bytes) -> dict[str, Any]:
    """Return the members of a JSON object; an empty body stands for none (JavaScript clients send that)."""
    if not body or body.isspace():
        return {}
    try:
        tree = strict_json.decode(body)
    except strict_json.Malformed as error:
        reason = f"`{error.field}`: {error.reason}" if error.field else error.reason
        raise InvalidRequest(reason, error.field) from None
    if not isinstance(tree, dict):
        raise InvalidRequest("the body must be a JSON object")
    return tree


async def _rest(receive: Receive, begun: bytes, deadline: float, bytes_max: int) -> bytes:
    body, size, more = bytearray(begun), len(begun), True
    while more:
        message = await _next(receive, deadline)
        piece: bytes = message.get("body", b"")
        more = message.get("more_body", False)
        size += len(piece)
        if size <= bytes_max:
            body += piece
        elif size > DISCARD_BYTES_MAX:
            break
    if size > bytes_max:
        raise _too_large(bytes_max)
    return bytes(body)


async def _next(receive: Receive, deadline: float) -> Message:
    try:
        async with asyncio.timeout_at(deadline):
            message = await receive()
    except TimeoutError:
        raise RequestTimeout("The body did not arrive in time.") from None
    if message["type"] == "http.disconnect":
        raise ClientGone("The client hung up.")
    return message


def _too_large(bytes_max: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"The body is larger than {bytes_max} bytes.", bytes_max)
