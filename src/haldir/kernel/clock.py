"""Time as the core sees it: an int of microseconds since the Unix epoch, always handed in."""

from collections.abc import Callable
from datetime import UTC, datetime

Micros = int
Clock = Callable[[], Micros]

MILLISECOND: Micros = 1_000
SECOND: Micros = 1_000_000
MINUTE: Micros = 60 * SECOND
HOUR: Micros = 60 * MINUTE
DAY: Micros = 24 * HOUR


def unix_seconds(at: Micros) -> float:
    """Return an instant as the wire writes it: a float of Unix seconds."""
    return at / SECOND


def moment(at: Micros) -> datetime:
    """Return an instant as an aware UTC datetime."""
    return datetime.fromtimestamp(at // SECOND, UTC).replace(microsecond=at % SECOND)
