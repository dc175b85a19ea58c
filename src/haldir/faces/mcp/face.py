"""Where MCP comes in: `/mcp` and `/mcp/{upstream}`, as raw ASGI. Whatever goes wrong becomes one answer."""

import logging
import traceback
from typing import final

import msgspec
from msgspec import Raw
from starlette.types import Receive, Scope, Send

from haldir.faces.body import BODY_SECONDS_MAX, ClientGone, discard_body, read_body
from haldir.faces.cors import CrossOrigin, named
from haldir.faces.mcp.asker import asker_of
from haldir.faces.mcp.faults import INTERNAL, NO_ID, Fault, RpcFault, fault_of, rpc_error
from haldir.faces.mcp.header_rules import check_against_body, read_headers
from haldir.faces.mcp.hop import Asker
from haldir.faces.mcp.host_rules import HostRules
from haldir.faces.mcp.inbound import Inbound, parse
from haldir.faces.mcp.joined import INFORMATION, Joined
from haldir.faces.mcp.open_streams import OpenStreams
from haldir.faces.mcp.relay import Relay
from haldir.faces.mcp.reply import JSON_HEADER, Reply
from haldir.kernel.errors import HaldirError, PayloadTooLarge, RequestTimeout
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
BODY_BYTES_MAX = 4 << 20  # Arguments with a file or two in them; the upstream sees all of it.

_log = logging.getLogger(__name__)


@final
class McpFace:
    """The MCP endpoints. `hosts` and `origins` are what requests may name beyond this machine's own addresses."""

    def __init__(
        self,
        ctx: Context,
        hosts: tuple[str, ...] = (),
        origins: tuple[str, ...] = (),
        body_seconds_max: float = BODY_SECONDS_MAX,
    ) -> None:
        self._ctx = ctx
        self._rules = HostRules(hosts, origins)
        self._pages = CrossOrigin(
            named(origins), b"GET, POST, DELETE", SENT_BY_PAGES, TOLD_TO_PAGES, PARAM_PREFIX.encode()
        )
        self._streams = OpenStreams(ctx)
        self._relay = Relay(ctx, self._streams)
        self._joined = Joined(ctx, self._streams)
        self._body_seconds_max = body_seconds_max

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
                asker = await self._asker(headers, receive)  # First, for a body takes memory.
                inbound = await self._read(headers, receive)
                request_id = inbound.id_raw
                check_against_body(inbound)
                await self._post(scope["path"], asker, inbound, reply)
            else:
                await self._other(scope, headers, receive, reply)
        except ClientGone:
            return
        except HaldirError as error:
            await _refuse(reply, error, request_id)
        except Exception as error:  # noqa: BLE001 - the face is where a fault ends: one log line, one answer.
            _report(error, scope)
            await reply.fault(Fault(500, rpc_error(request_id, INTERNAL, "Something went wrong inside Haldir.")))
            await reply.end()

    def close(self) -> None:
        """End streams that would stay open for ever; calls under way are answered first."""
        self._streams.end_standing()

    async def _asker(self, headers: dict[str, str], receive: Receive) -> Asker:
        try:
            return await asker_of(self._ctx, headers)
        except HaldirError:
            await discard_body(receive, self._body_seconds_max)
            raise

    async def _read(self, headers: dict[str, str], receive: Receive) -> Inbound:
        if media_type_of(headers) != JSON:
            raise RpcFault(415, INVALID_REQUEST, f"A message is sent as {JSON}.")
        return parse(await read_body(receive, self._body_seconds_max, BODY_BYTES_MAX), headers, receive)

    async def _post(self, path: str, asker: Asker, inbound: Inbound, reply: Reply) -> None:
        upstream = _upstream_of(path)
        if upstream is None:
            await self._joined.post(asker, inbound, reply)
        else:
            await self._relay.post(asker, inbound, upstream, reply)

    async def _other(self, scope: Scope, headers: dict[str, str], receive: Receive, reply: Reply) -> None:
        upstream = _upstream_of(scope["path"])
        match scope["method"]:
            case "GET" if upstream is not None:
                await self._relay.get(await asker_of(self._ctx, headers), headers, receive, upstream, reply)
            case "DELETE" if upstream is not None:
                await self._relay.delete(await asker_of(self._ctx, headers), headers, receive, upstream, reply)
            case "GET" if EVENT_STREAM not in headers.get("accept", ""):
                await reply.whole(200, msgspec.json.encode(INFORMATION))
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


def _report(error: Exception, scope: Scope) -> None:
    """Log where it went wrong, but neither values nor messages: they may hold what was secret."""
    frames = traceback.extract_tb(error.__traceback__)
    particulars = {
        "method": scope["method"],
        "path": scope["path"],
        "error": type(error).__qualname__,
        "at": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
    }
    _log.error("unhandled_error", extra={"event": particulars})
