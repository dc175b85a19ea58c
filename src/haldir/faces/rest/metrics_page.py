"""/metrics, for whoever bears the operator's token. Without one there is no such page."""

import hmac
from collections.abc import Callable
from typing import final

from starlette.types import Receive, Scope, Send

from haldir.faces.rest.endpoint import credentials_of, method_reply
from haldir.kernel.errors import MetricsDisabled, Unauthenticated
from haldir.kernel.secret import Secret

CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"


@final
class MetricsPage:
    """An ASGI app that answers GET with what `exposition` returns."""

    def __init__(self, token: Secret[str] | None, exposition: Callable[[], bytes] | None) -> None:
        self._token, self._exposition = token, exposition

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        if self._token is None or self._exposition is None:
            raise MetricsDisabled("This Haldir tells nobody its metrics.")
        if scope["method"] not in {"GET", "HEAD"}:
            await method_reply(scope, "GET, HEAD, OPTIONS").send(send)
            return
        bearer, _ = credentials_of(scope)
        if bearer is None or not hmac.compare_digest(bearer.encode(), self._token.reveal().encode()):
            raise Unauthenticated("The metrics are for whoever bears HALDIR_METRICS_TOKEN.")
        body = self._exposition()
        headers = [(b"content-type", CONTENT_TYPE), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})
