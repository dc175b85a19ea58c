"""`time_window`: calls are forbidden outside some hours of the day, and of the week, in one time zone."""

from typing import Any, ClassVar, Self
from zoneinfo import ZoneInfo

from haldir.kernel.clock import Micros
from haldir.kernel.strict_json import Number
from haldir.policy.fields import SHOWN_CHARS, Fields, InvalidPolicy, suggestion
from haldir.policy.hours import DAY_HOURS, WEEKDAYS, OpenHours
from haldir.policy.looks import remembered
from haldir.policy.policy import CallPolicy, Examine, Verdict
from haldir.policy.zones import zone_named, zone_names


class TimeWindow(CallPolicy, frozen=True):
    """From `start_hour` up to `end_hour`; a window over midnight belongs to the day it starts on."""

    KIND: ClassVar[str] = "time_window"

    start_hour: int
    end_hour: int
    zone: str
    weekdays: tuple[str, ...]

    @classmethod
    def read(cls, fields: Fields) -> Self:
        start_hour, end_hour = fields.whole("start_hour", 0, DAY_HOURS - 1), fields.whole("end_hour", 0, DAY_HOURS)
        weekdays = fields.words("weekdays", WEEKDAYS)
        if start_hour == end_hour:
            raise InvalidPolicy("A window that ends when it starts is empty; a whole day is from 0 to 24.", "/end_hour")
        if not weekdays:
            raise InvalidPolicy("A window on no weekday is never open.", "/weekdays")
        if (start_hour, end_hour, weekdays) == (0, DAY_HOURS, WEEKDAYS):
            raise InvalidPolicy("A window that is always open can never deny anything.", "/end_hour")
        zone = fields.text("zone", "UTC")
        _zone(zone)
        return cls(start_hour, end_hour, zone, weekdays)

    def fields(self) -> dict[str, Any]:
        return {
            "start_hour": Number(str(self.start_hour)),
            "end_hour": Number(str(self.end_hour)),
            "zone": self.zone,
            "weekdays": list(self.weekdays),
        }

    def compiled(self, policy_id: str) -> Examine:
        days = "" if self.weekdays == WEEKDAYS else f" on {', '.join(self.weekdays)}"
        when = f"from {self.start_hour}:00 to {self.end_hour}:00 {self.zone}{days}"
        denial = f"Policy {policy_id} (time_window) allows calls only {when}."
        hours = OpenHours(self.start_hour, self.end_hour, self.weekdays, _zone(self.zone))

        def look(at: Micros) -> tuple[Verdict, Micros]:
            until = hours.next_change(at)
            return Verdict("" if hours.is_open(at) else denial, valid_until=until), until

        return remembered(look)


def _zone(name: str) -> ZoneInfo:
    zone = zone_named(name)
    if zone is None:
        raise InvalidPolicy(f"There is no time zone {name[:SHOWN_CHARS]!r}{suggestion(name, zone_names())}", "/zone")
    return zone
