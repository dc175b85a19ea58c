"""Where MCP comes in: `/mcp` and `/mcp/{upstream}`, as raw ASGI. Whatever goes wrong becomes one answer."""

from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import final

import msgspec
from msgspec import Raw
from starlette.types import Receive, Scope, Send

from haldir.faces.body import BODY_SECONDS_MAX, ClientGone, discard_body, read_body
from haldir.faces.cors import CrossOrigin, named
from haldir.faces.fault_log import report_fault
from haldir.faces.mcp.asker import asker_of, caller_of, lasting_asker_of
from haldir.faces.mcp.faults import INTERNAL, NO_ID, Fault, RpcFault, fault_of, rpc_error
from haldir.faces.mcp.header_rules import check_against_body, read_headers
from haldir.faces.mcp.held_waits import HeldWaits, WaitSettings
from haldir.faces.mcp.hop import Asker
from haldir.faces.mcp.host_rules import HostRules
from haldir.faces.mcp.inbound import Inbound, parse
from haldir.faces.mcp.joined import Joined
from haldir.faces.mcp.open_streams import OpenStreams
from haldir.faces.mcp.own_call import OwnCalls
from haldir.faces.mcp.own_tools import OwnTools
from haldir.faces.mcp.relay import Relay
from haldir.faces.mcp.reply import JSON_HEADER, Reply
from haldir.faces.mcp.shared import Shared
from haldir.faces.rest.request_rate import RequestRate
from haldir.kernel.errors import HaldirError, PayloadTooLarge, RequestTimeout
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.proxy.era import PARAM_PREFIX
from haldir.proxy.exchange import EVENT_STREAM, JSON, media_type_of
from haldir.proxy.message import INVALID_REQUEST

PATH = "/mcp"
SENT_BY_PAGES = (
    b"Accept, Authorization, Content-Type, Last-Event-ID, Mcp-Method, Mcp-Name, Mcp-Protocol-Version, Mcp-Session-Id,"
    b" Traceparent, Tracestate, X-API-Key, X-Session-ID"
)
TOLD_TO_PAGES = b"Mcp-Protocol-Version, Mcp-Session-Id, Retry-After, WWW-Authenticate"
Serve = Callable[[Inbound, Reply], Awaitable[None]]

BODY_BYTES_MAX = 4 << 20  # Arguments with a file or two in them; the upstream sees all of it.


class McpSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the operator may choose here; hosts and origins beyond this machine's own addresses."""

    allowed_hosts: tuple[str, ...] = ()
    allowed_origins: tuple[str, ...] = ()
    rate: RequestRate | None = None  # How many requests a credential may send: what REST counts by, too.
    body_seconds_max: float = BODY_SECONDS_MAX
    waits: WaitSettings = WaitSettings()


@final
class McpFace:
    """The MCP endpoints."""

    def __init__(self, ctx: Context, operations: Iterable[Operation], settings: McpSettings) -> None:
        self._ctx = ctx
        self._rules = HostRules(settings.allowed_hosts, settings.allowed_origins)
        self._pages = CrossOrigin(
            named(settings.allowed_origins), b"GET, POST, DELETE", SENT_BY_PAGES, TOLD_TO_PAGES, PARAM_PREFIX.encode()
        )
        self._streams = OpenStreams(ctx)
        shared = Shared(ctx, self._streams, HeldWaits(ctx, self._streams, settings.waits))
        self._relay = Relay(shared)
        self._joined = Joined(shared, OwnTools(operations), OwnCalls(shared, settings.rate))
        self._body_seconds_max = settings.body_seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await send({"type": "websocket.close"})
            return
        reply = Reply(send, self._pages.headers(scope["headers"]))
        request_id = NO_ID
        try:
            headers = read_headers(scope["headers"])
            self._rules.check(headers)
            if scope["method"] == "POST":
                serve = await self._served(scope["path"], headers, receive)  # First, for a body takes memory.
                inbound = await self._read(headers, receive)
                request_id = inbound.id_raw
                check_against_body(inbound)
                await serve(inbound, reply)
            else:
                await self._other(scope, headers, receive, reply)
        except ClientGone:
            return
        except HaldirError as error:
            await _refuse(reply, error, request_id)
        except Exception as error:  # noqa: BLE001 - the face is where a fault ends: one log line, one answer.
            report_fault(error, scope)
            await reply.fault(Fault(500, rpc_error(request_id, INTERNAL, "Something went wrong inside Haldir.")))
            await reply.end()

    def close(self) -> None:
        """End streams that would stay open for ever; calls under way are answered first."""
        self._streams.end_standing()

    async def _served(self, path: str, headers: dict[str, str], receive: Receive) -> Serve:
        """Return what serves a message of whoever asks at this path. Raises HaldirError for who may not."""
        upstream = _upstream_of(path)
        try:
            caller = await caller_of(self._ctx, headers)
            if upstream is None:
                return partial(self._joined.post, caller)
            return partial(self._relay.post, await asker_of(self._ctx, caller), upstream)
        except HaldirError:
            await discard_body(receive, self._body_seconds_max)
            raise

    async def _read(self, headers: dict[str, str], receive: Receive) -> Inbound:
        if media_type_of(headers) != JSON:
            raise RpcFault(415, INVALID_REQUEST, f"A message is sent as {JSON}.")
        return parse(await read_body(receive, self._body_seconds_max, BODY_BYTES_MAX), headers, receive)

    async def _asker(self, headers: dict[str, str]) -> Asker:
        return await lasting_asker_of(self._ctx, await caller_of(self._ctx, headers))

    async def _other(self, scope: Scope, headers: dict[str, str], receive: Receive, reply: Reply) -> None:
        upstream = _upstream_of(scope["path"])
        match scope["method"]:
            case "GET" if upstream is not None:
                await self._relay.get(await self._asker(headers), headers, receive, upstream, reply)
            case "DELETE" if upstream is not None:
                await self._relay.delete(await self._asker(headers), headers, receive, upstream, reply)
            case "GET" if EVENT_STREAM not in headers.get("accept", ""):
                await reply.whole(200, msgspec.json.encode(self._joined.information))
            case method:
                allow = b"GET, POST, DELETE, OPTIONS" if upstream is not None else b"GET, POST, OPTIONS"
                asks = method == "OPTIONS"  # By which a browser finds out what the page before it may send.
                body = b"{}" if asks else rpc_error(NO_ID, INVALID_REQUEST, "Method Not Allowed")
                await reply.whole(200 if asks else 405, body, (JSON_HEADER, (b"allow", allow)))


def _upstream_of(path: str) -> str | None:
    name = path.removeprefix(PATH).strip("/")
    return name or None


async def _refuse(reply: Reply, error: HaldirError, request_id: Raw) -> None:
    unread = isinstance(error, PayloadTooLarge | RequestTimeout)
    await reply.fault(fault_of(error, request_id), close=unread)
    await reply.end()
