"""Time as the core sees it: an int of microseconds since the Unix epoch, always handed in."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Micros = int
Clock = Callable[[], Micros]

MILLISECOND: Micros = 1_000
SECOND: Micros = 1_000_000
MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
DAY: Micros = 24 * HOUR


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNIX_SECONDS = re.compile(r"([0-9]{1,11})(?:\.([0-9]{1,9}))?")  # Until the year 5138.
_MICRO_DIGITS = 6


def parse_moment(text: str) -> Micros:
    """Return the instant that Unix seconds or ISO 8601 text stand for; without an offset it is UTC. Raises ValueError.

    What is finer than a microsecond is cut off.
    """
    if found := _UNIX_SECONDS.fullmatch(text):
        return int(found[1]) * SECOND + int((found[2] or "").ljust(_MICRO_DIGITS, "0")[:_MICRO_DIGITS])
    try:
        read = datetime.fromisoformat(text)
        at = (read if read.tzinfo else read.replace(tzinfo=UTC)) - _EPOCH
    except (ValueError, OverflowError):
        raise ValueError("must be Unix seconds or an ISO 8601 date and time") from None
    if at < timedelta(0):
        raise ValueError("must not be before 1970")
    return at // timedelta(microseconds=1)


def iso_text(at: Micros) -> str:
    """Return an instant as ISO 8601 text in UTC, always to the microsecond."""
    return moment(at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def unix_seconds(at: Micros) -> float:
    """Return an instant as the wire writes it: a float of Unix seconds."""
    return at / SECOND


def moment(at: Micros) -> datetime:
    """Return an instant as an aware UTC datetime."""
    return datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND)
