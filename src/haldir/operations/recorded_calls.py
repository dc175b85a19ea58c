"""Calls read back out of the log, with the arguments that are still kept: for who asks what others had made of them."""

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from haldir.approvals.model import Approval
from haldir.gate.model import Session
from haldir.kernel import strict_json
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.operations.policy_replay import GoneArguments
from haldir.operations.recorded_call import RecordedCall, recorded_call
from haldir.operations.sealed_parts import opened_parts
from haldir.operations.secret_masks import SecretMasks
from haldir.watch.filter import EntryFilter, Span
from haldir.watch.queries import find_entries

READ_AT_ONCE = 256  # Entries: a megabyte or two.
OPENED_AT_ONCE = 32  # Arguments: each may have three megabytes.
Lack = Literal["", "erased", "not_kept", "secret"]
CALLS = EntryFilter(kind="call.admit")


class Recollection(msgspec.Struct, frozen=True):
    """A recorded call, the scopes of its session, and its arguments; if they are gone, `lack` says why."""

    call: RecordedCall
    scopes: tuple[str, ...]
    arguments: dict[str, Any]
    lack: Lack = ""


async def read_calls(ctx: Context, tenant: TenantId, span: Span) -> tuple[list[RecordedCall], Span | None]:
    """Return the next calls of a stretch, oldest first, and what is left of it."""
    page = await find_entries(ctx.store, tenant, CALLS, span, READ_AT_ONCE, oldest_first=True)
    return [recorded_call(each.index, each.record) for each in page.entries], page.rest


async def recollect(
    ctx: Context, tenant: TenantId, calls: Sequence[RecordedCall], masks: SecretMasks
) -> list[Recollection]:
    """Return calls as whoever judged them saw them, but those whose arguments hold a secret without arguments.

    Else whoever asks which calls meet a condition could guess a secret, a character at a time. Bounded by
    OPENED_AT_ONCE, for all is held at once.
    """
    assert len(calls) <= OPENED_AT_ONCE
    parts = await argument_parts(ctx, tenant, calls)
    opened = await opened_parts(ctx, tenant, parts)
    shown = await masks.over_json(opened)
    scopes = await _scopes(ctx, tenant, calls)
    return [
        Recollection(call, scopes.get(call.admit.session_id, ()), *_arguments(part, opened, shown))
        for call, part in zip(calls, parts, strict=True)
    ]


def _arguments(part: str, opened: dict[str, bytes], shown: dict[str, bytes]) -> tuple[dict[str, Any], Lack]:
    if part not in opened:
        return GoneArguments(), "erased" if part else "not_kept"
    arguments = strict_json.decode(opened[part])
    unmasked = shown[part] == opened[part] or strict_json.decode(shown[part]) == arguments
    return (arguments, "") if unmasked else (GoneArguments(), "secret")


async def argument_parts(ctx: Context, tenant: TenantId, calls: Sequence[RecordedCall]) -> list[str]:
    """Return where the arguments of each call are kept; "" for what never was."""
    wanted = sorted({call.approval_id for call in calls} - {""})
    found = await ctx.store.load(tenant, Approval, ("id",), [(each,) for each in wanted]) if wanted else ()
    approvals = {row.id: row for row in found if isinstance(row, Approval)}
    return [call.arguments_part(approvals.get(call.approval_id)) for call in calls]


async def _scopes(ctx: Context, tenant: TenantId, calls: Sequence[RecordedCall]) -> dict[str, tuple[str, ...]]:
    wanted = sorted({call.admit.session_id for call in calls})
    found = await ctx.store.load(tenant, Session, Session.TABLE.key, [(each,) for each in wanted])
    return {row.id: row.scopes for row in found if isinstance(row, Session)}
