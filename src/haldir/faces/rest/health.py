"""Pages for whoever watches the process: alive, and ready. Public, so they say nothing about tenants."""

from collections.abc import Awaitable, Callable
from importlib.metadata import version

from starlette.types import Receive, Scope, Send

from haldir.faces.rest.endpoint import method_reply
from haldir.faces.rest.reply import Reply, encode
from haldir.kernel.clock import unix_seconds
from haldir.operations.context import Context
from haldir.operations.health import readiness

READY, NOT_READY = 200, 503


class Page:
    """An ASGI app that takes no input; a class, since Starlette takes functions for something else."""

    def __init__(self, make: Callable[[], Awaitable[Reply]]) -> None:
        self._make = make

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        known = scope["method"] in {"GET", "HEAD"}
        reply = await self._make() if known else method_reply(scope, "GET, HEAD, OPTIONS")
        await reply.send(send)


def health_pages(ctx: Context) -> dict[str, Page]:
    """Return /healthz, /livez and /readyz by path."""
    running = version("haldir-guardian")

    async def alive() -> Reply:
        told = {"status": "ok", "service": "haldir", "version": running, "alive": True}
        return Reply(READY, encode({**told, "checked_at": unix_seconds(ctx.clock())}))

    async def ready() -> Reply:
        found = await readiness(ctx)
        return Reply(READY if found.ready else NOT_READY, encode(found))

    return {"/healthz": Page(alive), "/livez": Page(alive), "/readyz": Page(ready)}
