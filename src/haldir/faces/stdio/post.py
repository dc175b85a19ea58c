"""One POST to `/mcp` with the standard library: its answer, or the messages of its stream as they come.

Each has a connection of its own: one that was kept might be dead, and then nobody knows whether the call ran.
"""

import http.client
import socket
import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import final
from urllib.parse import urlsplit

from haldir.faces.mcp.bridged import BRIDGE, BRIDGE_HEADER
from haldir.kernel.secret import Secret
from haldir.proxy.exchange import EVENT_STREAM, JSON
from haldir.proxy.sse import EventParser, EventTooLarge

PATH = "/mcp"
CONNECT_SECONDS_MAX = 10.0
SILENCE_SECONDS_MAX = 3700.0  # A tool may take an hour and say nothing meanwhile; Haldir itself ends it then.
ANSWER_BYTES_MAX = 64 << 20  # As much as any client of ours takes; the largest page is a few megabytes.
CHUNK_BYTES = 1 << 16

Hear = Callable[[bytes], None]


class NotReached(Exception):
    """Nobody answered, or not to the end. `sent`: whether the message may have been acted on."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason, self.sent = reason, sent


@final
class Address:
    """Where a Haldir is, and the credential to show it."""

    def __init__(self, base_url: str, credential: Secret[str]) -> None:
        """Raises ValueError for what is no http:// or https:// address."""
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url!r} is not an http:// or https:// address")
        self.base_url = base_url
        self._host, self._port = parts.hostname, parts.port
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self.path = parts.path.rstrip("/") + PATH
        self._credential = credential

    def connection(self) -> http.client.HTTPConnection:
        if self._tls is None:
            return http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_SECONDS_MAX)
        return http.client.HTTPSConnection(self._host, self._port, timeout=CONNECT_SECONDS_MAX, context=self._tls)

    def headers(self) -> dict[str, str]:
        return {
            "content-type": JSON,
            "accept": f"{JSON}, {EVENT_STREAM}",
            "authorization": f"Bearer {self._credential.reveal()}",
            BRIDGE_HEADER: BRIDGE,
        }


@final
class Post:
    """One message on its way. `cancel`, from any thread, ends the exchange there and then."""

    def __init__(self, address: Address, body: bytes, headers: Mapping[str, str]) -> None:
        self._address, self._body, self._headers = address, body, headers
        self._socket: socket.socket | None = None
        self.cancelled = self.streamed = False

    def run(self, hear: Hear) -> int:
        """Send it, hand on each message that comes back, and return the HTTP status. Raises NotReached."""
        connection, sent = self._address.connection(), False
        try:
            connection.connect()
            self._socket = connection.sock
            self._socket.settimeout(SILENCE_SECONDS_MAX)
            if self.cancelled:
                raise NotReached("The request was cancelled.", sent=False)
            sent = True
            connection.request("POST", self._address.path, self._body, {**self._address.headers(), **self._headers})
            return self._take(connection.getresponse(), hear)
        except (OSError, ValueError, http.client.HTTPException) as error:  # A socket that was shut raises any of them.
            raise NotReached(_reason(error), sent=sent) from None
        finally:
            connection.close()

    def cancel(self) -> None:
        self.cancelled = True
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def _take(self, response: http.client.HTTPResponse, hear: Hear) -> int:
        kind = (response.getheader("content-type") or "").partition(";")[0].strip().lower()
        self.streamed = kind == EVENT_STREAM
        if self.streamed:
            _take_events(response, hear)
        elif kind == JSON:
            hear(_body(response))
        return response.status


def _body(response: http.client.HTTPResponse) -> bytes:
    body = response.read(ANSWER_BYTES_MAX + 1)
    if len(body) > ANSWER_BYTES_MAX:
        raise NotReached(f"The answer is larger than {ANSWER_BYTES_MAX} bytes.", sent=True)
    if response.length:
        raise NotReached("Its answer broke off.", sent=True)
    return body


def _take_events(response: http.client.HTTPResponse, hear: Hear) -> None:
    parser = EventParser()
    try:
        while chunk := response.read1(CHUNK_BYTES):
            for event in parser.feed(chunk):
                if event.is_message:
                    hear(event.data)
    except EventTooLarge:
        raise NotReached("A message of the answer is too large.", sent=True) from None


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "It did not answer in time."
    return f"{getattr(error, 'strerror', None) or error or type(error).__name__}."
