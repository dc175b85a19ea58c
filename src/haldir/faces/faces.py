"""Every face as one app: `/mcp` here, pages there, all else by REST, and measured where somebody may read it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

from starlette.types import ASGIApp, Receive, Scope, Send

from haldir.faces.discovery.pages import documents
from haldir.faces.discovery.site import site_of
from haldir.faces.mcp.face import McpFace, McpSettings
from haldir.faces.mcp.held_waits import WaitSettings
from haldir.faces.rest.app import RestSettings, rest_app
from haldir.faces.rest.metrics_page import MetricsPage
from haldir.faces.rest.request_rate import RequestRate
from haldir.faces.web.face import WebFace, WebSettings
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.settings import Settings

if TYPE_CHECKING:
    from haldir.faces.meter import Meter


@final
class Faces:
    """The faces of one Haldir, with one count of requests between them. `url` is where it listens."""

    def __init__(
        self, ctx: Context, settings: Settings, url: str, operations: Sequence[Operation], body_seconds_max: float
    ) -> None:
        place = settings.public_url or url
        per_minute = settings.rate_limit_per_minute
        rate = RequestRate(per_minute, ctx.clock) if per_minute else None
        meter = _meter(ctx, settings)
        self._mcp_face = McpFace(
            ctx,
            operations,
            McpSettings(
                allowed_hosts=settings.allowed_hosts,
                allowed_origins=settings.allowed_origins,
                rate=rate,
                body_seconds_max=body_seconds_max,
                waits=WaitSettings(seconds_max=settings.held_seconds, base_url=place),
            ),
        )
        rest = rest_app(
            ctx,
            operations,
            RestSettings(
                allowed_origins=settings.allowed_origins,
                rate=rate,
                body_seconds_max=body_seconds_max,
                documents=documents(site_of(ctx, operations, place, settings.security_contact)),
                metrics=MetricsPage(settings.metrics_token, meter.exposition if meter else None),
            ),
        )
        self._web_face = WebFace(ctx, operations, WebSettings(url=place, rate=rate, body_seconds_max=body_seconds_max))
        self._mcp: ASGIApp = meter.measured("mcp", self._mcp_face) if meter else self._mcp_face
        self._rest = meter.measured("rest", rest) if meter else rest
        self._web: ASGIApp = meter.measured("web", self._web_face) if meter else self._web_face

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        await self._face_of(path)(scope, receive, send)

    def close(self) -> None:
        """End streams that would stay open for ever; calls under way are answered first."""
        self._mcp_face.close()
        self._web_face.close()

    def _face_of(self, path: str) -> ASGIApp:
        if path == "/mcp" or path.startswith("/mcp/"):
            return self._mcp
        return self._web if self._web_face.serves(path) else self._rest


def _meter(ctx: Context, settings: Settings) -> "Meter | None":
    if settings.metrics_token is None:
        return None
    from haldir.faces.meter import Meter  # noqa: PLC0415 - 30 ms of a start, for those alone who scrape.

    return Meter(ctx)
