"""Tells when an upstream fails again and again, and when it is well again: it says so to the log, once each."""

import asyncio
import logging

from haldir.kernel.errors import HaldirError
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.proxy.commands import NoteUpstreamHealth
from haldir.proxy.health import Health
from haldir.proxy.model import UpstreamHealth

LOOK_SECONDS = 5.0
FAILURES_UNHEALTHY = 3  # In a row: one bad answer, or a restart, alarms nobody.
REASON_CHARS_MAX = 300  # An upstream has a word in it: the version of MCP that it claims to speak.

Told = dict[tuple[TenantId, str], bool]

_log = logging.getLogger(__name__)


async def watch_upstreams(ctx: Context) -> None:
    """Watch until cancelled; a store that is away is told in the next round."""
    told: Told = {}
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            await note_health(ctx, told)
        except HaldirError as error:
            _log.warning("health_not_noted", extra={"event": {"code": error.code, "error": error.message}})


async def note_health(ctx: Context, told: Told) -> None:
    """Note the upstreams whose health is another than this process last told of."""
    for tenant, known in list(ctx.upstreams.known.items()):
        for name in list(known):
            health = ctx.pool.health(tenant, name)
            verdict = _verdict(health)
            if verdict is None or told.get((tenant, name)) == verdict:
                continue
            before = await find_row(ctx, tenant, UpstreamHealth, name)
            if (before.healthy if before else True) != verdict:
                command = NoteUpstreamHealth(
                    op_id=ctx.new_op(), upstream=name, healthy=verdict, reason=health.last_error[:REASON_CHARS_MAX]
                )
                await ctx.journal.apply(tenant, command)
            told[tenant, name] = verdict


def _verdict(health: Health) -> bool | None:
    """Return whether an upstream is healthy, or None while nobody can tell."""
    if health.failures >= FAILURES_UNHEALTHY:
        return False
    return True if health.last_check and not health.failures else None
