"""JSON-RPC messages as MCP clients of both eras send them."""

from typing import Any

HANDSHAKE = "2025-11-25"
MODERN = "2026-07-28"
CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"
ENVELOPE = {"io.modelcontextprotocol/protocolVersion": MODERN, CAPABILITIES: {}}


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
