"""One attempt over HTTP: bounded in time and in what is read back, never redirected, and only to allowed addresses."""

import asyncio
import time
from email.utils import parsedate_to_datetime
from typing import final

import aiohttp

from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.secret import Secret
from haldir.outbound.clients import HttpClients, why_unreachable
from haldir.webhooks.sent import Sent

ATTEMPT_SECONDS_MAX = 15.0
READ_BYTES_MAX = 4096  # Of an answer; enough for an excerpt, and to let short ones keep their connection.
EXCERPT_CHARS_MAX = 300  # WIRE.md §6.
DIGITS_MAX = 9


@final
class Sender:
    """Sends deliveries, on clients of its own, so that no receiver takes connections away from upstreams."""

    def __init__(self, seconds_max: float = ATTEMPT_SECONDS_MAX) -> None:
        self._clients = HttpClients()
        self._seconds_max = seconds_max

    async def post(
        self, url: Secret[str], headers: dict[str, str], body: bytes, now: Micros, *, allow_private: bool
    ) -> Sent:
        """Return how one attempt ended. The status alone says whether it was delivered."""
        started = time.monotonic()
        sent = await self._attempt(url, headers, body, now, allow_private=allow_private)
        return Sent(
            sent.status, sent.error, sent.excerpt, sent.retry_after_seconds, round((time.monotonic() - started) * 1000)
        )

    async def close(self) -> None:
        await self._clients.close()

    async def _attempt(
        self, url: Secret[str], headers: dict[str, str], body: bytes, now: Micros, *, allow_private: bool
    ) -> Sent:
        client = self._clients.get(allow_private=allow_private)
        deadline = asyncio.get_running_loop().time() + self._seconds_max
        try:
            async with asyncio.timeout_at(deadline):
                answer = await client.post(url.reveal(), data=body, headers=headers, allow_redirects=False)
        except TimeoutError:
            return Sent(None, f"There was no answer within {self._seconds_max:g} s.")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Sent(None, _reason(error))
        try:
            excerpt = await _excerpt(answer, deadline)
        finally:
            answer.release() if answer.content.at_eof() else answer.close()
        return Sent(answer.status, _said(answer.status), excerpt, _retry_after(answer.headers.get("Retry-After"), now))


async def _excerpt(answer: aiohttp.ClientResponse, deadline: float) -> str:
    """Return how the answer begins, as far as it comes in time."""
    read = bytearray()
    try:
        async with asyncio.timeout_at(deadline):
            while len(read) < READ_BYTES_MAX and (chunk := await answer.content.read(READ_BYTES_MAX - len(read))):
                read += chunk
    except (TimeoutError, aiohttp.ClientError, OSError):
        pass  # The status came, and it is what counts.
    text = read.decode(errors="replace")
    return "".join(char if char.isprintable() else " " for char in text[:EXCERPT_CHARS_MAX])


def _said(status: int) -> str:
    if 200 <= status < 300:  # noqa: PLR2004 - what HTTP calls a success.
        return ""
    if 300 <= status < 400:  # noqa: PLR2004 - and a redirection.
        return f"The receiver redirected the delivery ({status}); redirects are not followed."
    return f"The receiver answered {status}."


def _reason(error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
        return f"The receiver could not be reached: {why_unreachable(error)}."
    if isinstance(error, ValueError):
        return "The webhook's URL is not valid."
    return "The receiver closed the connection without an answer."


def _retry_after(text: str | None, now: Micros) -> int | None:
    """Return the seconds to wait that a receiver asked for, as a number or as a date (RFC 9110 §10.2.3)."""
    if text is None:
        return None
    if text.isascii() and text.isdecimal() and len(text) <= DIGITS_MAX:
        return int(text)
    try:
        return max(0, round(parsedate_to_datetime(text).timestamp() - now / SECOND))
    except (ValueError, OverflowError):
        return None
