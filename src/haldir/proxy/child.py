"""A child process that speaks newline-delimited JSON-RPC over its pipes.

It gets a minimal environment and a process group of its own. Every way it can end is told to its owner once; its last
words are for the operator's log alone, since nobody knows what a program says when it dies.
"""

import asyncio
import contextlib
import logging
import os
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable, Mapping
from typing import final

from haldir.kernel.errors import UpstreamError
from haldir.proxy.exchange import ANSWER_BYTES_MAX
from haldir.proxy.sse import one_line

LINE_BYTES_MAX = ANSWER_BYTES_MAX
CHUNK_BYTES = 1 << 16
STDERR_BYTES_KEPT = 4096  # The last lines, where a program says why it gives up.
LEAVE_SECONDS = 1.0  # How long a child may take to leave after its input closed, and again after SIGTERM.

_log = logging.getLogger(__name__)


@final
class Child:
    """A running child. `on_line` gets each line of its output, `on_end` why it ended."""

    def __init__(
        self,
        name: str,
        process: Process,
        on_line: Callable[[bytes], None],
        on_end: Callable[[UpstreamError], None],
    ) -> None:
        self._name, self._process = name, process
        self._on_line, self._on_end = on_line, on_end
        self._writing = asyncio.Lock()
        self.used_at = asyncio.get_running_loop().time()
        self._dismissed = False
        self._reading = asyncio.create_task(self._read())
        self._watching = asyncio.create_task(self._watch())

    @classmethod
    async def start(
        cls,
        command: tuple[str, ...],
        environment: Mapping[str, str],
        on_line: Callable[[bytes], None],
        on_end: Callable[[UpstreamError], None],
    ) -> "Child":
        """Start it. Raises UpstreamError(sent=False) if there is no such command."""
        try:
            process = await asyncio.create_subprocess_exec(
                *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=dict(environment), start_new_session=True
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is no valid command"
            raise UpstreamError(f"The upstream's command could not be started: {reason}.", sent=False) from None
        return cls(command[0], process, on_line, on_end)

    @property
    def is_alive(self) -> bool:
        return not self._reading.done()

    async def write(self, message: bytes) -> None:
        """Send one message. Raises UpstreamError(sent=False) if the child is gone before it could read it."""
        assert self._process.stdin is not None
        self.used_at = asyncio.get_running_loop().time()
        if not self.is_alive:
            raise UpstreamError("The upstream's process has exited.", sent=False)
        try:
            async with self._writing:
                self._process.stdin.write(one_line(message) + b"\n")
                await self._process.stdin.drain()
        except (ConnectionError, RuntimeError):
            raise UpstreamError("The upstream's process closed its input.", sent=True) from None

    def post(self, message: bytes) -> None:
        """Send one message without waiting for the child to read it; lost if the child is gone."""
        assert self._process.stdin is not None
        if self.is_alive and not self._process.stdin.is_closing():
            self._process.stdin.write(one_line(message) + b"\n")

    async def close(self) -> None:
        """End the child and its whole process group: its input closes, then SIGTERM, then SIGKILL."""
        assert self._process.stdin is not None
        self._dismissed = self.is_alive
        self._process.stdin.close()
        for number in (signal.SIGTERM, signal.SIGKILL):
            if await self._leaves():
                break
            self._signal(number)
        await self._process.wait()
        self._signal(signal.SIGKILL)  # Grandchildren that outlived it.
        self._reading.cancel()
        await asyncio.wait({self._watching}, timeout=LEAVE_SECONDS)  # What left the group may hold its pipes still.
        self._watching.cancel()
        await asyncio.wait({self._reading, self._watching})

    async def _leaves(self) -> bool:
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            return False
        return True

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)

    async def _read(self) -> None:
        reason = "The upstream's process has exited; Haldir's log has its last words."
        try:
            async for line in self._lines():
                self.used_at = asyncio.get_running_loop().time()
                self._on_line(line)
        except LineTooLongError:
            reason = "The upstream sent a message that is too large."
            self._signal(signal.SIGKILL)
        finally:
            self._on_end(UpstreamError(reason, sent=True))

    async def _watch(self) -> None:
        """Keep the end of what the child says beside its messages, and log it if the child died by itself."""
        assert self._process.stderr is not None
        words = b""
        while chunk := await self._process.stderr.read(CHUNK_BYTES):
            words = (words + chunk)[-STDERR_BYTES_KEPT:]
        status = await self._process.wait()
        if not self._dismissed:
            said = words.decode(errors="replace").strip()
            event = {"command": self._name, "status": status, "stderr": said}
            _log.warning("upstream_process_died", extra={"event": event})

    async def _lines(self) -> AsyncIterator[bytes]:
        assert self._process.stdout is not None
        rest = b""
        parts: list[bytes] = []
        size = 0
        while chunk := await self._process.stdout.read(CHUNK_BYTES):
            *lines, rest = chunk.split(b"\n")
            for line in lines:
                yield b"".join((*parts, line)).strip()
                parts, size = [], 0
            parts.append(rest)
            size += len(rest)
            if size > LINE_BYTES_MAX:
                raise LineTooLongError


class LineTooLongError(ValueError):
    """A line of the child's output is longer than LINE_BYTES_MAX."""
