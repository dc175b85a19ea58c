"""A whole Haldir with its MCP face on loopback, in a thread, and both kinds of clients: official and raw."""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import uvicorn
from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from starlette.types import Receive, Scope, Send

from haldir.app import open_context
from haldir.config_file import OperatorUpstream
from haldir.faces.mcp.face import McpFace
from haldir.faces.rest.app import RestSettings, rest_app
from haldir.operations.context import Context
from haldir.operations.everything import OPERATIONS
from haldir.operations.operator import sync_operator_upstreams
from haldir.operations.tenants import first_tenant
from haldir.proxy.model import ToolRule, UpstreamConfig
from haldir.settings import Settings

BODY_SECONDS_MAX = 0.5
HANDSHAKE = "2025-11-25"
MODERN = "2026-07-28"
ENVELOPE = {"io.modelcontextprotocol/protocolVersion": MODERN, "io.modelcontextprotocol/clientCapabilities": {}}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def message(self) -> Any:
        """The JSON-RPC response, out of JSON or of the last event."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            return messages_in(self.body)[-1]
        return self.json


class GuardedHaldir:
    """A running server; `key` is its admin key."""

    def __init__(self, port: int, key: str, ctx: Context) -> None:
        self.port, self.key, self.ctx = port, key, ctx
        self.url = f"http://127.0.0.1:{port}"

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """Send bytes and return what came; underscores in header names stand for dashes."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, body, named)
            answer = connection.getresponse()
            return Answer(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())

    def post(self, path: str, message: Any, token: str, **headers: str) -> Answer:
        """POST a message as an MCP client of the handshake era does, unless the headers say otherwise."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        given = {"content_type": "application/json", "accept": "application/json, text/event-stream"}
        return self.send("POST", path, body, **(given | {"authorization": f"Bearer {token}"} | headers))

    def ask_modern(self, path: str, method: str, params: dict[str, Any], token: str, **headers: str) -> Answer:
        named = {"mcp_name": params["name"]} if "name" in params else {}
        message = {
            "jsonrpc": "2.0",
            "id": 1,
            "method": method,
            "params": {**params, "_meta": {**ENVELOPE, **params.get("_meta", {})}},
        }
        return self.post(
            path, message, token, **({"mcp_protocol_version": MODERN, "mcp_method": method} | named | headers)
        )

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        answer = self.send(
            method, path, json.dumps(body).encode() if body is not None else None, authorization=f"Bearer {self.key}"
        )
        assert answer.status < 300, answer
        return answer.json

    def session(self, *scopes: str, **members: Any) -> Any:
        return self.rest(
            "POST", "/v1/sessions", {"agent_id": "tester", "scopes": list(scopes) or ["execute"], **members}
        )

    def token(self, *scopes: str, **members: Any) -> str:
        token: str = self.session(*scopes, **members)["token"]
        return token

    def calls(self, state: str) -> list[Any]:
        found: list[Any] = self.rest("GET", f"/v1/calls?state={state}")["calls"]
        return found

    def wait_for_call(self, state: str) -> Any:
        """Return the one call that reaches a state, once it does."""
        return eventually(lambda: self.calls(state))[0]

    @asynccontextmanager
    async def client(self, path: str, token: str, mode: str = "auto", **options: Any) -> AsyncIterator[Client]:
        """An official client, authenticated."""
        async with create_mcp_http_client(headers={"Authorization": f"Bearer {token}"}) as http_client:
            transport = streamable_http_client(f"{self.url}{path}", http_client=http_client)
            async with Client(transport, mode=mode, **options) as client:
                yield client


def eventually(look: Callable[[], Any], seconds: float = 20.0) -> Any:
    """Return what `look` finds once it finds something: for effects that nobody announces."""
    give_up = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < give_up, "it never came"
        time.sleep(0.02)
    return found


def messages_in(stream: bytes) -> list[Any]:
    return [json.loads(line[6:]) for line in stream.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data: {")]


def request(method: str, params: Any = None, number: Any = 1) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": number, "method": method} | ({"params": params} if params is not None else {})


def initialize() -> dict[str, Any]:
    return request(
        "initialize",
        {"protocolVersion": HANDSHAKE, "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}},
        0,
    )


def call(tool: str, number: Any = 1, **arguments: Any) -> dict[str, Any]:
    return request("tools/call", {"name": tool, "arguments": arguments}, number)


def http_upstream(name: str, url: str, deadline_seconds: float = 20.0, **headers: str) -> OperatorUpstream:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return OperatorUpstream(name, UpstreamConfig(url=url, headers=named, deadline_seconds=deadline_seconds))


@contextmanager
def guarding(data: Path, *upstreams: OperatorUpstream, origins: tuple[str, ...] = ()) -> Iterator[GuardedHaldir]:
    """Run a Haldir in front of these upstreams for as long as the block lasts."""
    settings = Settings(data=data, upstreams=upstreams, allowed_origins=origins)
    begun = _Begun()
    thread = threading.Thread(target=lambda: asyncio.run(_serve(settings, begun)), daemon=True)
    thread.start()
    assert begun.ready.wait(60)
    if begun.error is not None:
        raise begun.error
    try:
        yield begun.haldir
    finally:
        begun.face.close()
        begun.server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


class _Begun:
    haldir: GuardedHaldir
    server: uvicorn.Server
    face: McpFace

    def __init__(self) -> None:
        self.ready = threading.Event()
        self.error: BaseException | None = None


async def _serve(settings: Settings, begun: _Begun) -> None:
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        async with open_context(settings) as ctx:
            first = await first_tenant(ctx)
            await sync_operator_upstreams(ctx, first.tenant, _configured(settings.upstreams))
            await _listen(ctx, first.key.reveal(), settings.allowed_origins, begun)
            await asyncio.gather(*ctx.in_flight, return_exceptions=True)
    except BaseException as error:
        begun.error = error
        begun.ready.set()
        raise


def _configured(upstreams: Sequence[OperatorUpstream]) -> list[tuple[str, UpstreamConfig, tuple[ToolRule, ...]]]:
    return [(each.name, each.config, each.tool_rules) for each in upstreams]


async def _listen(ctx: Context, key: str, origins: tuple[str, ...], begun: _Begun) -> None:
    mcp = McpFace(ctx, origins=origins, body_seconds_max=BODY_SECONDS_MAX)
    rest = rest_app(ctx, OPERATIONS, RestSettings(allowed_origins=origins))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (mcp if scope["path"].startswith("/mcp") else rest)(scope, receive, send)

    # By its protocol asyncio tells that it is TCP, and turns off Nagle's algorithm: else each answer takes 40 ms.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        begun.haldir = GuardedHaldir(listening.getsockname()[1], key, ctx)
        begun.face = mcp
        begun.server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, ws="none"))
        begun.ready.set()  # The socket takes connections already; they wait for the server.
        await begun.server.serve(sockets=[listening])
