"""The client side of Haldir; imports nothing else of it."""

from typing import TYPE_CHECKING, Any

from haldir.client.client import HaldirClient
from haldir.client.connection import Connection
from haldir.client.errors import (
    HaldirAPIError,
    HaldirAuthError,
    HaldirConflictError,
    HaldirNotFoundError,
    HaldirPermissionError,
    HaldirRateLimitError,
    ServerFailed,
    TurnedDown,
    Unreachable,
)
from haldir.client.webhooks import WebhookVerificationError, verify_webhook_signature

if TYPE_CHECKING:
    from haldir.client.async_client import HaldirAsyncClient

__all__ = [
    "Connection",
    "HaldirAPIError",
    "HaldirAsyncClient",
    "HaldirAuthError",
    "HaldirClient",
    "HaldirConflictError",
    "HaldirNotFoundError",
    "HaldirPermissionError",
    "HaldirRateLimitError",
    "ServerFailed",
    "TurnedDown",
    "Unreachable",
    "WebhookVerificationError",
    "verify_webhook_signature",
]


def __getattr__(name: str) -> Any:
    """Import the asynchronous client when it is asked for: aiohttp takes longer than all the rest."""
    if name != "HaldirAsyncClient":
        raise AttributeError(name)
    from haldir.client.async_client import HaldirAsyncClient  # noqa: PLC0415 - the docstring says why.

    return HaldirAsyncClient
