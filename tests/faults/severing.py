"""A relay in front of PostgreSQL that cuts a connection around a COMMIT, or leaves it without an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

SOCKET = ".s.PGSQL.5432"
CHUNK_BYTES = 1 << 16

Fault = Literal["none", "cut before", "cut after", "silent after"]


class Severing:
    """What becomes of the next COMMIT that passes, once; then all is well again."""

    def __init__(self, target: str) -> None:
        self._target = target
        self.fault: Fault = "none"
        self.struck = 0
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.CancelledError):
            await self._relay(reader, writer)
        self._tasks.discard(task)

    def close(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_unix_connection(self._target)
        back = asyncio.create_task(_pump(server_reader, writer))
        try:
            while chunk := await reader.read(CHUNK_BYTES):
                fault = self._take(chunk)
                if fault == "cut before":
                    break
                if fault != "none":
                    back.cancel()
                    await asyncio.wait({back})
                server_writer.write(chunk)
                if fault != "none":
                    await server_reader.read(CHUNK_BYTES)  # The answer: it was committed.
                if fault == "cut after":
                    break
        finally:
            back.cancel()
            for each in (writer, server_writer):
                each.transport.abort()

    def _take(self, chunk: bytes) -> Fault:
        """Return the fault that strikes this chunk, which is then over."""
        if self.fault == "none" or b"COMMIT" not in chunk:
            return "none"
        fault, self.fault = self.fault, "none"
        self.struck += 1
        return fault


@asynccontextmanager
async def severing(dsn: str, folder: Path) -> AsyncIterator[tuple[Severing, str]]:
    """Relay to a PostgreSQL on a Unix socket; yields the relay and the DSN that leads through it."""
    [host] = parse_qs(urlsplit(dsn).query)["host"]
    relay = Severing(f"{host}/{SOCKET}")
    server = await asyncio.start_unix_server(relay.serve, folder / SOCKET)
    try:
        yield relay, dsn.partition("?")[0] + f"?host={folder}"
    finally:
        server.close()
        relay.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
