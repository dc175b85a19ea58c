"""The socket: who only waits is not waited for, and keeps nobody out."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send

from haldir.faces import listen
from haldir.faces.connections import WaitingRoom

HEAD_SECONDS = 0.2
LONG_SECONDS = 60.0
REQUEST = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
SLOW_REQUEST = b"GET /slow HTTP/1.1\r\nHost: here\r\n\r\n"
BODIES = {200: b"ok", 503: b"Service Unavailable"}
NAMED_HOST = "haldir.invalid"  # RFC 6761: no such name will ever resolve.

Open = Callable[[], Awaitable["Wire"]]


class Wire:
    """One TCP connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def send(self, content: bytes) -> None:
        self._writer.write(content)

    async def status(self) -> int:
        """Return the status of the next answer, all of it read."""
        status = int((await self._reader.readuntil(b"\r\n\r\n")).split()[1])
        await self._reader.readuntil(BODIES[status])
        return status

    async def closed(self) -> bool:
        """Return once the server has closed it, whether or not it said goodbye."""
        with contextlib.suppress(ConnectionResetError):
            assert await self._reader.read() == b""
        return True


class Gate:
    """Holds what asks for /slow until it is opened, and tells that it is held."""

    def __init__(self) -> None:
        self.held, self.opened = asyncio.Semaphore(0), asyncio.Event()

    async def pass_through(self) -> None:
        self.held.release()
        await self.opened.wait()


@asynccontextmanager
async def serving(room: WaitingRoom, gate: Gate) -> AsyncIterator[Open]:
    """Serve an application that answers `ok`, at /slow only once the gate is open."""

    async def app(scope: Scope, _receive: Receive, send: Send) -> None:
        if scope["path"] == "/slow":
            await gate.pass_through()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    ready = asyncio.Event()
    opened: list[asyncio.StreamWriter] = []
    with listen.bind("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        server = asyncio.create_task(listen.serve(app, listening, lambda _stop: ready.set(), lambda: None, room))

        async def connect() -> Wire:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            opened.append(writer)
            return Wire(reader, writer)

        await ready.wait()
        try:
            yield connect
        finally:
            for writer in opened:
                writer.close()
            signal.raise_signal(signal.SIGTERM)
            await server


def play(story: Callable[[Open, Gate], Awaitable[None]], *, seconds: float = HEAD_SECONDS, most: int = 64) -> None:
    async def run() -> None:
        gate = Gate()
        async with asyncio.timeout(30), serving(WaitingRoom(most, seconds), gate) as connect:
            await story(connect, gate)

    asyncio.run(run())


@pytest.mark.parametrize("sent", [b"", REQUEST[:-2], b"\r\n", b"GET"])
def test_a_connection_that_sends_no_whole_head_is_closed(sent: bytes) -> None:
    async def story(connect: Open, _gate: Gate) -> None:
        wire = await connect()
        wire.send(sent)
        assert await wire.closed()

    play(story)


@pytest.mark.parametrize("sent", [REQUEST[:-2], b"\r\n", b"GET"])
def test_a_second_head_is_not_waited_for_either(sent: bytes) -> None:
    async def story(connect: Open, _gate: Gate) -> None:
        wire = await connect()
        for _ in range(2):
            wire.send(REQUEST)
            assert await wire.status() == 200
        wire.send(sent)
        assert await wire.closed()

    play(story)


def test_a_request_may_take_longer_than_its_head_and_the_connection_is_kept() -> None:
    async def story(connect: Open, gate: Gate) -> None:
        slow, silent = await connect(), await connect()
        slow.send(SLOW_REQUEST + REQUEST[:-2])  # With a part of the next one behind it.
        assert await silent.closed()
        gate.opened.set()
        assert await slow.status() == 200
        slow.send(REQUEST[-2:])
        assert await slow.status() == 200

    play(story)


def test_however_many_wait_a_request_gets_in_and_those_who_waited_longest_go() -> None:
    async def story(connect: Open, _gate: Gate) -> None:
        kept = await connect()
        kept.send(REQUEST)
        assert await kept.status() == 200
        silent = [await connect() for _ in range(20)]
        assert await kept.closed()
        late = await connect()
        late.send(REQUEST)
        assert await late.status() == 200
        assert all([await each.closed() for each in silent[:16]])
        silent[-1].send(REQUEST)
        assert await silent[-1].status() == 200

    play(story, seconds=LONG_SECONDS, most=8)


def test_more_requests_than_there_is_room_for_are_told_so() -> None:
    async def story(connect: Open, gate: Gate) -> None:
        busy = []
        for _ in range(3):
            busy.append(await connect())
            busy[-1].send(SLOW_REQUEST)
            await gate.held.acquire()
        late = await connect()
        late.send(REQUEST)
        assert await late.status() == 503
        gate.opened.set()
        assert [await each.status() for each in busy] == [200, 200, 200]

    play(story, seconds=LONG_SECONDS, most=4)


@pytest.mark.parametrize(
    ("host", "remedy"), [("999.1.1.1", "--host"), ("a..b", "--host"), ("192.0.2.1", "--host"), (NAMED_HOST, "--host")]
)
def test_a_host_that_is_not_this_machine_is_refused_as_such(host: str, remedy: str) -> None:
    with pytest.raises(listen.CannotListen, match=remedy) as refused:
        listen.bind(host, 0)
    assert "--port" not in refused.value.message


def test_a_port_that_is_taken_is_refused_as_such() -> None:
    with listen.bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(listen.CannotListen, match="Choose another --port") as refused:
            listen.bind("127.0.0.1", port)
    assert "--host" not in refused.value.message
