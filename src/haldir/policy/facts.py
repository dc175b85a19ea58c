"""What a policy may look at: the facts of one call, gathered before it is judged."""

from typing import Any

import msgspec

from haldir.kernel.clock import Micros


class Facts(msgspec.Struct, frozen=True):
    """One call. `arguments` is a tree of `kernel.strict_json`: numbers are Number, with their text.

    `scopes` are the session's. `price_micros` None is a price that could not be read, or is in another currency.
    """

    upstream: str
    tool: str
    arguments: dict[str, Any]
    session_id: str
    agent_id: str
    at: Micros
    scopes: tuple[str, ...] = ()
    price_micros: int | None = 0
