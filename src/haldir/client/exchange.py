"""What is sent and what an answer means, without sending anything: the same for every way of sending."""

import json
import random
import secrets
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import quote, urlencode, urlsplit

from haldir.client.errors import BY_STATUS, HaldirAPIError, ServerFailed, TurnedDown, Unreachable

ANSWER_BYTES_MAX = 64 * 1024 * 1024  # The largest page is a few megabytes; more is not an answer.
RETRIES = 2  # Three tries in all: a server that restarts is back by then.
WAIT_SECONDS = 0.25  # Before the first retry; each later one waits twice as long.
WAIT_SECONDS_MAX = 30.0  # Nobody waits longer, whatever the server asks for.
IDEMPOTENCY_KEY_BYTES = 16
# By these codes a server says that it decided nothing, or that it will recall what it decided.
PASSING = frozenset({"unavailable", "overloaded", "rate_limit_exceeded", "timeout", "unreachable"})

SUCCESS, REFUSAL = 2, 4  # The first digits of HTTP statuses.
REDIRECTED = 3

Json = dict[str, Any]
QueryValue = str | int | float | bool | None


class Address(NamedTuple):
    """Where a Haldir is."""

    https: bool
    host: str
    port: int | None
    prefix: str


class Request(NamedTuple):
    """One request. `idempotency_key` is the same for every try of it, so that it happens once."""

    method: str
    path: str
    body: bytes | None = None
    idempotency_key: str | None = None

    def headers(self, credential: str | None) -> dict[str, str]:
        headers = {"Accept": "application/json"}
        if self.body is not None:
            headers["Content-Type"] = "application/json"
        if credential is not None:
            headers["Authorization"] = f"Bearer {credential}"
        if self.idempotency_key is not None:
            headers["Idempotency-Key"] = self.idempotency_key
        return headers

    @property
    def repeatable(self) -> bool:
        """Whether sending it twice does no more than sending it once."""
        return self.method in {"GET", "DELETE"} or self.idempotency_key is not None


def address(base_url: str) -> Address:
    """Return where a URL leads; raises ValueError if it is none of HTTP."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{base_url!r} is not an http:// or https:// address")
    return Address(parts.scheme == "https", parts.hostname, parts.port, parts.path.rstrip("/"))


def reading(method: str, path: str, query: Mapping[str, QueryValue] | None = None) -> Request:
    """Return a request without a body."""
    given = {name: _text(value) for name, value in (query or {}).items() if value is not None}
    return Request(method, f"{path}?{urlencode(given)}" if given else path)


def writing(
    method: str, path: str, body: Mapping[str, Any] | None, idempotency_key: str | None = None, *, once: bool = False
) -> Request:
    """Return a request with a body; None among its members means not given. `once` makes a key if none is given."""
    if once and idempotency_key is None:
        idempotency_key = secrets.token_hex(IDEMPOTENCY_KEY_BYTES)
    encoded = None if body is None else json.dumps(body).encode()
    return Request(method, path, encoded, idempotency_key)


def given(**members: Any) -> Json:
    """Return those members that were given."""
    return {name: value for name, value in members.items() if value is not None}


def segment(value: str | int) -> str:
    """Return a value as one segment of a path."""
    return quote(str(value), safe="")


def answered(base_url: str, status: int, content: bytes, retry_after: str | None = None) -> Json:
    """Return the JSON object of a 2xx answer; raises a HaldirAPIError for anything else."""
    answer = parsed(content)
    if status // 100 != SUCCESS:
        raise failure(status, answer, retry_after)
    if answer is None:
        raise ServerFailed(f"{base_url} did not answer with JSON", code="not_haldir", status_code=status)
    return answer


def parsed(content: bytes) -> Json | None:
    """Return the JSON object that this is, or None."""
    try:
        answer = json.loads(content)
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def failure(status: int, answer: Json | None, retry_after: str | None = None) -> HaldirAPIError:
    """Return the error that an answer stands for."""
    answer = answer or {}
    kind = BY_STATUS.get(status, TurnedDown if status // 100 == REFUSAL else ServerFailed)
    return kind(
        str(answer.get("error") or answer.get("reason") or f"the answer was HTTP {status}"),
        code=str(answer.get("code") or f"http_{status}"),
        status_code=status,
        hint=str(answer.get("hint") or ""),
        request_id=str(answer.get("request_id") or ""),
        body=answer,
        retry_after_seconds=float(retry_after) if retry_after and retry_after.isdecimal() else None,
    )


def timed_out(base_url: str) -> Unreachable:
    return Unreachable(f"{base_url} did not answer in time", code="timeout")


def unreachable(base_url: str, error: Exception) -> Unreachable:
    reason = getattr(error, "strerror", None) or error or type(error).__name__
    return Unreachable(f"{base_url} cannot be reached: {reason}", code="unreachable")


def too_large(base_url: str) -> ServerFailed:
    return ServerFailed(f"{base_url} sent more than {ANSWER_BYTES_MAX} bytes", code="answer_too_large")


def wait_before_retry(request: Request, error: HaldirAPIError, tried: int, retries: int) -> float | None:
    """Return how long to wait before this request is tried again; None if it is not to be."""
    if tried > retries or error.code not in PASSING or not request.repeatable:
        return None
    backoff: float = WAIT_SECONDS * 2 ** (tried - 1) * random.uniform(1, 2)  # noqa: S311 - so that callers do not come in step.
    return min(max(backoff, error.retry_after_seconds or 0), WAIT_SECONDS_MAX)


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
