"""How often in the last minute: counts per second, (second, calls) pairs, oldest first.

An exact upper bound: no 60 seconds, wherever they begin, ever hold more allowed calls than the limit. A
second counts for as long as any instant of it could still be inside, so a call is refused at most one
second longer than a list of all instants would refuse it.
"""

from haldir.kernel.clock import MINUTE, SECOND, Micros

Counts = tuple[tuple[int, int], ...]


def count_within_minute(counts: Counts, now: Micros) -> int:
    """Return how many calls may have happened within the 60 seconds that end with `now`."""
    return sum(calls for _, calls in _within_minute(counts, now))


def seconds_to_wait(counts: Counts, now: Micros, max_per_minute: int) -> int:
    """Return the least whole seconds after which one more call fits, if none is made meanwhile; 0 is now."""
    surplus = count_within_minute(counts, now) - max_per_minute + 1
    leaves_at = now
    for second, calls in _within_minute(counts, now):
        if surplus > 0:
            surplus -= calls
            leaves_at = _last_instant(second) + MINUTE
    return -(-(leaves_at - now) // SECOND)


def after_call(counts: Counts, now: Micros) -> Counts:
    """Return the counts with one more call at `now`, without the seconds that no longer matter."""
    kept = _within_minute(counts, now)
    if kept and kept[-1][0] >= now // SECOND:  # Or later: should a clock have stepped back, count it for longer.
        second, calls = kept[-1]
        return (*kept[:-1], (second, calls + 1))
    return (*kept, (now // SECOND, 1))


def _within_minute(counts: Counts, now: Micros) -> Counts:
    """Return the counts without those in front that no longer matter: one or two a second, however many there are."""
    gone = 0
    while gone < len(counts) and _last_instant(counts[gone][0]) <= now - MINUTE:
        gone += 1
    return counts[gone:]


def _last_instant(second: int) -> Micros:
    return (second + 1) * SECOND - 1
