"""Whether this Haldir can do its work right now: asked of the parts themselves, by real reads."""

import asyncio
from collections.abc import Awaitable

import msgspec

from haldir.kernel.clock import Clock
from haldir.kernel.errors import HaldirError
from haldir.operations.context import Context

CHECK_SECONDS_MAX = 2.0  # A store slower than this answers no tool call in time either.
MILLISECOND = 1000  # In microseconds.


class Check(msgspec.Struct, frozen=True):
    name: str
    ok: bool
    message: str
    duration_ms: float


class Readiness(msgspec.Struct, frozen=True):
    ready: bool
    checks: tuple[Check, ...]


async def readiness(ctx: Context) -> Readiness:
    """Return whether store and journal answer; never raises for what they do."""
    checks = (
        await _check("store", ctx.store.tenants(), ctx.clock),
        await _check("journal", _read_a_head(ctx), ctx.clock),
    )
    return Readiness(all(check.ok for check in checks), checks)


async def _read_a_head(ctx: Context) -> None:
    """Read one tenant's log as the journal would before it writes."""
    for tenant in (await ctx.store.tenants())[:1]:
        await ctx.journal.head(tenant)


async def _check(name: str, asked: Awaitable[object], clock: Clock) -> Check:
    begun = clock()
    message = ""
    try:
        async with asyncio.timeout(CHECK_SECONDS_MAX):
            await asked
    except TimeoutError:
        message = f"no answer within {CHECK_SECONDS_MAX:.0f} s"
    except HaldirError as error:
        message = error.code
    return Check(name, not message, message or "ok", (clock() - begun) / MILLISECOND)
