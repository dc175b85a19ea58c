"""HTTP to one Haldir with the standard library alone: quick to import, one request at a time, safe among threads."""

import http.client
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from haldir.client.errors import HaldirAPIError
from haldir.client.exchange import (
    ANSWER_BYTES_MAX,
    RETRIES,
    SUCCESS,
    Json,
    QueryValue,
    Request,
    address,
    answered,
    failure,
    parsed,
    reading,
    timed_out,
    too_large,
    unreachable,
    wait_before_retry,
    writing,
)

TIMEOUT_SECONDS = 60.0  # Longer than the server lets an upstream take by default.
CHUNK_BYTES = 64 * 1024


class Connection:
    """Where a Haldir is and the credential to ask it with. Redirects are not followed: the credential stays here."""

    def __init__(
        self,
        base_url: str,
        credential: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        retries: int = RETRIES,
    ) -> None:
        self._address = address(base_url)
        self.base_url = base_url.rstrip("/")
        self._credential = credential
        self._timeout_seconds, self._retries = timeout_seconds, retries
        self._idle: list[http.client.HTTPConnection] = []  # Appending and popping are atomic.

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.base_url!r})"

    def get(self, path: str, **query: QueryValue) -> Json:
        return self.ask(reading("GET", path, query))

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        return self.ask(writing("POST", path, body))

    def put(self, path: str, body: Mapping[str, Any]) -> Json:
        return self.ask(writing("PUT", path, body))

    def delete(self, path: str) -> Json:
        return self.ask(reading("DELETE", path))

    def ask(self, request: Request) -> Json:
        """Return the JSON object of a 2xx answer; raises a HaldirAPIError for anything else.

        What is safe to repeat is tried again where the server was away or had no room.
        """
        tried = 0
        while True:
            tried += 1
            try:
                return self._asked(request)
            except HaldirAPIError as error:
                wait_seconds = wait_before_retry(request, error, tried, self._retries)
                if wait_seconds is None:
                    raise
            time.sleep(wait_seconds)

    def download(self, path: str, **query: QueryValue) -> Iterator[bytes]:
        """Return the body of a 2xx answer as it comes, of any size; raises a HaldirAPIError, also if it breaks off."""
        with self._answer(reading("GET", path, query)) as response:
            if response.status // 100 != SUCCESS:
                raise failure(response.status, parsed(response.read(ANSWER_BYTES_MAX)))
            while chunk := response.read(CHUNK_BYTES):
                yield chunk

    def close(self) -> None:
        """Close what is kept open for the next request."""
        while self._idle:
            self._idle.pop().close()

    def _asked(self, request: Request) -> Json:
        with self._answer(request) as response:
            content = response.read(ANSWER_BYTES_MAX + 1)
        if len(content) > ANSWER_BYTES_MAX:
            raise too_large(self.base_url)
        return answered(self.base_url, response.status, content, response.getheader("Retry-After"))

    @contextmanager
    def _answer(self, request: Request) -> Iterator[http.client.HTTPResponse]:
        """Ask, and give the answer to be read; what goes wrong meanwhile is Unreachable."""
        connection = self._connected()
        try:
            headers = request.headers(self._credential)
            connection.request(request.method, self._address.prefix + request.path, request.body, headers)
            response = connection.getresponse()
            yield response
        except TimeoutError:
            connection.close()
            raise timed_out(self.base_url) from None
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise unreachable(self.base_url, error) from None
        except BaseException:  # Whoever read left: what is still on its way must not be read as the next answer.
            connection.close()
            raise
        if response.isclosed() and not response.will_close:
            self._idle.append(connection)
        else:
            connection.close()

    def _connected(self) -> http.client.HTTPConnection:
        """Return a connection that no other thread uses; one that the server closed meanwhile opens itself again."""
        try:
            connection = self._idle.pop()
        except IndexError:
            kind = http.client.HTTPSConnection if self._address.https else http.client.HTTPConnection
            return kind(self._address.host, self._address.port, timeout=self._timeout_seconds)
        if connection.sock is not None and _has_ended(connection):
            connection.close()
        return connection


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """Tell whether the other side closed an idle connection: then there is something to read, and it is the end."""
    connection.sock.setblocking(False)
    try:
        connection.sock.recv(1)
    except (BlockingIOError, InterruptedError):
        return False
    except OSError:
        return True
    finally:
        connection.sock.settimeout(connection.timeout)
    return True
