"""The children of all stdio upstreams: how many there may be, and how long an idle one may stay."""

import asyncio
from collections.abc import Callable, Mapping
from typing import final

from haldir.kernel.errors import UpstreamError
from haldir.proxy.child import Child
from haldir.proxy.model import UpstreamConfig

CHILDREN_MAX = 64  # Processes of tens of megabytes each; the next one is refused with a clear sentence.
IDLE_SECONDS_MAX = 600.0  # A child nobody spoke with for ten minutes goes; its client is told to begin anew.
SWEEP_SECONDS = 30.0


@final
class Nursery:
    """Starts children, ends the idle ones, and all of them at the close."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = dict(environment)
        self._children: dict[Child, Callable[[], bool]] = {}
        self._starting = 0
        self._sweeping: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    async def start(
        self,
        config: UpstreamConfig,
        on_line: Callable[[bytes], None],
        on_end: Callable[[UpstreamError], None],
        is_busy: Callable[[], bool],
    ) -> Child:
        """Start a child. Raises UpstreamError(sent=False) if it cannot start or there are too many."""
        self._forget_dead()
        if len(self._children) + self._starting >= CHILDREN_MAX:
            raise UpstreamError(f"Haldir already runs {CHILDREN_MAX} upstream processes.", sent=False)
        self._starting += 1
        try:
            child = await Child.start(config.command, self._environment | config.env, on_line, on_end)
        finally:
            self._starting -= 1
        self._children[child] = is_busy
        if self._sweeping is None:
            self._sweeping = asyncio.create_task(self._sweep())
        return child

    def dismiss(self, child: Child) -> None:
        """End a child without waiting for it."""
        self._children.pop(child, None)
        task = asyncio.create_task(child.close())
        self._leaving.add(task)
        task.add_done_callback(self._leaving.discard)

    async def close(self) -> None:
        """End all children; returns when they are gone."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            self._sweeping = None
        for child in list(self._children):
            self.dismiss(child)
        if self._leaving:
            await asyncio.wait(self._leaving)

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self._forget_dead()
            idle_since = asyncio.get_running_loop().time() - IDLE_SECONDS_MAX
            for child, is_busy in list(self._children.items()):
                if child.used_at < idle_since and not is_busy():
                    self.dismiss(child)

    def _forget_dead(self) -> None:
        for child in [child for child in self._children if not child.is_alive]:
            self.dismiss(child)  # Its process group may hold more than itself.
