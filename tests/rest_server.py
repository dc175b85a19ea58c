"""A real Haldir behind a real uvicorn on loopback, in a thread, and a client that sends it any bytes."""

import asyncio
import http.client
import json
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn

from haldir.app import open_context
from haldir.faces.rest.app import RestSettings, rest_app
from haldir.kernel.secret import Secret
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.everything import OPERATIONS
from haldir.operations.tenants import first_tenant
from haldir.settings import Settings

BOOTSTRAP_TOKEN = "let me in, once"


class Answer(NamedTuple):
    status: int
    body: Any
    headers: dict[str, str]


class Haldir:
    """A running server; `key` is the first tenant's first key."""

    def __init__(self, port: int, key: str, data: Path) -> None:
        self.port, self.key, self.data = port, key, data

    def ask(
        self, method: str, path: str, body: Any = None, *, key: str | None = "", headers: dict[str, str] | None = None
    ) -> Answer:
        """Send a request; bytes go as they are, anything else as JSON. `key` None sends no credential."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        told = dict(headers or {})
        if key is not None:
            told.setdefault("Authorization", f"Bearer {key or self.key}")
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)) as connection:
            connection.request(method, path, sent, told)
            return answer_of(connection.getresponse())

    def get(self, path: str, **kwargs: Any) -> Answer:
        return self.ask("GET", path, **kwargs)

    def post(self, path: str, body: Any = None, **kwargs: Any) -> Answer:
        return self.ask("POST", path, body, **kwargs)

    def delete(self, path: str, **kwargs: Any) -> Answer:
        return self.ask("DELETE", path, **kwargs)

    def session(self, **members: Any) -> dict[str, Any]:
        """Open a session and return what was answered."""
        opened = self.post("/v1/sessions", {"agent_id": "tester", **members})
        assert opened.status == 201, opened
        session: dict[str, Any] = opened.body
        return session


def answer_of(response: http.client.HTTPResponse) -> Answer:
    body = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, json.loads(body) if body else None, headers)


@contextmanager
def running_haldir(
    data: Path,
    *,
    dsn: str | None = None,
    rest: RestSettings | None = None,
    operations: Sequence[Operation] = OPERATIONS,
) -> Iterator[Haldir]:
    """Run a Haldir for as long as the block lasts."""
    settings = Settings(
        data=data,
        database_url=Secret(dsn) if dsn else None,
        bootstrap_token=Secret(BOOTSTRAP_TOKEN),
        allow_private=True,
    )
    begun = _Begun()
    thread = threading.Thread(
        target=lambda: asyncio.run(_serve(settings, rest or RestSettings(), operations, begun)), daemon=True
    )
    thread.start()
    assert begun.ready.wait(60)
    if begun.error is not None:
        raise begun.error
    try:
        yield Haldir(begun.port, begun.key, data)
    finally:
        begun.server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


class _Begun:
    """What the server's thread tells the test."""

    server: uvicorn.Server

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.port, self.key = 0, ""
        self.error: BaseException | None = None


async def _serve(settings: Settings, rest: RestSettings, operations: Sequence[Operation], begun: _Begun) -> None:
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        async with open_context(settings) as ctx:
            begun.key = (await first_tenant(ctx)).key.reveal()
            await _listen(ctx, rest, operations, begun)
    except BaseException as error:
        begun.error = error
        begun.ready.set()
        raise


async def _listen(ctx: Context, rest: RestSettings, operations: Sequence[Operation], begun: _Begun) -> None:
    # By its protocol asyncio tells that it is TCP, and turns off Nagle's algorithm: else each answer takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        begun.port = listening.getsockname()[1]
        config = uvicorn.Config(rest_app(ctx, operations, rest), lifespan="off", log_config=None, ws="none")
        begun.server = uvicorn.Server(config)
        begun.ready.set()  # The socket takes connections already; they wait for the server.
        await begun.server.serve(sockets=[listening])
