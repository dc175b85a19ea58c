"""The children of all stdio upstreams: how many there may be, and how long an idle one may stay."""

import asyncio
from collections.abc import Callable, Mapping
from typing import final

from haldir.kernel.errors import UpstreamError
from haldir.proxy.child import Child
from haldir.proxy.model import UpstreamConfig

CHILDREN_MAX = 64  # Processes of tens of megabytes each; the next one is refused with a clear sentence.
ABANDONED_SECONDS = 60.0  # Idle for this long, a child is ended if another is needed and there is no room.
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
        if len(self._children) + self._starting >= CHILDREN_MAX and not self._make_room():
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
            for child in self._idle_for(IDLE_SECONDS_MAX):
                self.dismiss(child)

    def _make_room(self) -> bool:
        """End the child that was idle the longest: many clients go without a word, and would keep others out."""
        abandoned = self._idle_for(ABANDONED_SECONDS)
        if abandoned:
            self.dismiss(min(abandoned, key=lambda child: child.used_at))
        return bool(abandoned)

    def _idle_for(self, seconds: float) -> list[Child]:
        since = asyncio.get_running_loop().time() - seconds
        return [child for child, is_busy in self._children.items() if child.used_at < since and not is_busy()]

    def _forget_dead(self) -> None:
        for child in [child for child in self._children if not child.is_alive]:
            self.dismiss(child)  # Its process group may hold more than itself.
