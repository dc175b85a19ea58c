"""`/mcp`: Haldir as one server that offers what every upstream does; tools and prompts as `upstream__name`.

It keeps no session of its own, so it serves both eras alike, and speaks with each upstream in that one's era.
"""

import asyncio
from collections.abc import Container
from typing import Any, final

from msgspec import Raw

from haldir.faces.mcp.asker import require_living
from haldir.faces.mcp.faults import RpcFault
from haldir.faces.mcp.hop import Asker
from haldir.faces.mcp.inbound import Inbound
from haldir.faces.mcp.joined_ask import ASKED, ask
from haldir.faces.mcp.joined_call import JoinedCall
from haldir.faces.mcp.joined_eras import status_of
from haldir.faces.mcp.joined_names import joined_name
from haldir.faces.mcp.joined_offers import LIST_SECONDS_MAX, LISTS, joint_list
from haldir.faces.mcp.open_streams import OpenStreams
from haldir.faces.mcp.reply import Reply
from haldir.gate.model import Session
from haldir.kernel.errors import Refused, UpstreamError
from haldir.operations.books import KnownUpstream
from haldir.operations.context import Context
from haldir.operations.upstreams import may_use, observe_tools, upstreams_of
from haldir.proxy import message as rpc
from haldir.proxy.era import HANDSHAKE_VERSIONS, IMPLEMENTATION, LATEST_HANDSHAKE, MODERN, SERVER_INFO_KEY, VERSION_KEY
from haldir.proxy.message import INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_VERSION

CAPABILITIES = {
    "tools": {"listChanged": False},
    "prompts": {"listChanged": False},
    "resources": {"subscribe": False, "listChanged": False},
}
VERSIONS = (*HANDSHAKE_VERSIONS, MODERN)
INFORMATION: dict[str, Any] = {
    **IMPLEMENTATION,
    "description": "Haldir guards the tools behind it: every call is decided, recorded, forwarded and recorded again.",
    "transport": "streamable-http",
    "protocolVersions": VERSIONS,
    "authentication": "Authorization: Bearer <agent key or session token>",
}


@final
class Joined:
    """The joint server."""

    def __init__(self, ctx: Context, streams: OpenStreams) -> None:
        self._ctx, self._streams = ctx, streams

    async def post(self, asker: Asker, inbound: Inbound, reply: Reply) -> None:
        """Serve one POSTed message."""
        if inbound.kind == "request" and inbound.is_modern:
            _check_version(inbound)
        if inbound.kind == "request" and inbound.method == "tools/call":
            await JoinedCall(self._ctx, asker, inbound, reply, self._streams).run()
            return
        session = await require_living(self._ctx, asker)
        if inbound.kind != "request":
            await reply.whole(202, b"", ())
            return
        if inbound.method in ASKED:
            answer = await ask(self._ctx, asker, session, inbound)
            await reply.whole(status_of(answer, inbound), answer)
            return
        result = await self._result(asker, session, inbound)
        await reply.whole(200, rpc.response(inbound.id_raw, rpc.raw(_stamped(result) if inbound.is_modern else result)))

    async def _result(self, asker: Asker, session: Session, inbound: Inbound) -> dict[str, Any]:
        match inbound.method:
            case "initialize" if not inbound.is_modern:
                return _initialized(inbound)
            case "server/discover" if inbound.is_modern:
                return {"supportedVersions": [MODERN], "capabilities": CAPABILITIES, **_uncached()}
            case "ping":
                return {}
            case "tools/list":
                return _listing(inbound, "tools", await self._tools(asker, session, inbound))
            case method if (offer := LISTS.get(method)) is not None:
                _check_cursor(inbound)
                return _listing(inbound, offer.member, await joint_list(self._ctx, asker, session, offer))
        status = 404 if inbound.is_modern else 200
        raise RpcFault(status, METHOD_NOT_FOUND, f"There is no method {inbound.method!r} here.")

    async def _tools(self, asker: Asker, session: Session, inbound: Inbound) -> list[Raw]:
        _check_cursor(inbound)
        known = await upstreams_of(self._ctx, asker.caller.tenant)
        offers = [self._offered(asker, session, known[name], known) for name in sorted(known)]
        return [tool for offered in await asyncio.gather(*offers) for tool in offered]

    async def _offered(self, asker: Asker, session: Session, known: KnownUpstream, names: Container[str]) -> list[Raw]:
        """Return what one upstream offers to this session; nothing if it does not answer: its health says why."""
        tenant, upstream = asker.caller.tenant, known.upstream
        try:
            async with asyncio.timeout(LIST_SECONDS_MAX):
                definitions = await self._ctx.pool.list_tools(tenant, upstream, known.config)
                await observe_tools(self._ctx, tenant, upstream.name, definitions)
        except (UpstreamError, Refused, TimeoutError):
            return []
        visible = await may_use(self._ctx, session, tenant, upstream)
        offered: dict[str, Raw] = {}  # By name, for a definition may be listed twice.
        for definition in filter(visible, definitions):
            if (name := joined_name(upstream.name, definition.name, names)) is not None:
                offered[name] = Raw(rpc.build(rpc.members(definition.encoded) | {"name": rpc.raw(name)}))
        return list(offered.values())


def _check_cursor(inbound: Inbound) -> None:
    if inbound.params.get("cursor") is not None:
        raise RpcFault(400, INVALID_PARAMS, "The list has one page; there is no such cursor.")


def _listing(inbound: Inbound, member: str, definitions: list[Raw]) -> dict[str, Any]:
    return {member: definitions} | (_uncached() if inbound.is_modern else {})


def _check_version(inbound: Inbound) -> None:
    requested = inbound.meta[VERSION_KEY]
    if not isinstance(requested, str):
        raise RpcFault(400, INVALID_PARAMS, "The protocol version must be a string.")
    if requested != MODERN:
        data = {"supported": [MODERN], "requested": requested}
        raise RpcFault(400, UNSUPPORTED_VERSION, "Unsupported protocol version", data)


def _initialized(inbound: Inbound) -> dict[str, Any]:
    wanted = inbound.params.get("protocolVersion")
    version = wanted if wanted in HANDSHAKE_VERSIONS else LATEST_HANDSHAKE
    return {"protocolVersion": version, "capabilities": CAPABILITIES, "serverInfo": IMPLEMENTATION}


def _uncached() -> dict[str, Any]:
    """What a session may see changes with policies and scopes, and is nobody else's business."""
    return {"ttlMs": 0, "cacheScope": "private"}


def _stamped(result: dict[str, Any]) -> dict[str, Any]:
    return {"resultType": "complete", **result, "_meta": {SERVER_INFO_KEY: IMPLEMENTATION}}
