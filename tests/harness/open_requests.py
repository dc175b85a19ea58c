"""A call on a connection of its own: a test reads its answer as it comes, or leaves in the midst of it."""

import json
import socket
from typing import Any

from harness.haldir import ANSWER_SECONDS_MAX, Haldir


def open_request(haldir: Haldir, path: str, message: Any, token: str, headers: str = "") -> socket.socket:
    """POST a message; `headers` are whole lines."""
    body = json.dumps(message).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\naccept: application/json, text/event-stream\r\n{headers}content-length: {len(body)}\r\n\r\n"
    connection = socket.create_connection(("127.0.0.1", haldir.port), timeout=ANSWER_SECONDS_MAX)
    connection.sendall(head.encode() + body)
    return connection


def read_until(connection: socket.socket, wanted: bytes) -> bytes:
    """Return what comes up to these bytes, and with them."""
    received = b""
    while wanted not in received:
        chunk = connection.recv(65536)
        assert chunk, received
        received += chunk
    return received
