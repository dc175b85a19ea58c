"""The SDK for programs with an event loop."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from haldir.client.async_connection import AsyncConnection
from haldir.client.async_methods import AsyncMethods
from haldir.client.async_session import AsyncSession
from haldir.client.client import BASE_URL, TIMEOUT_SECONDS
from haldir.client.exchange import RETRIES, QueryValue, Request


class HaldirAsyncClient(AsyncMethods):
    """As `HaldirClient`, to be awaited; belongs to the event loop it is first used in."""

    def __init__(
        self, api_key: str, base_url: str = BASE_URL, timeout: float = TIMEOUT_SECONDS, *, retries: int = RETRIES
    ) -> None:
        self._connection = AsyncConnection(base_url, api_key, timeout, retries)

    def __repr__(self) -> str:
        return f"HaldirAsyncClient({self._connection.base_url!r})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close what is kept open for the next request."""
        await self._connection.close()

    @asynccontextmanager
    async def session(
        self,
        agent_id: str,
        scopes: Sequence[str] | None = None,
        ttl: int | None = None,
        spend_limit: float | None = None,
        parent_session_id: str | None = None,
    ) -> AsyncIterator[AsyncSession]:
        """Open a session for the block, and revoke it at its end, however that comes."""
        opened = await self.create_session(agent_id, scopes, ttl, spend_limit, parent_session_id)
        try:
            yield AsyncSession(self, opened)
        finally:
            await self.revoke_session(opened["session_id"])

    async def _ask(self, request: Request) -> Any:
        return await self._connection.ask(request)

    def _download(self, path: str, query: Mapping[str, QueryValue]) -> AsyncIterator[bytes]:
        return self._connection.download(path, **query)
