"""For those who receive webhooks: whether a delivery is Haldir's, whole, and not an old one sent again."""

import hashlib
import hmac
import time
from collections.abc import Sequence

TOLERANCE_SECONDS = 300  # How far the clocks of sender and receiver may be apart.
SIGNATURE_PREFIX = "sha256="


class WebhookVerificationError(Exception):
    """The delivery is not to be believed; the message says why."""


def verify_webhook_signature(
    payload: bytes | str,
    signature_header: str,
    timestamp_header: str,
    secret: str | Sequence[str],
    *,
    tolerance_seconds: int = TOLERANCE_SECONDS,
    now: float | None = None,
) -> None:
    """Return if `X-Haldir-Signature` and `X-Haldir-Timestamp` prove this body; raises WebhookVerificationError.

    `payload` is the body as it came, before any JSON parser. While a secret is rotated give the new and the old one.
    """
    secrets = [secret] if isinstance(secret, str) else list(secret)
    if not any(secrets):
        raise WebhookVerificationError("No secret was given")
    if not signature_header.startswith(SIGNATURE_PREFIX):
        raise WebhookVerificationError(f"The signature does not begin with {SIGNATURE_PREFIX!r}")
    _refuse_old(timestamp_header, tolerance_seconds, time.time() if now is None else now)
    body = payload.encode() if isinstance(payload, str) else payload
    given = signature_header.removeprefix(SIGNATURE_PREFIX).encode()
    if not any(hmac.compare_digest(_signature(each, timestamp_header, body), given) for each in secrets if each):
        raise WebhookVerificationError("The signature is not one of this body with this secret")


def _refuse_old(timestamp_header: str, tolerance_seconds: int, now: float) -> None:
    if not (timestamp_header.isascii() and timestamp_header.isdecimal()):
        raise WebhookVerificationError("The timestamp is not a number of seconds")
    if abs(now - int(timestamp_header)) > tolerance_seconds:
        raise WebhookVerificationError(f"The timestamp is more than {tolerance_seconds} s from now")


def _signature(secret: str, timestamp: str, body: bytes) -> bytes:
    return hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest().encode()
