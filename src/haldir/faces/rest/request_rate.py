"""The optional limit on requests per minute and credential: kept in memory, a guard of this process only."""

from haldir.faces.minute_counts import MinuteCounts
from haldir.kernel.clock import Clock
from haldir.kernel.errors import RateLimited
from haldir.operations.caller import Caller
from haldir.operations.kept_answers import Header

RESOURCE = "minute"  # The span that is counted; published services say hourly or monthly here.
COUNTED_MAX = 100_000  # Credentials.


class RequestRate:
    """Counts requests by credential."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute = per_minute
        self._counts = MinuteCounts(clock, COUNTED_MAX)

    def take(self, caller: Caller) -> list[Header]:
        """Count one request; return the X-RateLimit headers, among them whether it went `over`."""
        return self._headers(self._counts.add((caller.tenant, str(caller.credential))))

    def check(self, caller: Caller) -> None:
        """Refuse the request that `take` counted last if it was one too many."""
        if self._counts.of((caller.tenant, str(caller.credential))) > self._per_minute:
            message = f"More than {self._per_minute} requests in this minute."
            raise RateLimited(message, self._per_minute, RESOURCE, self._counts.seconds_left())

    def _headers(self, used: int) -> list[Header]:
        left = self._counts.seconds_left()
        told = {
            "limit": self._per_minute,
            "remaining": max(0, self._per_minute - used),
            "used": min(used, self._per_minute),
            "reset": self._counts.ends_at(),
            "reset-after": left,
            "resource": RESOURCE,
        }
        return [(f"x-ratelimit-{name}".encode(), str(value).encode()) for name, value in told.items()]
