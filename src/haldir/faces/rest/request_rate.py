"""The optional limit on requests per minute and credential: kept in memory, a guard of this process only."""

from haldir.kernel.clock import MINUTE, SECOND, Clock
from haldir.kernel.errors import RateLimited
from haldir.operations.caller import Caller
from haldir.operations.kept_answers import Header

RESOURCE = "minute"  # The span that is counted; published services say hourly or monthly here.


class RequestRate:
    """Counts requests in whole minutes of the clock; each new minute forgets the last."""

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_minute, self._clock = per_minute, clock
        self._minute = 0
        self._used: dict[tuple[str, str], int] = {}  # One count per credential that asked in this minute.

    def take(self, caller: Caller) -> list[Header]:
        """Count one request; return the X-RateLimit headers, among them whether it went `over`."""
        now = self._clock()
        if now // MINUTE != self._minute:
            self._minute = now // MINUTE
            self._used.clear()
        holder = (caller.tenant, str(caller.credential))
        self._used[holder] = self._used.get(holder, 0) + 1
        return self._headers(self._used[holder], now)

    def check(self, caller: Caller) -> None:
        """Refuse the request that `take` counted last if it was one too many."""
        if self._used[caller.tenant, str(caller.credential)] > self._per_minute:
            message = f"More than {self._per_minute} requests in this minute."
            raise RateLimited(message, self._per_minute, RESOURCE, self._seconds_left(self._clock()))

    def _headers(self, used: int, now: int) -> list[Header]:
        left = self._seconds_left(now)
        told = {
            "limit": self._per_minute,
            "remaining": max(0, self._per_minute - used),
            "used": min(used, self._per_minute),
            "reset": now // SECOND + left,
            "reset-after": left,
            "resource": RESOURCE,
        }
        return [(f"x-ratelimit-{name}".encode(), str(value).encode()) for name, value in told.items()]

    @staticmethod
    def _seconds_left(now: int) -> int:
        return max(1, -(-(MINUTE - now % MINUTE) // SECOND))
