"""The socket: where Haldir listens, when it is ready, and how it stops without dropping a call."""

import asyncio
import contextlib
import errno
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.types import ASGIApp

from haldir.faces.connections import HEAD_SECONDS, Listener, WaitingRoom, connections_max
from haldir.kernel.errors import HaldirError

DRAIN_SECONDS = 40  # A call's default deadline and its settlement; what takes longer is cut off.
BACKLOG = 2048

Stop = Callable[[], None]

REMEDIES = {
    errno.EADDRINUSE: "Choose another --port.",
    errno.EACCES: "Choose a --port above 1023, or start Haldir with the right to use this one.",
}
NO_SUCH_HOST = "Give an address of this machine as --host."  # Whatever else it is, the host is not one.


class CannotListen(HaldirError):
    """The address cannot be listened on."""

    code = "cannot_listen"


def bind(host: str, port: int) -> socket.socket:
    """Return a listening socket. Raises CannotListen."""
    # Named as TCP, or asyncio would not turn off Nagle's algorithm on what it accepts: 40 ms for each answer.
    listening = socket.socket(
        socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP
    )
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        listening.listen(BACKLOG)
    except (OSError, UnicodeError) as error:  # UnicodeError: no name of a host can be spelled like that.
        listening.close()
        raise CannotListen(f"Cannot listen on {host} port {port}: {_reason(error)}") from None
    return listening


def url_of(listening: socket.socket) -> str:
    """Return the address of a listening socket as the URL to reach it at from this machine."""
    host, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared with, not bound to.
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _reason(error: OSError | UnicodeError) -> str:
    if isinstance(error, UnicodeError) or error.errno is None:
        return f"{error}. {NO_SUCH_HOST}"
    return f"{error.strerror}. {REMEDIES.get(error.errno, NO_SUCH_HOST)}"


async def serve(
    app: ASGIApp,
    listening: socket.socket,
    on_ready: Callable[[Stop], None],
    on_stop: Callable[[], None],
    room: WaitingRoom | None = None,
) -> None:
    """Serve until told to stop, then finish what is under way. `on_stop` closes streams that never end.

    It is told by what `on_ready` is given, and on the main thread by SIGTERM or SIGINT.
    """
    config = Listener(app, room or WaitingRoom(connections_max(), HEAD_SECONDS), DRAIN_SECONDS)
    await _Server(config, on_ready, on_stop).serve(sockets=[listening])


class _Server(uvicorn.Server):
    """uvicorn, but a signal ends it with a clean exit: its own would raise the signal again."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[Stop], None], on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready, self._on_stop = on_ready, on_stop

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_ready(self._stop)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._on_stop()
        await super().shutdown(sockets)

    def _stop(self) -> None:
        """Begin to end; asked again, do not wait for what is under way."""
        self.force_exit = self.should_exit
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():  # No signal comes there.
            yield
            return
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)
