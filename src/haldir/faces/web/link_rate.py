"""How often links may be tried: nobody guesses one, and nobody keeps Haldir busy with one."""

from typing import final

from haldir.faces.minute_counts import MinuteCounts, Who
from haldir.kernel.clock import Clock
from haldir.kernel.errors import RateLimited

REQUESTS_PER_MINUTE = 30  # With one link, and without a good one from one address: a person needs three.
COUNTED_MAX = 10_000  # Links and addresses.


@final
class LinkRate:
    """Counts by link, and by address where there is no good one."""

    def __init__(self, clock: Clock) -> None:
        self._counts = MinuteCounts(clock, COUNTED_MAX)

    def take(self, who: Who) -> None:
        """Count one request. Raises RateLimited if it is one too many."""
        if self._counts.add(who) > REQUESTS_PER_MINUTE:
            seconds = self._counts.seconds_left()
            raise RateLimited(f"Too often. Try again in {seconds} seconds.", REQUESTS_PER_MINUTE, "minute", seconds)
