"""What all requests at the MCP face share: one of each in a process."""

import msgspec

from haldir.faces.mcp.held_waits import HeldWaits
from haldir.faces.mcp.open_streams import OpenStreams
from haldir.operations.context import Context


class Shared(msgspec.Struct, frozen=True):
    ctx: Context
    streams: OpenStreams
    waits: HeldWaits
