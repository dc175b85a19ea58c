"""How much was done in a month, and whether this Haldir does its work."""

import re
from datetime import date
from importlib.metadata import version

import msgspec

from haldir.kernel.clock import moment
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.money import wire_amount
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.health import Check, readiness
from haldir.watch.queries import days_between

DECEMBER = 12

_MONTH = re.compile(r"([0-9]{4})-(0[1-9]|1[0-2])")


class UsageRequest(msgspec.Struct, frozen=True):
    """`month` as YYYY-MM, UTC; absent is the present one."""

    month: str = ""


class DayUsed(msgspec.Struct, frozen=True):
    day: str
    action_count: int
    refused_count: int
    flagged_count: int
    spent_usd: float


class Usage(msgspec.Struct, frozen=True):
    """Tool calls, payments and reports, refused ones too; `spent_usd` is what was posted or reported."""

    tenant_id: str
    month: str
    action_count: int
    refused_count: int
    flagged_count: int
    spent_usd: float
    days: list[DayUsed]


class StatusRequest(msgspec.Struct, frozen=True):
    pass


class Status(msgspec.Struct, frozen=True):
    """`status` is `ok` if everything a request needs answers, else `degraded`."""

    status: str
    service: str
    version: str
    checks: tuple[Check, ...]


async def usage(ctx: Context, caller: Caller, request: UsageRequest) -> Usage:
    """Say how much the tenant did in a month, by day."""
    month = request.month or moment(ctx.clock()).date().isoformat()[:7]
    first, after = _bounds(month)
    days = await days_between(ctx.store, caller.tenant, first, after)
    return Usage(
        caller.tenant,
        month,
        sum(day.actions for day in days),
        sum(day.refused for day in days),
        sum(day.flagged for day in days),
        wire_amount(sum(day.spent_micros for day in days)),
        [DayUsed(day.name, day.actions, day.refused, day.flagged, wire_amount(day.spent_micros)) for day in days],
    )


async def status(ctx: Context, _caller: Caller | None, _request: StatusRequest) -> Status:
    """Say whether this Haldir does its work, and which version it is."""
    found = await readiness(ctx)
    return Status("ok" if found.ready else "degraded", "haldir", version("haldir-guardian"), found.checks)


def _bounds(month: str) -> tuple[str, str]:
    """Return the first day of a month and of the next one."""
    named = _MONTH.fullmatch(month)
    if named is None or int(named[1]) < 1:
        raise InvalidRequest("`month` is a year and a month, as 2026-11", "month")
    year, number = int(named[1]), int(named[2])
    after = f"{year + 1:04d}-01-01" if number == DECEMBER else date(year, number + 1, 1).isoformat()
    return f"{month}-01", after


OPERATIONS = (
    Operation(
        name="get_usage",
        method="GET",
        path="/v1/usage",
        summary="Say how much was done in a month",
        scope="admin:read",
        request=UsageRequest,
        response=Usage,
        run=usage,
        tag="admin",
    ),
    Operation(
        name="get_status",
        method="GET",
        path="/v1/status",
        summary="Say whether this Haldir does its work",
        scope=None,
        request=StatusRequest,
        response=Status,
        run=status,
        session=True,
        anonymous=True,
        tag="admin",
    ),
)
