"""How often each of many did something in the running minute: kept in memory, a guard of this process only."""

from typing import final

from haldir.kernel.clock import MINUTE, SECOND, Clock

Who = tuple[str, str]


@final
class MinuteCounts:
    """Counts in whole minutes of the clock; each new minute forgets the last.

    At most `most` are counted at once: one more, and the first is forgotten.
    """

    def __init__(self, clock: Clock, most: int) -> None:
        self._clock, self._most = clock, most
        self._minute = 0
        self._counts: dict[Who, int] = {}

    def of(self, who: Who) -> int:
        """Return how often `who` was counted in this minute."""
        self._forget_last_minute()
        return self._counts.get(who, 0)

    def add(self, who: Who) -> int:
        """Count once more, and return how often that makes."""
        count = self.of(who) + 1
        if count == 1 and len(self._counts) >= self._most:
            self._counts.pop(next(iter(self._counts)))
        self._counts[who] = count
        return count

    def seconds_left(self) -> int:
        """Return after how many whole seconds, at least 1, the minute is over."""
        return -(-(MINUTE - self._clock() % MINUTE) // SECOND)

    def ends_at(self) -> int:
        """Return when the minute is over, in Unix seconds."""
        return (self._clock() // MINUTE + 1) * MINUTE // SECOND

    def _forget_last_minute(self) -> None:
        minute = self._clock() // MINUTE
        if minute != self._minute:
            self._minute = minute
            self._counts.clear()
