"""The SDK: Haldir's verbs as methods, and a session that ends with its block."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self

from haldir.client.connection import Connection
from haldir.client.exchange import RETRIES, QueryValue, Request
from haldir.client.methods import Methods
from haldir.client.session import Session

BASE_URL = "http://127.0.0.1:4253"
TIMEOUT_SECONDS = 30.0


class HaldirClient(Methods):
    """A Haldir, asked with an API key, an agent key or a session token; may be shared among threads.

    `timeout` in seconds is for each try; `retries` is how often a request that is safe to repeat is tried again when
    the server is away or has no room. Writes carry an idempotency key, so that a repeated one happens once.
    Everything that is no answer is raised as a HaldirAPIError.
    """

    def __init__(
        self, api_key: str, base_url: str = BASE_URL, timeout: float = TIMEOUT_SECONDS, *, retries: int = RETRIES
    ) -> None:
        self._connection = Connection(base_url, api_key, timeout, retries)

    def __repr__(self) -> str:
        return f"HaldirClient({self._connection.base_url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close what is kept open for the next request."""
        self._connection.close()

    @contextmanager
    def session(
        self,
        agent_id: str,
        scopes: Sequence[str] | None = None,
        ttl: int | None = None,
        spend_limit: float | None = None,
        parent_session_id: str | None = None,
    ) -> Iterator[Session]:
        """Open a session for the block, and revoke it at its end, however that comes."""
        opened = self.create_session(agent_id, scopes, ttl, spend_limit, parent_session_id)
        try:
            yield Session(self, opened)
        finally:
            self.revoke_session(opened["session_id"])

    def _ask(self, request: Request) -> Any:
        return self._connection.ask(request)

    def _download(self, path: str, query: Mapping[str, QueryValue]) -> Iterator[bytes]:
        return self._connection.download(path, **query)
