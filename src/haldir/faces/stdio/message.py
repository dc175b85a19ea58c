"""One line of a client: read only as far as it takes to send it on, and sent on as it came."""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, UnsetType

from haldir.proxy import message as rpc
from haldir.proxy.era import METHOD_HEADER, NAME_HEADER, NAMED_BY, VERSION_KEY, header_value
from haldir.proxy.exchange import VERSION_HEADER
from haldir.proxy.message import Members, MessageId

CANCELLED = "notifications/cancelled"


class ClientMessage(msgspec.Struct, frozen=True):
    """`id_raw` UNSET: it expects no answer. `version` is what its own envelope says, as 2026-07-28 has it."""

    body: bytes
    method: str = ""
    params: Members = {}
    version: str | None = None
    id: MessageId = None
    id_raw: Raw | UnsetType = UNSET

    @property
    def is_request(self) -> bool:
        return self.id_raw is not UNSET

    @property
    def is_modern_call(self) -> bool:
        return self.version is not None and self.method == "tools/call"

    @property
    def name(self) -> str | None:
        """Return what the header Mcp-Name repeats of it."""
        found: str | None = _as(self.params.get(NAMED_BY.get(self.method, "")), str)
        return found

    @property
    def cancels(self) -> MessageId:
        """Return the id of the request it calls off; None if it calls off none."""
        found: MessageId = _as(self.params.get("requestId"), MessageId) if self.method == CANCELLED else None
        return found

    def headers(self, agreed: str | None) -> dict[str, str]:
        """Return what HTTP says of it besides; `agreed` is the version that a handshake came to, if there was one."""
        if self.version is None:
            return {VERSION_HEADER: agreed} if agreed is not None and self.method != "initialize" else {}
        named = {NAME_HEADER: header_value(self.name)} if self.name is not None else {}
        return {VERSION_HEADER: header_value(self.version), METHOD_HEADER: header_value(self.method)} | named


def read_line(line: bytes) -> ClientMessage:
    """Read a line that may hold anything. Raises UpstreamError if it is no JSON object."""
    parts = rpc.members(line)
    method = _as(parts.get("method"), str) or ""
    params = _object(parts.get("params"))
    version = _as(_object(params.get("_meta")).get(VERSION_KEY), str)
    if method and "id" in parts:
        return ClientMessage(line, method, params, version, _as(parts["id"], MessageId), parts["id"])
    return ClientMessage(line, method, params, version)


def _object(encoded: Raw | None) -> Members:
    return (_as(encoded, Members) if encoded is not None else None) or {}


def _as(encoded: Raw | None, kind: Any) -> Any:
    try:
        return None if encoded is None else msgspec.json.decode(encoded, type=kind)
    except msgspec.MsgspecError:
        return None
