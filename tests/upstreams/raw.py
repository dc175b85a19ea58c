"""Upstreams that misbehave: raw sockets that answer each request as told, byte by byte."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

Answer = Callable[[socket.socket, dict[str, Any]], None]

STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
RESULT = {"content": [{"type": "text", "text": "ok"}], "isError": False}
TOOLS = [{"name": "do", "description": "Does it.", "inputSchema": {"type": "object"}}]


class RawUpstream:
    """Speaks the handshake era correctly, except that `tools/call` is answered by `on_call`."""

    def __init__(self, on_call: Answer) -> None:
        self.on_call = on_call
        self.on_other: Answer | None = None
        self.calls = 0
        self.heads: list[bytes] = []
        self.messages: list[Any] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/mcp"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head, body = _read_request(connection)
            self.heads.append(head)
            message = json.loads(body) if body else {"http": head.split(b" ")[0].decode()}
            self.messages.append(message)
            if message.get("method") == "tools/call":
                self.calls += 1
                self.on_call(connection, message)
            elif self.on_other is not None:
                self.on_other(connection, message)
            else:
                honest(connection, message)


class Lister:
    """Answers tools/list with whatever `tools` is now."""

    def __init__(self, tools: list[Any]) -> None:
        self.tools = tools

    def __call__(self, connection: socket.socket, message: dict[str, Any]) -> None:
        if message.get("method") != "tools/list":
            honest(connection, message)
            return
        answer = {"jsonrpc": "2.0", "id": message["id"], "result": {"tools": self.tools}}
        respond(connection, json.dumps(answer).encode())


@contextmanager
def raw_upstream(on_call: Answer) -> Iterator[RawUpstream]:
    upstream = RawUpstream(on_call)
    try:
        yield upstream
    finally:
        upstream.close()


def honest(connection: socket.socket, message: dict[str, Any]) -> None:
    """Answer as a small server of the handshake era does."""
    match message.get("method"):
        case "initialize":
            result: Any = {
                "protocolVersion": "2025-06-18",
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "raw", "version": "1"},
            }
        case "tools/list":
            result = {"tools": TOOLS}
        case "tools/call":
            result = RESULT
        case "ping":
            result = {}
        case None:
            return respond(connection, b"", status="202 Accepted")
        case method if "id" not in message:
            return respond(connection, b"", status="202 Accepted")
        case method:
            error = {"code": -32601, "message": f"no {method}"}
            return respond(connection, json.dumps({"jsonrpc": "2.0", "id": message["id"], "error": error}).encode())
    return respond(connection, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())


def respond(
    connection: socket.socket,
    body: bytes,
    status: str = "200 OK",
    content_type: str = "application/json",
    extra: str = "",
) -> None:
    head = f"HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {len(body)}\r\nconnection: close\r\n{extra}\r\n"
    connection.sendall(head.encode() + body)


def hang(connection: socket.socket, _message: dict[str, Any]) -> None:
    """Take the request and never answer; returns when the other side gives up."""
    while connection.recv(1024):
        pass


def garbage(connection: socket.socket, _message: dict[str, Any]) -> None:
    respond(connection, b"\x00\xff not json at all")


def unauthorized(connection: socket.socket, _message: dict[str, Any]) -> None:
    respond(connection, b"who is this?", status="401 Unauthorized", extra="www-authenticate: Bearer\r\n")


def page(connection: socket.socket, _message: dict[str, Any]) -> None:
    respond(connection, b"<html>Welcome</html>", content_type="text/html")


def nothing(connection: socket.socket, _message: dict[str, Any]) -> None:
    """Close without a byte."""


def half(connection: socket.socket, _message: dict[str, Any]) -> None:
    """Promise a long answer, send a little of it, close."""
    connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 5000\r\n\r\n{"jsonrpc"')


def half_stream(connection: socket.socket, _message: dict[str, Any]) -> None:
    connection.sendall(STREAM_HEAD + b'event: message\ndata: {"jsonrpc":"2.0","id"')


def redirect(connection: socket.socket, _message: dict[str, Any]) -> None:
    respond(connection, b"", status="307 Temporary Redirect", extra="location: http://127.0.0.1:1/elsewhere\r\n")


def fault(connection: socket.socket, _message: dict[str, Any]) -> None:
    respond(connection, b"oops", status="500 Internal Server Error", content_type="text/plain")


def flood(connection: socket.socket, _message: dict[str, Any]) -> None:
    """Send 200 MB of one JSON string."""
    size = 200 << 20
    connection.sendall(f'HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {size}\r\n\r\n"'.encode())
    for _ in range(size >> 16):
        connection.sendall(b"x" * (1 << 16))


def endless_events(connection: socket.socket, _message: dict[str, Any]) -> None:
    """Send events for ever, but never the answer."""
    connection.sendall(STREAM_HEAD)
    event = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"%s"}}\n\n' % (
        b"x" * 50_000
    )
    while True:
        connection.sendall(event)


def endless_line(connection: socket.socket, _message: dict[str, Any]) -> None:
    """Begin an event that never ends."""
    connection.sendall(STREAM_HEAD + b"data: ")
    while True:
        connection.sendall(b"x" * (1 << 16))


def _read_request(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = connection.recv(65536)
        if not chunk:
            raise OSError
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        (int(line.split(b":")[1]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length")), 0
    )
    while len(body) < length:
        body += connection.recv(65536)
    return head, body
