"""The leaf on the time of a call: hours and weekdays of a zone, and days of its calendar."""

from collections.abc import Callable
from datetime import date
from typing import Any

from haldir.kernel.clock import Micros, moment
from haldir.kernel.strict_json import Number
from haldir.policy.conditions.node import Check, Leaf
from haldir.policy.fields import SHOWN_CHARS, Fields, InvalidPolicy, suggestion
from haldir.policy.hours import DAY_HOURS, WEEKDAYS, OpenHours
from haldir.policy.looks import remembered
from haldir.policy.zones import zone_named, zone_names

DATES_MAX = 366
DATE_CHARS_MAX = 21  # Two dates and a slash.
ZONE_CHARS_MAX = 64  # No zone has a longer name.
KNOWN = ("zone", "weekdays", "start_hour", "end_hour", "dates")

Days = tuple[date, date]


class TimeIs(Leaf, frozen=True):
    """The call comes within these hours, and on one of these days of the zone's calendar if any are named.

    A window over midnight belongs to the weekday on which it began; a date is that of the instant itself.
    """

    zone: str
    weekdays: tuple[str, ...]
    start_hour: int
    end_hour: int
    dates: tuple[Days, ...]

    def definition(self) -> dict[str, Any]:
        found: dict[str, Any] = {"zone": self.zone}
        if self.weekdays != WEEKDAYS:
            found["weekdays"] = list(self.weekdays)
        if (self.start_hour, self.end_hour) != (0, DAY_HOURS):
            found |= {"start_hour": Number(str(self.start_hour)), "end_hour": Number(str(self.end_hour))}
        if self.dates:
            found["dates"] = [_written(days) for days in self.dates]
        return {"time": found}

    def check(self) -> Check:
        hours, on_date, next_look = self._hours(), self._on_date(), self.next_look()

        def look(at: Micros) -> tuple[bool, Micros]:
            return hours.is_open(at) and on_date(at), next_look(at)

        return remembered(look)

    def next_look(self) -> Callable[[Micros], Micros]:
        """Return the function that says from when on, after an instant, it may be answered otherwise."""
        hours = self._hours()
        return hours.next_hour if self.dates else hours.next_change

    def _hours(self) -> OpenHours:
        zone = zone_named(self.zone)
        assert zone is not None
        return OpenHours(self.start_hour, self.end_hour, self.weekdays, zone)

    def _on_date(self) -> Callable[[Micros], bool]:
        zone, dates = zone_named(self.zone), self.dates
        if not dates:
            return lambda _at: True

        def on_date(at: Micros) -> bool:
            day = moment(at).astimezone(zone).date()
            return any(first <= day <= last for first, last in dates)

        return on_date


def read_time(outer: Fields) -> TimeIs:
    members = outer.value("time")
    if not isinstance(members, dict):
        raise InvalidPolicy("'time' must be an object with some of: " + ", ".join(KNOWN) + ".", outer.pointer("time"))
    fields = Fields("time", KNOWN, members, outer.path("time"))
    zone = fields.text("zone", "UTC", ZONE_CHARS_MAX)
    if zone_named(zone) is None:
        meant = suggestion(zone, zone_names())
        raise InvalidPolicy(f"There is no time zone {zone[:SHOWN_CHARS]!r}{meant}", fields.pointer("zone"))
    start_hour, end_hour = (
        fields.whole("start_hour", 0, DAY_HOURS - 1, 0),
        fields.whole("end_hour", 0, DAY_HOURS, DAY_HOURS),
    )
    if start_hour == end_hour:
        raise InvalidPolicy(
            "Hours that end when they start are none; a whole day is from 0 to 24.", fields.pointer("end_hour")
        )
    weekdays = fields.words("weekdays", WEEKDAYS)
    if not weekdays:
        raise InvalidPolicy("On no weekday it is never time.", fields.pointer("weekdays"))
    found = TimeIs(zone, weekdays, start_hour, end_hour, _read_dates(fields))
    if found == TimeIs(zone, WEEKDAYS, 0, DAY_HOURS, ()):
        raise InvalidPolicy("Without hours, weekdays or dates it is always time.", fields.pointer())
    return found


def _read_dates(fields: Fields) -> tuple[Days, ...]:
    if "dates" not in fields:
        return ()
    texts = fields.texts("dates", DATES_MAX, DATE_CHARS_MAX)
    return tuple(_days(text, fields.pointer("dates", at)) for at, text in enumerate(texts))


def _days(text: str, at: str) -> Days:
    first, _, last = text.partition("/")
    try:
        days = _date(first), _date(last or first)
    except ValueError:
        raise InvalidPolicy(f"{text!r} is no date such as 2026-12-24, nor two with a slash between.", at) from None
    if days[1] < days[0]:
        raise InvalidPolicy(f"{text!r} ends before it begins.", at)
    return days


def _date(text: str) -> date:
    found = date.fromisoformat(text)
    if found.isoformat() != text:
        raise ValueError(text)
    return found


def _written(days: Days) -> str:
    first, last = (day.isoformat() for day in days)
    return first if first == last else f"{first}/{last}"
