"""What an agent asks for beside the last call that it made of the same tool: for whoever has to approve it.

It is shown to people and never decided from. What the call came with may be erased or not kept; then that is said.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from haldir.approvals.changes import ChangeShown, first_changes, shown_change
from haldir.approvals.model import Approval
from haldir.approvals.queries import PreviousCall, previous_call, previous_calls_of_page
from haldir.journal.command import Record
from haldir.kernel import ids, strict_json
from haldir.kernel.clock import unix_seconds
from haldir.kernel.ids import OpId, TenantId
from haldir.operations.call_commands import Admit
from haldir.operations.context import Context
from haldir.operations.payload_commands import part_name
from haldir.storage.rows import Entry

COMPARED_BYTES_MAX = 1 << 18  # Arguments of more are compared by no person, and would keep everybody waiting.

Comparison = Literal["compared", "no_call", "no_previous_call", "not_kept", "erased", "too_large", "not_shown"]


class ComparedShown(msgspec.Struct, frozen=True):
    """The call that `changes` compare with: the agent's last one of the same tool before it asked, of any session.

    `state` says why there are none: the approval is of no call, the agent made none before, its arguments were not
    kept, one of the two was erased, one has more than 256 KiB, or it is not for this credential to see.
    `more`: there are more than the hundred changes shown.
    """

    state: Comparison
    call_id: str = ""
    admitted_at: float | None = None
    more: bool = False


class Compared(msgspec.Struct, frozen=True):
    shown: ComparedShown
    changes: list[ChangeShown] | None = None


class Previous(msgspec.Struct, frozen=True):
    """The previous calls of some approvals, by approval; `shown` is whether anybody may see them."""

    calls: dict[str, PreviousCall]
    shown: bool = True

    def parts(self, approvals: Iterable[Approval]) -> list[str]:
        """Return the parts in which the arguments of the previous calls are sealed, if they are."""
        return [_part(self.calls[row.id]) for row in approvals if row.id in self.calls]


NOT_SHOWN = Previous({}, shown=False)


async def previous_of(ctx: Context, tenant: TenantId, approvals: Sequence[Approval]) -> Previous:
    """Return the previous calls of one approval, or of a page of what waits, newest first."""
    if not any(row.effect == "call" for row in approvals):
        return Previous({})
    if len(approvals) == 1:
        return Previous(await previous_call(ctx.store, tenant, approvals[0].id))
    agents = {row.agent_id for row in approvals}
    agent_id = agents.pop() if len(agents) == 1 else ""
    span = approvals[0].id, approvals[-1].id
    return Previous(await previous_calls_of_page(ctx.store, tenant, *span, agent_id=agent_id))


async def compared(
    ctx: Context, tenant: TenantId, approvals: Sequence[Approval], previous: Previous, said: dict[str, bytes]
) -> dict[str, Compared]:
    """Return by id what approvals ask for beside those calls; `said` are their parts, opened."""
    missing = [call for row in approvals if (call := previous.calls.get(row.id)) and _part(call) not in said]
    unkept = await _never_kept(ctx, tenant, missing) if missing else set()
    return {row.id: _compared(row, previous, said, unkept) for row in approvals}


async def _never_kept(ctx: Context, tenant: TenantId, calls: Iterable[PreviousCall]) -> set[str]:
    """Return those of the calls whose arguments never were kept, as their entries say; those of others were erased."""
    ops = {op_id: call.id for call in calls if (op_id := ids.op_of_call(call.id))}
    found = await ctx.store.load(tenant, Entry, ("op_id",), [(op_id,) for op_id in ops])
    return {ops[OpId(row.op_id)] for row in found if isinstance(row, Entry) and not _came_with_arguments(row)}


def _came_with_arguments(entry: Entry) -> bool:
    record = msgspec.json.decode(entry.body, type=Record)
    return bool(msgspec.json.decode(record.command, type=Admit).details_digest)


def _compared(approval: Approval, previous: Previous, said: dict[str, bytes], unkept: set[str]) -> Compared:
    if not previous.shown:
        return Compared(ComparedShown("not_shown"))
    if approval.effect != "call":
        return Compared(ComparedShown("no_call"))
    call = previous.calls.get(approval.id)
    if call is None:
        return Compared(ComparedShown("no_previous_call"))
    was, now, at = said.get(_part(call)), said.get(approval.details_digest), unix_seconds(call.admitted_at)
    if was is None or now is None:
        state: Comparison = "not_kept" if was is None and call.id in unkept else "erased"
        return Compared(ComparedShown(state, call.id, at))
    if max(len(was), len(now)) > COMPARED_BYTES_MAX:
        return Compared(ComparedShown("too_large", call.id, at))
    found, more = first_changes(strict_json.decode(was), strict_json.decode(now))
    return Compared(ComparedShown("compared", call.id, at, more), [shown_change(change) for change in found])


def _part(call: PreviousCall) -> str:
    return part_name(call.id, "arguments")
