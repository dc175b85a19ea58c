"""What a policy may look at: the facts of one call, gathered before it is judged."""

from typing import Any

import msgspec

from haldir.kernel.clock import Micros


class Facts(msgspec.Struct, frozen=True):
    """One call. `arguments` is a tree of `kernel.strict_json`: numbers are Number, with their text."""

    upstream: str
    tool: str
    arguments: dict[str, Any]
    session_id: str
    agent_id: str
    at: Micros
