"""When to try again: pauses that grow from 5 s to 10 h, and when to give up."""

from haldir.kernel.clock import DAY, SECOND, Micros

# A first retry catches a receiver that restarts; all of them together span more than two days.
PAUSES_SECONDS = (5, 30, 120, 600, 1_800, 3_600, 10_800, 21_600, 30_000, 30_000, 30_000, 30_000, 30_000)
JITTER = 0.2  # Added at random, so that endpoints that failed together do not come back together.
PAUSE_SECONDS_MAX = 36_000
ATTEMPTS_MAX = len(PAUSES_SECONDS) + 1  # Of an event that was set aside.
ASIDE_ATTEMPTS = 3  # So often an event is refused before the one after it may show that the receiver is well.
DISABLE_AFTER: Micros = 5 * DAY  # Of nothing but failures.


def pause(failures: int, chance: float, retry_after_seconds: int | None = None) -> Micros:
    """Return how long to wait after so many failures in a row; `chance` is from 0 to 1.

    What the receiver asked for counts if it is longer, up to the longest pause.
    """
    planned = PAUSES_SECONDS[min(failures, len(PAUSES_SECONDS)) - 1] * (1 + JITTER * chance)
    return round(min(max(planned, retry_after_seconds or 0), PAUSE_SECONDS_MAX) * SECOND)
