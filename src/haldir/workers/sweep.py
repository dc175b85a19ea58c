"""Finds what nobody came back for: calls, approvals, requests and payloads past their time, refusals to be counted."""

import asyncio
import logging

from haldir.approvals.commands import ExpireApproval
from haldir.approvals.queries import overdue_approvals
from haldir.gate.queries import outdated_requests
from haldir.gate.request_commands import KEPT, ForgetRequests
from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.errors import HaldirError
from haldir.kernel.ids import TenantId
from haldir.operations.call_ending_commands import LAPSE_GRACE_SECONDS, Lapse
from haldir.operations.context import Context
from haldir.operations.payload_commands import ExpirePayloads, call_of
from haldir.operations.payloads import kept_until
from haldir.proxy.queries import overdue_calls, parts_kept_since

SWEEP_SECONDS = 5.0  # A lapsed call is marked this late at most; its money is set aside meanwhile.
FORGOTTEN_MAX = 256  # Requests in one entry: a quarter of what it may hold; the rest are found in the next round.
ERASED_MAX = 1_000  # Parts in one entry: half as many calls and up, at most 30 KB of names.
ERASINGS_MAX = 10  # Entries of one tenant in one round: as fast as a thousand calls a second leave payloads behind.
SWEPT_MAX = 500  # Calls, or approvals, of one tenant in one round; the rest are found in the next.

_log = logging.getLogger(__name__)


async def sweep_forever(ctx: Context) -> None:
    """Sweep until cancelled; a store that is away is asked again in the next round."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            await sweep(ctx)
        except HaldirError as error:
            _log.warning("sweep_failed", extra={"event": {"code": error.code, "error": error.message}})


async def sweep(ctx: Context) -> int:
    """Mark overdue calls as indeterminate, and forget old requests; return how many calls there were.

    A tenant whose log cannot be written is left for the next round, and keeps no other one waiting for ever.
    """
    lapsed = 0
    deadline_before = ctx.clock() - LAPSE_GRACE_SECONDS * SECOND
    for tenant in await ctx.store.tenants():
        try:
            lapsed += await _sweep_tenant(ctx, tenant, deadline_before)
            await _forget_requests(ctx, tenant)
            await _expire_approvals(ctx, tenant)
            await _expire_payloads(ctx, tenant)
        except HaldirError as error:
            _log.warning(
                "sweep_failed", extra={"event": {"tenant": tenant, "code": error.code, "error": error.message}}
            )
    await ctx.refusals.flush()
    await ctx.key_uses.store(ctx.store, ctx.clock(), everything=False)
    return lapsed


async def _sweep_tenant(ctx: Context, tenant: TenantId, deadline_before: Micros) -> int:
    lapsed = 0
    for call_id in await overdue_calls(ctx.store, tenant, deadline_before, SWEPT_MAX):
        outcome = await ctx.journal.apply(tenant, Lapse(op_id=ctx.new_op(), call_id=call_id))
        lapsed += outcome.allowed
    return lapsed


async def _expire_approvals(ctx: Context, tenant: TenantId) -> None:
    """Close approvals whose time is over. They let nothing through since then; this tells people, and frees a place."""
    overdue = await overdue_approvals(ctx.store, tenant, ctx.clock(), SWEPT_MAX)
    commands = [ExpireApproval(op_id=ctx.new_op(), approval_id=approval_id) for approval_id in overdue]
    await asyncio.gather(*(ctx.journal.apply(tenant, command) for command in commands))


async def _expire_payloads(ctx: Context, tenant: TenantId) -> None:
    """Erase what was kept of calls for long enough, some of it in each round."""
    for _ in range(ERASINGS_MAX):
        parts = await parts_kept_since(ctx.store, tenant, kept_until(ctx), ERASED_MAX)
        if parts:
            calls = tuple(dict.fromkeys(map(call_of, parts)))
            await ctx.journal.apply(tenant, ExpirePayloads(op_id=ctx.new_op(), calls=calls))
        if len(parts) < ERASED_MAX:
            return


async def _forget_requests(ctx: Context, tenant: TenantId) -> None:
    """Erase what was kept for the retries of requests whose time is over."""
    requests = await outdated_requests(ctx.store, tenant, ctx.clock() - KEPT, FORGOTTEN_MAX)
    if requests:
        await ctx.journal.apply(tenant, ForgetRequests(op_id=ctx.new_op(), requests=requests))
