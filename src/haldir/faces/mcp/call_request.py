"""A call of a tool as it comes in by MCP, by whichever of three ways: relayed, joined, or to Haldir's own tools."""

import msgspec

from haldir.faces.mcp.inbound import Inbound
from haldir.faces.mcp.reply import Reply
from haldir.operations.caller import Caller


class CallRequest(msgspec.Struct, frozen=True):
    """Who asks for what, in which session if in any, and how it came. No `upstream`: the tool is Haldir's own."""

    caller: Caller
    session_id: str | None
    upstream: str
    tool: str
    inbound: Inbound
    reply: Reply
