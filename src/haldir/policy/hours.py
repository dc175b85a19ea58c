"""Hours of the week in a time zone: whether they are open at an instant, and when that next changes."""

from datetime import timedelta, tzinfo
from typing import final

from haldir.kernel.clock import DAY, HOUR, SECOND, Micros, moment

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY_HOURS = 24
SEARCH_DAYS = 22  # A window on one weekday opens within 7 days, or 14 where a clock change skipped it; beyond is spare.

_DAY = timedelta(days=1)


@final
class OpenHours:
    """Open on `weekdays` from `start_hour` up to `end_hour` by the zone's clock; past midnight if it ends earlier."""

    def __init__(self, start_hour: int, end_hour: int, weekdays: tuple[str, ...], zone: tzinfo) -> None:
        self._start_hour, self._end_hour = start_hour, end_hour
        self._weekdays = frozenset(WEEKDAYS.index(day) for day in weekdays)
        self._zone = zone

    def is_open(self, at: Micros) -> bool:
        """Tell whether `at` lies in a window; one over midnight has the weekday on which it began."""
        local = moment(at).astimezone(self._zone)
        if self._start_hour < self._end_hour:
            return self._start_hour <= local.hour < self._end_hour and local.weekday() in self._weekdays
        if local.hour >= self._start_hour:
            return local.weekday() in self._weekdays
        return local.hour < self._end_hour and (local - _DAY).weekday() in self._weekdays

    def next_change(self, at: Micros) -> Micros:
        """Return the first instant after `at` at which `is_open` answers otherwise.

        If there is none for three weeks, return that horizon: asking again there is never wrong.
        """
        now_open = self.is_open(at)
        instant, horizon = at, at + SEARCH_DAYS * DAY
        while instant < horizon:
            instant = self.next_hour(instant)
            if self.is_open(instant) != now_open:
                return instant
        return horizon

    def next_hour(self, at: Micros) -> Micros:
        """Return the next full hour by the zone's clock, or the change of that clock if it comes before."""
        offset = _offset(self._zone, at)
        full_hour = at + HOUR - (at + offset) % HOUR
        return full_hour if _offset(self._zone, full_hour) == offset else _clock_change(self._zone, at, full_hour)


def clock_offsets(zone: tzinfo, since: Micros, until: Micros) -> tuple[tuple[Micros, int], ...]:
    """Return (instant, seconds the zone's clock is ahead of UTC): for `since`, and for each change before `until`."""
    found = [(since, _offset(zone, since) // SECOND)]
    for day in range(since, until, DAY):
        if _offset(zone, day) != _offset(zone, day + DAY):
            change = _clock_change(zone, day, day + DAY)
            found.append((change, _offset(zone, change) // SECOND))
    return tuple(found)


def _clock_change(zone: tzinfo, before: Micros, after: Micros) -> Micros:
    """Return the first whole second at which the clock no longer differs from UTC as it does at `before`.

    No zone changes its clock twice within a day, so halving finds the one change there is.
    """
    offset = _offset(zone, before)
    low, high = before // SECOND, -(-after // SECOND)
    while high - low > 1:
        middle = (low + high) // 2
        if _offset(zone, middle * SECOND) == offset:
            low = middle
        else:
            high = middle
    return high * SECOND


def _offset(zone: tzinfo, at: Micros) -> Micros:
    offset = moment(at).astimezone(zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)
