"""How an attempt to deliver ended, and what that says of the receiver. Pure."""

from typing import Literal

import msgspec

# By these a receiver, or a proxy before it, says that it is not there just now, whatever it is sent.
AWAY = frozenset({408, 429, 502, 503, 504})
SUCCESS, CLIENT_ERRORS = range(200, 300), 400
MAIL_REFUSALS = 500  # RFC 5321 §4.2.1: 4yz is "try later", 5yz "never".


class Sent(msgspec.Struct, frozen=True):
    """How an attempt ended. Without a status there was no answer; the status is HTTP's, or SMTP's reply code."""

    status: int | None
    error: str = ""
    excerpt: str = ""
    retry_after_seconds: int | None = None
    duration_ms: int = 0
    by: Literal["http", "smtp"] = "http"

    @property
    def delivered(self) -> bool:
        return self.status in SUCCESS

    @property
    def refused(self) -> bool:
        """Tell whether the receiver is there, and may dislike nothing but this event."""
        if self.status is None:
            return False
        if self.by == "smtp":
            return self.status >= MAIL_REFUSALS
        return self.status >= CLIENT_ERRORS and self.status not in AWAY
