"""JSON over HTTP to one Haldir, with the standard library alone: quick to import, one request at a time."""

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode, urlsplit

from haldir.client.errors import ClientError, ServerFailed, TurnedDown, Unreachable

TIMEOUT_SECONDS = 60.0  # Longer than the server lets an upstream take by default.
CHUNK_BYTES = 64 * 1024
ANSWER_BYTES_MAX = 64 * 1024 * 1024  # The largest page is a few megabytes; more is not an answer.

_SUCCESS, _REFUSAL = 2, 4  # The first digits of HTTP statuses.

Json = dict[str, Any]


class Connection:
    """Where a Haldir is and the credential to ask it with. Redirects are not followed: the credential stays here."""

    def __init__(self, base_url: str, credential: str | None = None, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{base_url!r} is not an http:// or https:// address")
        self.base_url = base_url.rstrip("/")
        self._https, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._prefix = parts.path.rstrip("/")
        self._credential = credential
        self._timeout_seconds = timeout_seconds

    def __repr__(self) -> str:
        return f"Connection({self.base_url!r})"

    def get(self, path: str, **query: str | int | None) -> Json:
        return self.send("GET", _asked(path, query))

    def download(self, path: str, **query: str | int | None) -> Iterator[bytes]:
        """Return the body of a 2xx answer as it comes, of any size; raises a ClientError, also if it breaks off."""
        with self._answer("GET", _asked(path, query), None) as response:
            if response.status // 100 != _SUCCESS:
                raise _failure(response.status, _object(response.read(ANSWER_BYTES_MAX)))
            while chunk := response.read(CHUNK_BYTES):
                yield chunk

    def post(self, path: str, body: Mapping[str, Any]) -> Json:
        return self.send("POST", path, body)

    def delete(self, path: str) -> Json:
        return self.send("DELETE", path)

    def send(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Json:
        """Return the JSON object of a 2xx answer; raises a ClientError for anything else."""
        status, content = self._exchange(method, path, None if body is None else json.dumps(body).encode())
        answer = _object(content)
        if status // 100 != _SUCCESS:
            raise _failure(status, answer)
        if answer is None:
            raise ServerFailed(f"{self.base_url} did not answer with JSON", code="not_haldir", status=status)
        return answer

    def _exchange(self, method: str, path: str, body: bytes | None) -> tuple[int, bytes]:
        with self._answer(method, path, body) as response:
            content = response.read(ANSWER_BYTES_MAX + 1)
        if len(content) > ANSWER_BYTES_MAX:
            raise ServerFailed(f"{self.base_url} sent more than {ANSWER_BYTES_MAX} bytes", code="answer_too_large")
        return response.status, content

    @contextmanager
    def _answer(self, method: str, path: str, body: bytes | None) -> Iterator[http.client.HTTPResponse]:
        """Ask, and give the answer to be read; what goes wrong meanwhile is Unreachable."""
        kind = http.client.HTTPSConnection if self._https else http.client.HTTPConnection
        connection = kind(self._host, self._port, timeout=self._timeout_seconds)
        try:
            connection.request(method, self._prefix + path, body, self._headers(body))
            yield connection.getresponse()
        except TimeoutError:
            raise Unreachable(f"{self.base_url} did not answer in time", code="timeout") from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "strerror", None) or error or type(error).__name__
            raise Unreachable(f"{self.base_url} cannot be reached: {reason}", code="unreachable") from None
        finally:
            connection.close()

    def _headers(self, body: bytes | None) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        if self._credential is not None:
            headers["Authorization"] = f"Bearer {self._credential}"
        return headers


def _asked(path: str, query: Mapping[str, str | int | None]) -> str:
    given = {name: value for name, value in query.items() if value is not None}
    return f"{path}?{urlencode(given)}" if given else path


def _object(content: bytes) -> Json | None:
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _failure(status: int, answer: Json | None) -> ClientError:
    answer = answer or {}
    kind = TurnedDown if status // 100 == _REFUSAL else ServerFailed
    return kind(
        str(answer.get("error") or answer.get("reason") or f"the answer was HTTP {status}"),
        code=str(answer.get("code") or f"http_{status}"),
        status=status,
        hint=str(answer.get("hint") or ""),
        request_id=str(answer.get("request_id") or ""),
    )
