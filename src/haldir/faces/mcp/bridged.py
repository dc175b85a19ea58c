"""How Haldir's own bridge to stdio makes itself known to `/mcp`, where a stream of messages can do what HTTP cannot.

It lists tools that only stdio clients of old know, and cancels a request of any era by closing its connection.
"""

from collections.abc import Mapping

BRIDGE_HEADER = "x-haldir-bridge"
BRIDGE = "stdio"


def is_bridged(headers: Mapping[str, str]) -> bool:
    """Tell whether a request came over the bridge."""
    return headers.get(BRIDGE_HEADER) == BRIDGE
