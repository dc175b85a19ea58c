"""Where every HTTP request comes in: it gets an id, and whatever goes wrong behind it becomes one answer."""

import re
import secrets
from collections.abc import Sequence

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from haldir.faces.body import ClientGone
from haldir.faces.cors import CrossOrigin, named
from haldir.faces.fault_log import report_fault
from haldir.faces.rest.reply import Exchange, error_reply
from haldir.kernel.errors import HaldirError, InternalError
from haldir.operations.kept_answers import Header

REQUEST_ID_BYTES = 16
METHODS = b"GET, POST, PUT, DELETE"
SENT_BY_PAGES = b"Authorization, Content-Type, Idempotency-Key, X-API-Key, X-Request-ID, X-Session-ID"
TOLD_TO_PAGES = (
    b"Idempotency-Replayed, Retry-After, X-Request-ID, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Used, "
    b"X-RateLimit-Reset, X-RateLimit-Reset-After, X-RateLimit-Resource"
)

SECURITY_HEADERS: tuple[Header, ...] = (
    (b"strict-transport-security", b"max-age=31536000; includeSubDomains"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"permissions-policy", b"camera=(), geolocation=(), microphone=(), payment=()"),
    (b"cache-control", b"no-store"),
)

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{1,64}")


class Door:
    """Wraps the routes. `allowed_origins` are the browsers' origins that may read answers; none by default."""

    def __init__(self, routes: ASGIApp, allowed_origins: Sequence[str]) -> None:
        self._routes = routes
        self._pages = CrossOrigin(named(allowed_origins), METHODS, SENT_BY_PAGES, TOLD_TO_PAGES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._routes(scope, receive, send)
            return
        exchange = Exchange(_request_id(scope["headers"]))
        scope["state"] = {**scope.get("state", {}), "exchange": exchange}
        cors = self._pages.headers(scope["headers"])
        started = False

        async def answer(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                named = (b"x-request-id", exchange.request_id.encode())
                message["headers"] = [*message["headers"], named, *SECURITY_HEADERS, *cors, *exchange.headers]
            await send(message)

        try:
            await self._routes(scope, receive, answer)
        except ClientGone:
            return
        except HaldirError as error:
            if started:  # What was begun breaks off, which tells its reader that it is not whole.
                report_fault(error, scope, exchange.request_id)
                return
            await error_reply(error, exchange.request_id).send(answer)
        except Exception as error:  # noqa: BLE001 - the face is where a fault ends: one log line, one answer.
            report_fault(error, scope, exchange.request_id)
            if not started:
                await error_reply(InternalError(), exchange.request_id).send(answer)


def _request_id(headers: Sequence[Header]) -> str:
    """Return the id the client gave, if it is fit for logs and headers; else a new one."""
    for name, value in headers:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return value.decode()
    return secrets.token_hex(REQUEST_ID_BYTES)
