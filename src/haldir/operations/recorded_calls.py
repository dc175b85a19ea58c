"""Calls read back out of the log, with the arguments that are still kept: for who asks what others had made of them."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from haldir.approvals.holds import Held
from haldir.approvals.model import Approval
from haldir.gate.model import Session
from haldir.kernel import strict_json
from haldir.kernel.ids import TenantId
from haldir.operations.call_commands import POLICY_REFUSALS, Admit
from haldir.operations.context import Context
from haldir.operations.policy_replay import GoneArguments, RecordedCall
from haldir.operations.sealed_parts import opened_parts
from haldir.watch.filter import EntryFilter, Span
from haldir.watch.queries import find_entries

READ_AT_ONCE = 256  # Entries: a megabyte or two.
OPENED_AT_ONCE = 32  # Arguments: each may have three megabytes.
CALLS = EntryFilter(kind="call.admit")


class Recollection(msgspec.Struct, frozen=True):
    """A recorded call, the scopes of its session, and its arguments; if they are gone, `lack` says why."""

    call: RecordedCall
    scopes: tuple[str, ...]
    arguments: dict[str, Any]
    lack: Literal["", "erased", "not_kept"] = ""


async def read_calls(ctx: Context, tenant: TenantId, span: Span) -> tuple[list[RecordedCall], Span | None]:
    """Return the next calls of a stretch, oldest first, and what is left of it."""
    page = await find_entries(ctx.store, tenant, CALLS, span, READ_AT_ONCE, oldest_first=True)
    calls = [
        RecordedCall(each.index, each.record, msgspec.json.decode(each.record.command, type=Admit))
        for each in page.entries
    ]
    return calls, page.rest


async def recollect(ctx: Context, tenant: TenantId, calls: Sequence[RecordedCall]) -> list[Recollection]:
    """Return calls as whoever judged them saw them. Bounded by OPENED_AT_ONCE, for all is held at once."""
    assert len(calls) <= OPENED_AT_ONCE
    approvals = await _approvals(ctx, tenant, calls)
    parts = {call.index: _part(call, approvals) for call in calls}
    opened = await opened_parts(ctx, tenant, parts.values())
    scopes = await _scopes(ctx, tenant, calls)
    return [_recollected(call, parts[call.index], opened, scopes) for call in calls]


def _recollected(
    call: RecordedCall, part: str, opened: dict[str, bytes], scopes: dict[str, tuple[str, ...]]
) -> Recollection:
    granted = scopes.get(call.admit.session_id, ())
    if part in opened:
        return Recollection(call, granted, strict_json.decode(opened[part]))
    return Recollection(call, granted, GoneArguments(), "erased" if part else "not_kept")


def _part(call: RecordedCall, approvals: dict[str, Approval]) -> str:
    """Return where the arguments of a call are kept; "" if they never were."""
    if call.record.allowed or call.record.code in POLICY_REFUSALS:
        return call.admit.details_digest
    approval = approvals.get(_held(call))
    return approval.details_digest if approval else ""


def _held(call: RecordedCall) -> str:
    """Return the approval that a call waited for, if it did."""
    held = msgspec.json.decode(call.record.result, type=Held | None)
    return held.approval_id if held else ""


async def _approvals(ctx: Context, tenant: TenantId, calls: Sequence[RecordedCall]) -> dict[str, Approval]:
    wanted = sorted({_held(call) for call in calls} - {""})
    if not wanted:
        return {}
    found = await ctx.store.load(tenant, Approval, Approval.TABLE.key, [(each,) for each in wanted])
    return {row.id: row for row in found if isinstance(row, Approval)}


async def _scopes(ctx: Context, tenant: TenantId, calls: Sequence[RecordedCall]) -> dict[str, tuple[str, ...]]:
    wanted = sorted({call.admit.session_id for call in calls})
    found = await ctx.store.load(tenant, Session, Session.TABLE.key, [(each,) for each in wanted])
    return {row.id: row.scopes for row in found if isinstance(row, Session)}
