"""Calls whose answer may still come on another stream: the client resumes, and its GET brings the response.

Whoever brings it waits until the call is settled, and then passes on what the settlement allows.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import final

from haldir.kernel.ids import TenantId
from haldir.proxy.message import MessageId
from haldir.proxy.sse import Event

Key = tuple[TenantId, str, str, MessageId]  # Tenant, upstream, the upstream's session, request.


@final
class AwaitedAnswer:
    """The answer of one call, between its arrival and its settlement."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.arrived: asyncio.Future[Event] = loop.create_future()
        self.settled: asyncio.Future[Event | None] = loop.create_future()

    async def bring(self, event: Event) -> Event | None:
        """Hand the answer in; return what may be delivered once it is settled, None if nothing."""
        if not self.arrived.done():
            self.arrived.set_result(event)
        return await asyncio.shield(self.settled)

    def settle(self, event: Event | None) -> None:
        if not self.settled.done():
            self.settled.set_result(event)


@final
class AwaitedAnswers:
    """Those of all calls that are open."""

    def __init__(self) -> None:
        self._open: dict[Key, AwaitedAnswer] = {}

    @contextmanager
    def expecting(self, key: Key) -> Iterator[AwaitedAnswer]:
        """Within the block, other streams find this call; a second one by the same name replaces it."""
        awaited = self._open[key] = AwaitedAnswer()
        try:
            yield awaited
        finally:
            awaited.settle(None)
            if self._open.get(key) is awaited:
                del self._open[key]

    def find(self, key: Key) -> AwaitedAnswer | None:
        return self._open.get(key)
