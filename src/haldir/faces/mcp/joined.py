"""`/mcp`: Haldir as one server that offers its own tools and what every upstream does, as `upstream__name`.

It keeps no session of its own, so it serves both eras alike, and speaks with each upstream in that one's era.
"""

from typing import Any, final

from msgspec import Raw

from haldir.faces.mcp.asker import Acting, acting_of, asker_of, require_acting
from haldir.faces.mcp.bridged import is_bridged
from haldir.faces.mcp.faults import RpcFault
from haldir.faces.mcp.inbound import Inbound
from haldir.faces.mcp.joined_ask import ASKED, ask
from haldir.faces.mcp.joined_call import JoinedCall
from haldir.faces.mcp.joined_eras import status_of
from haldir.faces.mcp.joined_offers import LISTS, joint_list
from haldir.faces.mcp.joined_tools import joint_tools
from haldir.faces.mcp.own_call import OwnCalls
from haldir.faces.mcp.own_prompts import PROMPT_NAMES, offered_prompts, spoken
from haldir.faces.mcp.own_tools import OwnTools
from haldir.faces.mcp.reply import Reply
from haldir.faces.mcp.shared import Shared
from haldir.operations.caller import Caller
from haldir.proxy import message as rpc
from haldir.proxy.discovery import PROMPTS, Offer
from haldir.proxy.era import HANDSHAKE_VERSIONS, IMPLEMENTATION, LATEST_HANDSHAKE, MODERN, SERVER_INFO_KEY, VERSION_KEY
from haldir.proxy.message import INVALID_PARAMS, METHOD_NOT_FOUND, UNSUPPORTED_VERSION, raw

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
    "authentication": "Authorization: Bearer <agent key, session token or API key>",
}


@final
class Joined:
    """The joint server."""

    def __init__(self, shared: Shared, tools: OwnTools, calls: OwnCalls) -> None:
        self._shared, self._ctx, self._tools, self._calls = shared, shared.ctx, tools, calls

    @property
    def information(self) -> dict[str, Any]:
        """Return what anyone may know of this endpoint."""
        return INFORMATION | {"tools": self._tools.names(), "prompts": sorted(PROMPT_NAMES)}

    async def post(self, caller: Caller, inbound: Inbound, reply: Reply) -> None:
        """Serve one POSTed message."""
        if inbound.kind == "request" and inbound.is_modern:
            _check_version(inbound)
        if inbound.kind == "request" and inbound.method == "tools/call":
            await self._call(caller, inbound, reply)
            return
        acting = await acting_of(self._ctx, caller)
        if inbound.kind != "request":
            await reply.whole(202, b"", ())
        elif inbound.method in ASKED and inbound.params.get("name") not in PROMPT_NAMES:
            found = acting or await require_acting(self._ctx, caller)
            answer = await ask(self._ctx, found.asker, found.session, inbound)
            await reply.whole(status_of(answer, inbound), answer)
        else:
            lasting = acting.asker.caller if acting else caller
            await _respond(await self._result(lasting, acting, inbound), inbound, reply)

    async def _call(self, caller: Caller, inbound: Inbound, reply: Reply) -> None:
        own = self._tools.named(inbound.params["name"])
        if own is not None:
            await _respond(await self._calls.result(caller, own, inbound, reply), inbound, reply)
            return
        asker = await asker_of(self._ctx, caller)
        await JoinedCall(self._shared, asker, inbound, reply).run()

    async def _result(self, caller: Caller, acting: Acting | None, inbound: Inbound) -> dict[str, Any]:
        match inbound.method:
            case "initialize" if not inbound.is_modern:
                return _initialized(inbound)
            case "server/discover" if inbound.is_modern:
                return {"supportedVersions": [MODERN], "capabilities": CAPABILITIES, **_uncached()}
            case "ping":
                return {}
            case "tools/list":
                _check_cursor(inbound)
                own = self._tools.offered(caller, over_stdio=is_bridged(inbound.headers))
                return _listing(inbound, "tools", [*own, *(await joint_tools(self._ctx, acting) if acting else ())])
            case method if (offer := LISTS.get(method)) is not None:
                _check_cursor(inbound)
                return _listing(inbound, offer.member, await self._offers(caller, acting, offer))
            case "prompts/get":
                return spoken(self._tools, caller, inbound)
        status = 404 if inbound.is_modern else 200
        raise RpcFault(status, METHOD_NOT_FOUND, f"There is no method {inbound.method!r} here.")

    async def _offers(self, caller: Caller, acting: Acting | None, offer: Offer) -> list[Raw]:
        own = (
            [raw(each.definition(caller)) for each in offered_prompts(self._tools, caller)] if offer == PROMPTS else []
        )
        return own + (await joint_list(self._ctx, acting.asker, acting.session, offer) if acting else [])


async def _respond(result: dict[str, Any], inbound: Inbound, reply: Reply) -> None:
    await reply.answer(200, rpc.response(inbound.id_raw, raw(_stamped(result) if inbound.is_modern else result)))


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
    return {"resultType": "complete", **result, "_meta": {**result.get("_meta", {}), SERVER_INFO_KEY: IMPLEMENTATION}}
