"""Haldir: the guardian between AI agents and the tools they call."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from haldir.client import (
        HaldirAPIError,
        HaldirAsyncClient,
        HaldirAuthError,
        HaldirClient,
        HaldirConflictError,
        HaldirNotFoundError,
        HaldirPermissionError,
        HaldirRateLimitError,
        WebhookVerificationError,
        verify_webhook_signature,
    )

__all__ = [
    "HaldirAPIError",
    "HaldirAsyncClient",
    "HaldirAuthError",
    "HaldirClient",
    "HaldirConflictError",
    "HaldirNotFoundError",
    "HaldirPermissionError",
    "HaldirRateLimitError",
    "WebhookVerificationError",
    "verify_webhook_signature",
]


def __getattr__(name: str) -> Any:
    """Import the SDK when it is asked for: commands and the server need none of it, and start without it."""
    if name not in __all__:
        raise AttributeError(name)
    return getattr(import_module("haldir.client"), name)
