"""How often links may be tried: nobody guesses one, and nobody keeps Haldir busy with one."""

from typing import final

from haldir.kernel.clock import MINUTE, SECOND, Clock
from haldir.kernel.errors import RateLimited

REQUESTS_PER_MINUTE = 30  # With one link, and without a good one from one address: a person needs three.
COUNTED_MAX = 10_000  # Links and addresses counted in one minute; beyond that the first are forgotten.


@final
class LinkRate:
    """Counts in whole minutes of the clock, by link, and by address where there is no good one."""

    def __init__(self, clock: Clock) -> None:
        self._clock, self._minute = clock, 0
        self._counts: dict[tuple[str, str], int] = {}

    def take(self, who: tuple[str, str]) -> None:
        """Count one request. Raises RateLimited if it is one too many."""
        now = self._clock()
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._counts.clear()
        count = self._counts.get(who, 0) + 1
        if count == 1 and len(self._counts) >= COUNTED_MAX:
            self._counts.pop(next(iter(self._counts)))
        self._counts[who] = count
        if count > REQUESTS_PER_MINUTE:
            seconds = max(1, (MINUTE - now % MINUTE) // SECOND)
            raise RateLimited(f"Too often. Try again in {seconds} seconds.", REQUESTS_PER_MINUTE, "minute", seconds)
