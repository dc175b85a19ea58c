"""The client side of Haldir; imports nothing else of it."""

from haldir.client.connection import Connection
from haldir.client.errors import ClientError, ServerFailed, TurnedDown, Unreachable
from haldir.client.webhooks import WebhookVerificationError, verify_webhook_signature

__all__ = [
    "ClientError",
    "Connection",
    "ServerFailed",
    "TurnedDown",
    "Unreachable",
    "WebhookVerificationError",
    "verify_webhook_signature",
]
