"""Exchanges with an upstream over Streamable HTTP: bounded, never redirected, and clear about what was sent."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import final

import aiohttp

from haldir.kernel.errors import UpstreamError
from haldir.outbound.clients import HttpClients, why_unreachable
from haldir.proxy.exchange import ANSWER_BYTES_MAX, REDIRECTED, REFUSED, Onward, media_type_of
from haldir.proxy.model import UpstreamConfig
from haldir.proxy.sse import Event, EventParser, EventTooLarge

CONNECT_SECONDS_MAX = 10.0  # Including the wait for a free connection.
CONNECT_SHARE = 0.8  # Of a shorter deadline, so that "could not connect" is known before it strikes.
MEGABYTE = 1 << 20


@final
class HttpExchange:
    """The answer to one HTTP request."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = {name.lower(): value for name, value in reversed(list(answer.headers.items()))}

    @property
    def media_type(self) -> str:
        return media_type_of(self.headers)

    async def body(self) -> bytes:
        chunks = [chunk async for chunk in self._chunks(ANSWER_BYTES_MAX)]
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def events(self, bytes_max: int | None = None) -> AsyncIterator[Event]:
        parser = EventParser()
        async for chunk in self._chunks(bytes_max):
            try:
                for event in parser.feed(chunk):
                    yield event
            except EventTooLarge:
                raise UpstreamError("The upstream sent an event that is too large.", sent=True) from None
        if not parser.is_between_events:
            raise UpstreamError("The upstream closed its answer midway.", sent=True)

    async def _chunks(self, bytes_max: int | None) -> AsyncIterator[bytes]:
        if self.headers.get("content-encoding", "identity") != "identity":
            raise UpstreamError("The upstream compressed its answer, although asked not to.", sent=True)
        total = 0
        try:
            async for chunk in self._answer.content.iter_any():
                total += len(chunk)
                if bytes_max is not None and total > bytes_max:
                    raise UpstreamError(f"The upstream's answer exceeds {bytes_max // MEGABYTE} MiB.", sent=True)
                yield chunk
        except (aiohttp.ClientError, OSError):
            raise UpstreamError("The upstream closed its answer midway.", sent=True) from None


@final
class HttpEndpoint:
    """One upstream's URL with the headers its operator gave it."""

    def __init__(
        self, client: aiohttp.ClientSession, url: str, headers: dict[str, str], deadline_seconds: float
    ) -> None:
        self._client = client
        self._url = url
        self._headers = {name.lower(): value for name, value in headers.items()}
        connect_seconds = min(CONNECT_SECONDS_MAX, deadline_seconds * CONNECT_SHARE)
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_seconds)

    @asynccontextmanager
    async def open(self, onward: Onward) -> AsyncIterator[HttpExchange]:
        """Send it; the caller sets the deadline. A break before the connection stood was not sent."""
        answer = await self._send(onward)
        try:
            if REDIRECTED <= answer.status < REFUSED:
                raise UpstreamError("The upstream redirected the request; redirects are not followed.", sent=False)
            yield HttpExchange(answer)
        finally:
            answer.close() if not answer.content.is_eof() else answer.release()

    async def _send(self, onward: Onward) -> aiohttp.ClientResponse:
        try:
            return await self._client.request(
                onward.method,
                self._url,
                data=onward.body or None,
                headers=onward.headers | self._headers,
                allow_redirects=False,
                timeout=self._timeout,
            )
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError, aiohttp.InvalidURL) as error:
            raise UpstreamError(f"The upstream could not be reached: {why_unreachable(error)}.", sent=False) from None
        except ValueError:
            raise UpstreamError("The upstream's URL or one of its headers is not valid.", sent=False) from None
        except (aiohttp.ClientError, OSError):
            raise UpstreamError("The upstream closed the connection without an answer.", sent=True) from None


@final
class HttpEndpoints:
    """Makes the endpoints of a process, all on its two clients."""

    def __init__(self) -> None:
        self._clients = HttpClients()

    def endpoint(self, config: UpstreamConfig, *, allow_private: bool) -> HttpEndpoint:
        client = self._clients.get(allow_private=allow_private)
        return HttpEndpoint(client, config.url, config.headers, config.deadline_seconds)

    async def close(self) -> None:
        await self._clients.close()
