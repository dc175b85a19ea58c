"""A proxy between Haldir and an honest upstream that passes requests on, and harms the answers to tool calls."""

import functools
import gzip
import http.client
import itertools
import json
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import closing
from typing import Any

from upstreams import raw
from upstreams.raw import STREAM_HEAD, Answer, RawUpstream, respond

BOMB_BYTES = 128 << 20
DRIP_SECONDS = 0.05
ENDLESS = threading.Event()  # Never set: waiting for it is a pause that ends with the connection.

Ask = Callable[[dict[str, Any]], bytes]
Harm = Callable[[socket.socket, dict[str, Any], Ask], None]


def asking(target: RawUpstream) -> Ask:
    """Return how a message is put to an upstream: whatever comes back, the upstream has acted."""

    def ask(message: dict[str, Any]) -> bytes:
        with closing(http.client.HTTPConnection("127.0.0.1", target.port, timeout=20)) as connection:
            connection.request("POST", "/mcp", json.dumps(message), {"content-type": "application/json"})
            return connection.getresponse().read()

    return ask


def harming(harm: Harm, target: RawUpstream) -> Answer:
    """Return how the proxy answers a tool call."""
    ask = asking(target)
    return lambda connection, message: harm(connection, message, ask)


def reset_before(connection: socket.socket, _message: dict[str, Any], _ask: Ask) -> None:
    _reset(connection)


def reset_after(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    _reset(connection)


def reset_midway(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    body = ask(message)
    connection.sendall(_head(len(body)) + body[:10])
    _reset(connection)


def truncate(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    body = ask(message)
    connection.sendall(_head(len(body)) + body[:-1])


def truncate_head(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    connection.sendall(_head(len(ask(message)))[:20])


def truncate_stream(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    connection.sendall(STREAM_HEAD + b"data: " + ask(message) + b"\n")


def drip(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    """Send so slowly that the answer comes after the deadline."""
    body = ask(message)
    _drip(connection, _head(len(body)) + body)


def drip_stream(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    connection.sendall(STREAM_HEAD)
    _drip(connection, b"data: " + ask(message) + b"\n\n")


def delay(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    raw.hang(connection, message)


def wrong_id(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    respond(connection, ask(message | {"id": 999}))


def wrong_id_in_stream(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    connection.sendall(STREAM_HEAD + b"data: " + ask(message | {"id": 999}) + b"\n\n")


def gzip_bomb(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    respond(connection, bomb(), extra="content-encoding: gzip\r\n")


def gzip_bomb_unnamed(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    respond(connection, bomb())


def gzip_bomb_in_transfer(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: gzip, chunked\r\n\r\n"
    body = bomb()
    connection.sendall(head + b"%x\r\n" % len(body) + body + b"\r\n0\r\n\r\n")


def endless_stream(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    raw.endless_events(connection, message)


def endless_comments(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    connection.sendall(STREAM_HEAD)
    while True:
        connection.sendall(b": still there\n\n" * 64)
        ENDLESS.wait(DRIP_SECONDS)


def endless_line(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    raw.endless_line(connection, message)


def endless_head(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
    for number in itertools.count():
        connection.sendall(b"x-%d: %s\r\n" % (number, b"y" * 4_000))


def endless_hints(connection: socket.socket, message: dict[str, Any], ask: Ask) -> None:
    ask(message)
    while True:
        connection.sendall(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n" * 64)
        ENDLESS.wait(DRIP_SECONDS)


def redirect(connection: socket.socket, message: dict[str, Any], _ask: Ask) -> None:
    raw.redirect(connection, message)


def redirect_to_a_get(connection: socket.socket, _message: dict[str, Any], _ask: Ask) -> None:
    respond(connection, b"", status="303 See Other", extra="location: http://169.254.169.254/latest/meta-data\r\n")


def _head(length: int) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % length


def _drip(connection: socket.socket, sent: bytes) -> None:
    for byte in sent:
        connection.sendall(bytes([byte]))
        ENDLESS.wait(DRIP_SECONDS)


def _reset(connection: socket.socket) -> None:
    """Close without a farewell: the other side gets an RST."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@functools.cache
def bomb() -> bytes:
    """Return a small body that becomes a large one; made once, for that takes a while."""
    return gzip.compress(bytes(BOMB_BYTES), 1)
