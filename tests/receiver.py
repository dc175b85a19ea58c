"""A real HTTP server on loopback that takes webhooks, and answers as the test says."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

from upstreams.serving import free_port


class Delivery(NamedTuple):
    headers: dict[str, str]  # By their names in lower case.
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw)

    @property
    def event_id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def attempt(self) -> int:
        return int(self.headers["x-haldir-delivery-attempt"])


class Reply(NamedTuple):
    status: int = 200
    headers: dict[str, str] = {}
    body: bytes = b"thanks"


Answer = Callable[[Delivery], Reply]


class Receiver:
    """What came, in order. `answer` may be replaced at any time, and may block."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/in"
        self.came: list[Delivery] = []
        self.answer: Answer = lambda _delivery: Reply()
        self.news = threading.Condition()

    @property
    def event_ids(self) -> list[str]:
        return [delivery.event_id for delivery in self.came]

    def take(self, delivery: Delivery) -> Reply:
        with self.news:
            self.came.append(delivery)
            self.news.notify_all()
        return self.answer(delivery)

    def wait_for(self, count: int, seconds: float = 30) -> None:
        with self.news:
            assert self.news.wait_for(lambda: len(self.came) >= count, seconds), f"only {len(self.came)} came"


@contextmanager
def receiving(port: int = 0) -> Iterator[Receiver]:
    """Receive for as long as the block lasts."""
    receiver = Receiver(port or free_port())

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            reply = receiver.take(Delivery({name.lower(): value for name, value in self.headers.items()}, body))
            self.send_response(reply.status)
            for name, value in {"Content-Length": str(len(reply.body)), **reply.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            """Haldir may hang up on a long answer."""

    server = Server(("127.0.0.1", receiver.port), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
