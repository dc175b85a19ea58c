"""Time zones by their IANA names, as the locked tzdata lists them, so that every replica knows the same ones."""

import functools
from importlib.resources import files
from zoneinfo import ZoneInfo


@functools.cache
def zone_names() -> frozenset[str]:
    """Return the names of all zones."""
    return frozenset(files("tzdata").joinpath("zones").read_text("utf-8").split())


def zone_named(name: str) -> ZoneInfo | None:
    """Return the zone, or None if there is none of this name."""
    return ZoneInfo(name) if name in zone_names() else None
