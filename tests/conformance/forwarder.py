"""Adds a credential to requests, since the suite sends none; every other byte passes as it is, Host and Origin too."""

import asyncio
import re
import threading
from asyncio import StreamReader, StreamWriter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

HEAD_END = b"\r\n\r\n"
CHUNK_BYTES = 1 << 16

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding:", re.IGNORECASE)


@contextmanager
def forwarding(port: int, token: str) -> Iterator[int]:
    """Forward to a local port for as long as the block lasts; yields the port to send to."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    forwarder = Forwarder(port, token)
    try:
        yield asyncio.run_coroutine_threadsafe(forwarder.open(), loop).result(10)
    finally:
        asyncio.run_coroutine_threadsafe(forwarder.close(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


class Forwarder:
    """Each connection gets one of its own to the other side, and ends with it."""

    def __init__(self, port: int, token: str) -> None:
        self._port = port
        self._credential = f"\r\nAuthorization: Bearer {token}".encode()
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self) -> int:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        if self._connections:
            await asyncio.wait(self._connections)

    def _accept(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _connect(self, reader: StreamReader, writer: StreamWriter) -> None:
        onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ways = {
            asyncio.create_task(self._requests(reader, onward_writer)),
            asyncio.create_task(_bytes(onward_reader, writer)),
        }
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.wait(ways)
            writer.close()
            onward_writer.close()

    async def _requests(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Pass requests on, one after another, each with the credential."""
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = await reader.readuntil(HEAD_END)
                assert not _CHUNKED.search(head), "the suite gives every body a length"
                line, _, rest = head.partition(b"\r\n")
                writer.write(line + self._credential + b"\r\n" + rest)
                if length := _LENGTH.search(head):
                    writer.write(await reader.readexactly(int(length[1])))
                await writer.drain()


async def _bytes(reader: StreamReader, writer: StreamWriter) -> None:
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK_BYTES):
            writer.write(chunk)
            await writer.drain()
