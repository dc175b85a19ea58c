"""The kinds of anomaly rules, read strictly: a misspelt field or a rule that could never fire is refused.

A rule never forbids anything. It flags entries, so that people look at them.
"""

from collections.abc import Callable
from datetime import timedelta, timezone
from typing import Any

import msgspec

from haldir.kernel.clock import DAY, Micros
from haldir.policy.fields import SHOWN_CHARS, Fields, InvalidPolicy, suggestion
from haldir.policy.hours import DAY_HOURS, WEEKDAYS, OpenHours, clock_offsets
from haldir.policy.zones import zone_named, zone_names

RULES_MAX = 64  # Of one tenant: each is looked at in every decision about an agent.
QUIET_MINUTES = 60
QUIET_MINUTES_MAX = 1440
PER_MINUTE_MAX = 100_000
FACTOR_MAX = 1000
LEARNING_HOURS = 24
LEARNING_HOURS_MAX = 720
OFFSETS_DAYS = 10 * 366  # How far ahead a rule knows its zone's clock; after that its last offset stays.


class SpendSpike(msgspec.Struct, frozen=True, tag="spend_spike"):
    """An agent spends in one hour more than `factor` times what was usual in its hours before, and no trifle."""

    factor: int
    at_least_micros: int


class CallRate(msgspec.Struct, frozen=True, tag="call_rate"):
    """An agent acts more than so often within a minute."""

    max_per_minute: int


class RefusalBurst(msgspec.Struct, frozen=True, tag="refusal_burst"):
    """An agent, or a credential that has none, is refused more than so often within a minute."""

    max_per_minute: int


class FirstUse(msgspec.Struct, frozen=True, tag="first_use"):
    """An agent uses a tool that it never used before; in its first hours the rule only learns."""

    learning_hours: int = LEARNING_HOURS


class OffHours(msgspec.Struct, frozen=True, tag="off_hours"):
    """An agent acts outside some hours of the week.

    `offsets` are (from when, seconds east of UTC) of the zone's clock: decided again, a rule needs no zone database.
    """

    start_hour: int
    end_hour: int
    zone: str
    weekdays: tuple[str, ...]
    offsets: tuple[tuple[Micros, int], ...]


Condition = SpendSpike | CallRate | RefusalBurst | FirstUse | OffHours


class AnomalyRule(msgspec.Struct, frozen=True):
    """One rule of a tenant. It flags an agent's entries at most once in `quiet_minutes`."""

    id: str
    condition: Condition
    quiet_minutes: int
    created_at: Micros = 0

    @property
    def kind(self) -> str:
        return str(type(self.condition).__struct_config__.tag)


def read_condition(definition: dict[str, Any], now: Micros) -> tuple[Condition, int]:
    """Return what a tree of `kernel.strict_json` asks for, and the rule's quiet minutes. Raises InvalidPolicy."""
    kind = definition.get("type")
    if not isinstance(kind, str) or kind not in KINDS:
        meant = suggestion(kind, KINDS) if isinstance(kind, str) else "."
        raise InvalidPolicy(f"'type' must be one of {', '.join(KINDS)}{meant}", "/type")
    known, read = KINDS[kind]
    members = {name: value for name, value in definition.items() if name != "type"}
    fields = Fields(kind, (*known, "quiet_minutes"), members)
    quiet = fields.whole("quiet_minutes", 0, QUIET_MINUTES_MAX, QUIET_MINUTES)
    return read(fields, now), quiet


def _spend_spike(fields: Fields, _now: Micros) -> Condition:
    factor, at_least = fields.whole("factor", 2, FACTOR_MAX), fields.micros("at_least")
    return SpendSpike(factor, at_least)


def _call_rate(fields: Fields, _now: Micros) -> Condition:
    return CallRate(fields.whole("max_per_minute", 1, PER_MINUTE_MAX))


def _refusal_burst(fields: Fields, _now: Micros) -> Condition:
    return RefusalBurst(fields.whole("max_per_minute", 1, PER_MINUTE_MAX))


def _first_use(fields: Fields, _now: Micros) -> Condition:
    return FirstUse(fields.whole("learning_hours", 0, LEARNING_HOURS_MAX, LEARNING_HOURS))


def _off_hours(fields: Fields, now: Micros) -> Condition:
    start_hour, end_hour = fields.whole("start_hour", 0, DAY_HOURS - 1), fields.whole("end_hour", 0, DAY_HOURS)
    weekdays, name = fields.words("weekdays", WEEKDAYS), fields.text("zone", "UTC")
    if start_hour == end_hour or not weekdays:
        raise InvalidPolicy("These hours are empty: every entry would be flagged.", "/end_hour")
    if (start_hour, end_hour, weekdays) == (0, DAY_HOURS, WEEKDAYS):
        raise InvalidPolicy("These hours are always open: the rule could never flag anything.", "/end_hour")
    zone = zone_named(name)
    if zone is None:
        raise InvalidPolicy(f"There is no time zone {name[:SHOWN_CHARS]!r}{suggestion(name, zone_names())}", "/zone")
    return OffHours(start_hour, end_hour, name, weekdays, clock_offsets(zone, now, now + OFFSETS_DAYS * DAY))


def within_hours(hours: OffHours, now: Micros) -> bool:
    """Tell whether the hours of a rule are open, by the clock that it knows."""
    known = [seconds for since, seconds in hours.offsets if since <= now]
    offset_seconds = known[-1] if known else hours.offsets[0][1]
    zone = timezone(timedelta(seconds=offset_seconds))
    return OpenHours(hours.start_hour, hours.end_hour, hours.weekdays, zone).is_open(now)


KINDS: dict[str, tuple[tuple[str, ...], Callable[[Fields, Micros], Condition]]] = {
    "spend_spike": (("factor", "at_least"), _spend_spike),
    "call_rate": (("max_per_minute",), _call_rate),
    "refusal_burst": (("max_per_minute",), _refusal_burst),
    "first_use": (("learning_hours",), _first_use),
    "off_hours": (("start_hour", "end_hour", "zone", "weekdays"), _off_hours),
}
