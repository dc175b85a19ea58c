"""The two eras of MCP and what Haldir, as a client, says in each: handshakes till 2025-11-25, envelopes since."""

import base64
import re
from collections.abc import Mapping
from importlib.metadata import version

import msgspec
from msgspec import Raw

from haldir.proxy.exchange import EVENT_STREAM, JSON, SESSION_HEADER, VERSION_HEADER
from haldir.proxy.message import Members, members, raw, with_meta

HANDSHAKE_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
LATEST_HANDSHAKE = HANDSHAKE_VERSIONS[-1]
MODERN = "2026-07-28"

VERSION_KEY = "io.modelcontextprotocol/protocolVersion"
CLIENT_INFO_KEY = "io.modelcontextprotocol/clientInfo"
CAPABILITIES_KEY = "io.modelcontextprotocol/clientCapabilities"
SERVER_INFO_KEY = "io.modelcontextprotocol/serverInfo"

METHOD_HEADER = "mcp-method"
NAME_HEADER = "mcp-name"
PARAM_PREFIX = "mcp-param-"
NAMED_BY = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}  # What Mcp-Name repeats.

IMPLEMENTATION = {"name": "haldir", "version": version("haldir-guardian")}
ENVELOPE: Mapping[str, Raw | None] = {
    VERSION_KEY: raw(MODERN),
    CLIENT_INFO_KEY: raw(IMPLEMENTATION),
    CAPABILITIES_KEY: raw({}),
}
NO_ENVELOPE: Mapping[str, Raw | None] = dict.fromkeys((VERSION_KEY, CLIENT_INFO_KEY, CAPABILITIES_KEY))
INITIALIZE: Members = {
    "protocolVersion": raw(LATEST_HANDSHAKE),
    "capabilities": raw({}),
    "clientInfo": raw(IMPLEMENTATION),
}

_PLAIN = re.compile(r"[\x20-\x7e]*")
_WRAPPED = re.compile(r"=\?base64\?(.*)\?=")


class Era(msgspec.Struct, frozen=True):
    """What an upstream and Haldir agreed to speak."""

    version: str
    session_id: str | None = None

    @property
    def is_modern(self) -> bool:
        return self.version == MODERN

    def dress(self, params: Members) -> Members:
        """Return params with the envelope this era asks for; what a modern caller said of itself stays."""
        if not self.is_modern:
            return with_meta(params, NO_ENVELOPE)
        return with_meta(params, _missing_envelope(params))

    def headers(self, method: str, params: Members) -> dict[str, str]:
        """Return the headers of a POST with this message."""
        found = {"content-type": JSON, "accept": f"{JSON}, {EVENT_STREAM}", VERSION_HEADER: self.version}
        if self.session_id is not None:
            found[SESSION_HEADER] = self.session_id
        if self.is_modern:
            found[METHOD_HEADER] = method
            member = NAMED_BY.get(method)
            if member is not None and member in params:
                found[NAME_HEADER] = header_value(msgspec.json.decode(params[member], type=str))
        return found


def header_value(text: str) -> str:
    """Return a text as a header may carry it: plain, or wrapped in base64 where it would not survive."""
    if _PLAIN.fullmatch(text) and text == text.strip() and not _WRAPPED.fullmatch(text):
        return text
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


def read_header_value(value: str) -> str | None:
    """Undo `header_value`; None for what is wrapped wrongly, so that it equals nothing."""
    wrapped = _WRAPPED.fullmatch(value)
    if wrapped is None:
        return value
    try:
        decoded = base64.b64decode(wrapped[1], validate=True)
        return decoded.decode() if base64.b64encode(decoded).decode() == wrapped[1] else None
    except ValueError:
        return None


def _missing_envelope(params: Members) -> dict[str, Raw | None]:
    given = members(params["_meta"]) if "_meta" in params else {}
    return {name: value for name, value in ENVELOPE.items() if name == VERSION_KEY or name not in given}
