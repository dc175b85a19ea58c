"""Signatures of deliveries: Standard Webhooks, and the X-Haldir headers that published receivers verify.

One secret serves both: the older scheme takes its text as the key, the newer one the bytes that it encodes.
"""

import base64
import hashlib
import hmac
from collections.abc import Sequence

from haldir.kernel.secret import Secret

PREFIX = "whsec_"
SECRET_BYTES = 24  # The least that Standard Webhooks allows; in base64 it needs no padding.
Secrets = Sequence[Secret[str]]


def secret_from(minted: Secret[str]) -> Secret[str]:
    """Return the webhook secret that a minted credential stands for."""
    digest = hashlib.sha256(minted.reveal().encode()).digest()[:SECRET_BYTES]
    return Secret(PREFIX + base64.b64encode(digest).decode())


def signed_headers(event_id: str, body: bytes, at_seconds: int, attempt: int, secrets: Secrets) -> dict[str, str]:
    """Return the headers that prove a delivery; `secrets` are the present one and, in its grace, the previous one.

    `webhook-signature` carries both. `X-Haldir-Signature` has room for one, since published receivers compare all of
    it: the first attempt bears the present secret's, a second one the previous secret's, and so on. So a receiver
    that knows only one of them takes a delivery at its second attempt at the latest.
    """
    older = secrets[(attempt - 1) % len(secrets)]
    return {
        "webhook-id": event_id,
        "webhook-timestamp": str(at_seconds),
        "webhook-signature": " ".join(_standard(each, event_id, body, at_seconds) for each in secrets),
        "X-Haldir-Timestamp": str(at_seconds),
        "X-Haldir-Webhook-Id": event_id,
        "X-Haldir-Delivery-Attempt": str(attempt),
        "X-Haldir-Signature": "sha256=" + _mac(older.reveal().encode(), f"{at_seconds}.".encode() + body).hex(),
    }


def _standard(secret: Secret[str], event_id: str, body: bytes, at_seconds: int) -> str:
    key = base64.b64decode(secret.reveal().removeprefix(PREFIX))
    return "v1," + base64.b64encode(_mac(key, f"{event_id}.{at_seconds}.".encode() + body)).decode()


def _mac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, "sha256")
