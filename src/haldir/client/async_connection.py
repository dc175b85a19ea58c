"""HTTP to one Haldir by aiohttp, for programs with an event loop."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import yarl

from haldir.client.connection import CHUNK_BYTES, TIMEOUT_SECONDS
from haldir.client.errors import HaldirAPIError
from haldir.client.exchange import (
    ANSWER_BYTES_MAX,
    RETRIES,
    SUCCESS,
    Json,
    QueryValue,
    Request,
    address,
    answered,
    failure,
    parsed,
    reading,
    timed_out,
    too_large,
    unreachable,
    wait_before_retry,
)


class AsyncConnection:
    """As `Connection`, and many requests at once; belongs to the event loop it was first used in."""

    def __init__(
        self,
        base_url: str,
        credential: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
    ) -> None:
        address(base_url)
        self.base_url = base_url.rstrip("/")
        self._credential = credential
        self._timeout, self._retries = aiohttp.ClientTimeout(timeout_seconds), retries
        # A download takes as long as it takes; only a silence is too long.
        self._between_chunks = aiohttp.ClientTimeout(sock_connect=timeout_seconds, sock_read=timeout_seconds)
        self._client: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    async def ask(self, request: Request) -> Json:
        """Return the JSON object of a 2xx answer; raises a HaldirAPIError for anything else.

        What is safe to repeat is tried again where the server was away or had no room.
        """
        tried = 0
        while True:
            tried += 1
            try:
                return await self._asked(request)
            except HaldirAPIError as error:
                wait_seconds = wait_before_retry(request, error, tried, self._retries)
                if wait_seconds is None:
                    raise
            await asyncio.sleep(wait_seconds)

    async def download(self, path: str, **query: QueryValue) -> AsyncIterator[bytes]:
        """Return the body of a 2xx answer as it comes, of any size; raises a HaldirAPIError, also if it breaks off."""
        try:
            async with self._sending(reading("GET", path, query), self._between_chunks) as response:
                if response.status // 100 != SUCCESS:
                    raise failure(response.status, parsed(await response.read()))
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    yield chunk
        except TimeoutError:
            raise timed_out(self.base_url) from None
        except aiohttp.ClientError as error:
            raise unreachable(self.base_url, error) from None

    async def close(self) -> None:
        """Close what is kept open for the next request."""
        if self._client is not None:
            await self._client.close()
            self._client = None

    async def _asked(self, request: Request) -> Json:
        try:
            async with self._sending(request) as response:
                content = bytearray()
                async for chunk in response.content.iter_chunked(CHUNK_BYTES):
                    content += chunk
                    if len(content) > ANSWER_BYTES_MAX:
                        raise too_large(self.base_url)
        except TimeoutError:
            raise timed_out(self.base_url) from None
        except (aiohttp.ClientError, OSError) as error:
            raise unreachable(self.base_url, error) from None
        return answered(self.base_url, response.status, bytes(content), response.headers.get("Retry-After"))

    def _sending(
        self, request: Request, timeout: aiohttp.ClientTimeout | None = None
    ) -> "aiohttp.client._RequestContextManager":
        if self._client is None:
            self._client = aiohttp.ClientSession(timeout=self._timeout, auto_decompress=False)
        headers = request.headers(self._credential)
        url = yarl.URL(self.base_url + request.path, encoded=True)
        return self._client.request(
            request.method,
            url,
            data=request.body,
            headers=headers,
            allow_redirects=False,
            timeout=timeout or self._timeout,
        )
