"""How a request to Haldir can end badly, as a caller tells it apart."""

from typing import Any


class HaldirAPIError(Exception):
    """The request brought no answer to work with. `code` is Haldir's own word for why, `hint` what would help.

    `status_code` is 0 where nobody answered; `body` is the answer's JSON object, if it had one.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str,
        status_code: int = 0,
        hint: str = "",
        request_id: str = "",
        body: dict[str, Any] | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.status_code, self.hint = message, code, status_code, hint
        self.request_id, self.body = request_id, body or {}
        self.retry_after_seconds = retry_after_seconds


class TurnedDown(HaldirAPIError):
    """Haldir understood and said no (4xx): asking again the same way will not help."""


class HaldirAuthError(TurnedDown):
    """The credential is missing, unknown or ended (401)."""


class HaldirPermissionError(TurnedDown):
    """A scope, a budget or a rule forbids it (403)."""


class HaldirNotFoundError(TurnedDown):
    """There is no such thing, or not for this credential (404)."""


class HaldirConflictError(TurnedDown):
    """What stands already does not go with it (409), or an idempotency key was used for something else (422)."""


class HaldirRateLimitError(TurnedDown):
    """Too many requests (429); `retry_after_seconds` says when there will be room."""


class ServerFailed(HaldirAPIError):
    """Haldir could not answer (5xx), or what answered is not Haldir."""


class Unreachable(HaldirAPIError):
    """Nobody answered at that address, or not in time."""


BY_STATUS: dict[int, type[TurnedDown]] = {
    401: HaldirAuthError,
    403: HaldirPermissionError,
    404: HaldirNotFoundError,
    409: HaldirConflictError,
    422: HaldirConflictError,
    429: HaldirRateLimitError,
}
