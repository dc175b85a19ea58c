"""Opening hours against a scan of every minute, through the clock changes of many zones."""

import functools
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import assume, given
from hypothesis import strategies as st

from haldir.kernel.clock import DAY, MINUTE, Micros
from haldir.policy.hours import SEARCH_DAYS, WEEKDAYS, OpenHours
from haldir.policy.zones import zone_named, zone_names

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Havana",  # Changes at midnight.
    "America/St_Johns",  # Half an hour off, and once changed at one minute past midnight.
    "Australia/Lord_Howe",  # Changes by half an hour.
    "Antarctica/Troll",  # Changes by two hours.
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Pacific/Apia",  # Had no 30 December 2011.
    "Africa/Casablanca",
    "Asia/Gaza",
)
FIRST_DAY, LAST_DAY = datetime(2005, 1, 1, tzinfo=UTC), datetime(2045, 1, 1, tzinfo=UTC)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def micros(moment: datetime) -> Micros:
    return (moment - EPOCH) // timedelta(microseconds=1)


@functools.cache
def days_of_change(zone: str) -> list[Micros]:
    """Return the days on which the zone's clock changes, and a few others."""
    tz, found, day = ZoneInfo(zone), [micros(FIRST_DAY), micros(LAST_DAY)], FIRST_DAY
    while day < LAST_DAY:
        after = day + timedelta(days=1)
        if day.astimezone(tz).utcoffset() != after.astimezone(tz).utcoffset():
            found.append(micros(day))
        day = after
    return found


def open_by_the_calendar(at: Micros, zone: ZoneInfo, start: int, end: int, weekdays: tuple[str, ...]) -> bool:
    """The model: lay the window on the calendar of each recent day, and see whether the wall clock is on it."""
    wall = (EPOCH + timedelta(microseconds=at)).astimezone(zone).replace(tzinfo=None)
    length = end - start if end > start else end - start + 24
    for days_ago in (0, 1):
        midnight = datetime.combine(wall.date() - timedelta(days=days_ago), datetime.min.time())
        opens = midnight + timedelta(hours=start)
        if WEEKDAYS[midnight.weekday()] in weekdays and opens <= wall < opens + timedelta(hours=length):
            return True
    return False


instants = st.sampled_from(ZONES).flatmap(
    lambda zone: st.tuples(
        st.just(zone),
        st.sampled_from(days_of_change(zone)).flatmap(lambda day: st.integers(day - 2 * DAY, day + 2 * DAY)),
    )
)


@given(
    instants,
    st.integers(0, 23),
    st.integers(0, 24),
    st.lists(st.sampled_from(WEEKDAYS), min_size=1, unique=True).map(tuple) | st.just(WEEKDAYS),
)
def test_the_next_change_is_the_first_minute_at_which_a_scan_finds_one(
    zoned: tuple[str, Micros], start: int, end: int, weekdays: tuple[str, ...]
) -> None:
    assume(start != end)
    assume((start, end, len(weekdays)) != (0, 24, 7))
    name, at = zoned
    zone = ZoneInfo(name)
    hours = OpenHours(start, end, weekdays, zone)
    before = open_by_the_calendar(at, zone, start, end, weekdays)
    change = hours.next_change(at)
    assert hours.is_open(at) == before
    assert hours.is_open(change - 1) == before
    assert at < change < at + SEARCH_DAYS * DAY
    for minute in range(at - at % MINUTE + MINUTE, change, MINUTE):
        assert open_by_the_calendar(minute, zone, start, end, weekdays) == before
    assert open_by_the_calendar(change, zone, start, end, weekdays) != before


def test_hours_that_never_open_or_close_are_asked_again_at_the_horizon() -> None:
    """The clock of no zone does this; the search must end nevertheless."""
    always = OpenHours(0, 24, WEEKDAYS, ZoneInfo("UTC"))
    assert always.next_change(5) == 5 + SEARCH_DAYS * DAY


def test_every_zone_of_the_database_can_be_opened() -> None:
    assert {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5"} <= zone_names()
    assert all(zone_named(name) for name in zone_names())
    assert zone_named("localtime") is None
