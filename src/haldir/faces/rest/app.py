"""The REST face: the catalogue as routes, behind one door."""

from collections.abc import Mapping, Sequence

import msgspec
from starlette.routing import Route, Router
from starlette.types import ASGIApp, Receive, Scope, Send

from haldir.faces.body import BODY_SECONDS_MAX
from haldir.faces.rest.door import Door
from haldir.faces.rest.endpoint import Endpoint
from haldir.faces.rest.health import READY, Page, health_pages
from haldir.faces.rest.metrics_page import MetricsPage
from haldir.faces.rest.openapi import openapi_document
from haldir.faces.rest.reply import Reply, encode
from haldir.faces.rest.request_rate import RequestRate
from haldir.kernel.errors import NotFound
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context


class RestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator may choose here."""

    allowed_origins: tuple[str, ...] = ()  # Origins of browser pages that may read answers.
    rate: RequestRate | None = None  # How many requests a credential may send.
    body_seconds_max: float = BODY_SECONDS_MAX
    metrics: MetricsPage = MetricsPage(None, None)
    documents: Mapping[str, ASGIApp] = {}  # What else is told, by path.


def rest_app(ctx: Context, operations: Sequence[Operation], settings: RestSettings) -> ASGIApp:
    """Return the ASGI app that answers for every operation of the catalogue, and for its own description."""
    by_path: dict[str, dict[str, Operation]] = {}
    for operation in operations:
        by_path.setdefault(operation.path, {})[operation.method] = operation
    pages = health_pages(ctx)
    pages["/openapi.json"] = _document(openapi_document(operations))
    pages["/v1"] = _document(_index(operations))
    routes = [Route("/metrics", settings.metrics), *(Route(path, page) for path, page in pages.items())]
    routes += [Route(path, document) for path, document in settings.documents.items()]
    # A path without braces goes first: /v1/approvals/pending is no approval called "pending".
    paths = sorted(by_path, key=lambda path: (path.count("{"), path))
    routes += [Route(path, Endpoint(ctx, by_path[path], settings.rate, settings.body_seconds_max)) for path in paths]
    return Door(Router(routes, redirect_slashes=False, default=_nowhere), settings.allowed_origins)


def _document(document: object) -> Page:
    """Return the page of a document that never changes while the server runs."""
    reply = Reply(READY, encode(document))

    async def fixed() -> Reply:
        return reply

    return Page(fixed)


async def _nowhere(scope: Scope, _receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close"})
        return
    raise NotFound(f"There is nothing at {scope['path']}; GET /v1 lists what there is.")


def _index(operations: Sequence[Operation]) -> dict[str, object]:
    verbs = [{"name": each.name, "method": each.method, "path": each.path} for each in operations]
    return {"service": "haldir", "openapi": "/openapi.json", "operations": verbs}
