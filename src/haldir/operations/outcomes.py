"""From a command to its outcome: the result if it was allowed, the refusal raised if it was not."""

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from haldir.approvals.holds import Held
from haldir.journal.command import Command, Outcome
from haldir.kernel.errors import Refused
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.storage.rows import Part

T = TypeVar("T", bound=msgspec.Struct)


async def allowed(ctx: Context, tenant: TenantId, command: Command, parts: Sequence[Part] = ()) -> Outcome:
    """Apply a command and return its outcome. Raises Refused if it was denied."""
    return accepted(await ctx.journal.apply(tenant, command, parts))


async def allowed_result(
    ctx: Context, tenant: TenantId, command: Command, result_type: type[T], parts: Sequence[Part] = ()
) -> T:
    """Apply a command and return what its decision computed. Raises Refused if it was denied."""
    outcome = await allowed(ctx, tenant, command, parts)
    return msgspec.json.decode(outcome.result, type=result_type)


def accepted(outcome: Outcome) -> Outcome:
    """Return an outcome that is no refusal. Raises Refused for one that is."""
    if not outcome.allowed:
        raise refused(outcome)
    return outcome


def refused(outcome: Outcome, call_id: str = "") -> Refused:
    """Return the refusal that an outcome is; of a hold it names the approval."""
    held = msgspec.json.decode(outcome.result, type=Held | None)
    return Refused(outcome.code, outcome.reason, call_id, held.approval_id if held else "")
