"""What goes back: one shape for every answer and, rendered here and nowhere else, for every error."""

from typing import Any

import msgspec
from starlette.types import Scope, Send

from haldir.approvals.holds import APPROVAL_REQUIRED
from haldir.kernel.errors import (
    AnswerLost,
    HaldirError,
    InsufficientScope,
    InvalidRequest,
    OutcomeUnknown,
    PayloadTooLarge,
    RateLimited,
    Refused,
    RequestTimeout,
    TryLater,
)
from haldir.operations.kept_answers import Answer, Header

JSON_TYPE: Header = (b"content-type", b"application/json")
CHALLENGE: Header = (b"www-authenticate", b'Bearer realm="haldir"')
CLOSE: Header = (b"connection", b"close")
TIER = "free"  # WIRE.md §0: published clients may read it; self-hosted Haldir has no plans.
UNAUTHORIZED = 401
ERRORS_FROM = 400

encode = msgspec.json.Encoder().encode


class Reply(Answer, frozen=True):
    """A whole answer, on its way out."""

    async def send(self, send: Send) -> None:
        length = (b"content-length", str(len(self.body)).encode())
        await send(
            {"type": "http.response.start", "status": self.status, "headers": [JSON_TYPE, length, *self.headers]}
        )
        await send({"type": "http.response.body", "body": self.body})


class Exchange:
    """What one request carries beside its scope: its id, and headers that any answer to it shall have."""

    __slots__ = ("headers", "request_id")

    def __init__(self, request_id: str) -> None:
        self.request_id = request_id
        self.headers: list[Header] = []


def exchange_of(scope: Scope) -> Exchange:
    exchange: Exchange = scope["state"]["exchange"]
    return exchange


def error_reply(error: HaldirError, request_id: str, extras: dict[str, Any] | None = None) -> Reply:
    """Return an error as WIRE.md §0 asks: error, code, request_id, and what helps; `extras` of the operation win."""
    body = encode({"request_id": request_id} | error_members(error, extras))
    waits = isinstance(error, Refused) and error.code == APPROVAL_REQUIRED
    return Reply(error.status, body, tuple(_headers(error)), final=not waits)


def error_members(error: HaldirError, extras: dict[str, Any] | None = None) -> dict[str, Any]:
    """Return what an error says, whoever asked for it and by which face."""
    said: dict[str, Any] = {"error": error.message, "code": error.code} | ({"hint": error.hint} if error.hint else {})
    return said | _particulars(error) | (extras or {})


def _particulars(error: HaldirError) -> dict[str, Any]:
    match error:
        case InvalidRequest(field=str() as field):
            return {"field": field}
        case InsufficientScope(required=required, granted=granted):
            return {"required": required, "granted": granted}
        case PayloadTooLarge(max_bytes=max_bytes):
            return {"max_bytes": max_bytes}
        case RateLimited(limit=limit, resource=resource, retry_after_seconds=seconds):
            return {"limit": limit, "tier": TIER, "retry_after": seconds, "resource": resource}
        case TryLater(retry_after_seconds=seconds):
            return {"retry_after": seconds}
        case Refused(call_id=call_id) | OutcomeUnknown(call_id=call_id) | AnswerLost(call_id=call_id) if call_id:
            return {"call_id": call_id}
    return {}


def _headers(error: HaldirError) -> list[Header]:
    match error:
        case TryLater(retry_after_seconds=seconds):
            return [(b"retry-after", str(seconds).encode())]
        case PayloadTooLarge() | RequestTimeout():
            return [CLOSE]  # What is still on its way of the body must not be read as the next request.
    return [CHALLENGE] if error.status == UNAUTHORIZED else []
