"""Waiting for a person's word by looking for it: soon at first, then each second. It keeps nobody else waiting."""

import asyncio

from haldir.approvals.model import Approval
from haldir.kernel.clock import SECOND
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.operations.living import find_row

LOOK_SECONDS = (0.1, 0.2, 0.5, 1.0)  # Between looks at what is waited for.


async def await_decision(ctx: Context, tenant: TenantId, approval: Approval, wait_seconds: float) -> Approval:
    """Return the approval once it is decided or expired, or as it is when the time is over. Raises Unavailable."""
    until, looks = ctx.clock() + round(wait_seconds * SECOND), iter(LOOK_SECONDS)
    pause = LOOK_SECONDS[0]
    while (now := ctx.clock()) < until and approval.status(now) == "pending":
        pause = next(looks, pause)
        await asyncio.sleep(min(pause, (until - now) / SECOND))
        approval = await find_row(ctx, tenant, Approval, approval.id) or approval
    return approval
