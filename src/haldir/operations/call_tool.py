"""One governed tool call, from judgement to settlement: the one way a tool is ever called.

What is true after a crash at each line is said where it stands.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec

from haldir.journal.command import DETAILS_WANTED, Outcome
from haldir.kernel import ids
from haldir.kernel.errors import AnswerLost, OutcomeUnknown, Unavailable, UpstreamError
from haldir.kernel.ids import OpId, TenantId
from haldir.operations.acting import ENDED, next_session
from haldir.operations.call_ending_commands import Settle
from haldir.operations.context import Context
from haldir.operations.judged_call import ToolCall, judged
from haldir.operations.living import find_row
from haldir.operations.outcomes import refused
from haldir.operations.payload_sealing import sealed_arguments, sealed_result
from haldir.proxy.model import Call
from haldir.storage.rows import Part

ADMIT_TRIES = 3  # The rules changed that often while one call was judged: somebody is rewriting them.
SETTLE_WAITS_SECONDS = (0.1, 0.5, 2.0)  # A store that restarts is back by then; after that the caller is told.
ERROR_CHARS_MAX = 500  # An upstream's words in an entry; enough to recognise them.


class CallEnd(msgspec.Struct, frozen=True):
    """How forwarding ended. `answer` is what the caller is to get; `error` says why it did not go well."""

    state: Literal["posted", "voided", "indeterminate"]
    answer: bytes
    error: str = ""


class Admitted(msgspec.Struct, frozen=True):
    call_id: str
    op_id: OpId
    deadline_seconds: float


Forward = Callable[[str, float], Awaitable[CallEnd]]


async def call_tool(ctx: Context, call: ToolCall, forward: Forward) -> CallEnd:
    """Run one tool call under governance: judge it, admit it, forward it, settle it.

    It runs to its end even if whoever awaits it goes away. Raises Refused (recorded), Unavailable (nothing was
    forwarded), UpstreamError (settled accordingly), or OutcomeUnknown (forwarded, and its end is not stored).
    """
    task = asyncio.create_task(_run(ctx, call, forward))
    ctx.in_flight.add(task)
    task.add_done_callback(ctx.in_flight.discard)
    return await asyncio.shield(task)


async def _run(ctx: Context, call: ToolCall, forward: Forward) -> CallEnd:
    admitted = await admit(ctx, call)  # Recorded before it happens, refused or not.
    started_at = ctx.clock()
    try:
        end = await forward(admitted.call_id, admitted.deadline_seconds)  # A crash in here leaves an open intent.
    except UpstreamError as error:
        state: Literal["voided", "indeterminate"] = "indeterminate" if error.sent else "voided"
        await settle(ctx, call, admitted, CallEnd(state, b"", error.message), started_at)
        error.call_id = admitted.call_id
        raise
    await settle(ctx, call, admitted, end, started_at)  # The sweeper finds what never got here.
    return end


async def admit(ctx: Context, call: ToolCall) -> Admitted:
    """Have the call decided. Raises Refused with the call's id, or Unavailable."""
    admitted, outcome = await _admitted(ctx, call)
    if call.caller.credential.kind == "agent" and outcome.code in ENDED:
        # Its session ended since it was looked up; an agent key acts in the next one.
        session_id = await next_session(ctx, call.caller)
        admitted, outcome = await _admitted(ctx, msgspec.structs.replace(call, session_id=session_id))
    if not outcome.allowed:
        raise refused(outcome, admitted.call_id)
    return admitted


async def settle(ctx: Context, call: ToolCall, admitted: Admitted, end: CallEnd, started_at: int) -> None:
    """Store how the call ended, trying again while the store is away. Raises OutcomeUnknown."""
    tenant = call.caller.tenant
    parts, kept = await sealed_result(ctx, tenant, admitted.call_id, end.answer)
    command = Settle(
        op_id=ids.settlement_op(admitted.op_id),
        call_id=admitted.call_id,
        state=end.state,
        result_digest=(await ctx.keyring.tenant(tenant)).digest("result", end.answer),
        error=end.error[:ERROR_CHARS_MAX],
        latency_ms=(ctx.clock() - started_at) // 1000,
        result_kept=kept,
    )
    for wait_seconds in (*SETTLE_WAITS_SECONDS, None):
        try:
            await ctx.journal.apply(tenant, command, parts)
        except Unavailable as error:
            if wait_seconds is None:
                raise OutcomeUnknown(admitted.call_id) from error
            await asyncio.sleep(wait_seconds)
        else:
            return


async def _admitted(ctx: Context, call: ToolCall) -> tuple[Admitted, Outcome]:
    """Judge and apply Admit, anew for as long as the rules change in between.

    Its arguments come along, sealed; where none are kept, only once it is known that a person has to see them.
    """
    op_id = ctx.new_op()
    if ctx.ops is not None:  # A request that comes again, after a crash: what was let through once is never again.
        await _refuse_made(ctx, call.caller.tenant, ids.call_id(op_id))
    parts: list[Part] = []
    if ctx.payload_days:
        parts = [await sealed_arguments(ctx, call, ids.call_id(op_id))]
    for _ in range(ADMIT_TRIES):
        command = await judged(ctx, call, op_id, parts)
        outcome = await ctx.journal.apply(call.caller.tenant, command, parts)
        if outcome.recalled:  # Another run of the same request was faster, by a hair.
            await _refuse_made(ctx, call.caller.tenant, command.call_id)
        if not outcome.stale:
            return Admitted(command.call_id, op_id, command.deadline_ms / 1000), outcome
        if outcome.code == DETAILS_WANTED.code:
            parts = [await sealed_arguments(ctx, call, command.call_id)]
            continue
        ctx.upstreams.forget(call.caller.tenant)
        ctx.policies.forget(call.caller.tenant)
    raise Unavailable("The rules kept changing while the call was judged; nothing was decided.")


async def _refuse_made(ctx: Context, tenant: TenantId, call_id: str) -> None:
    """Refuse to make a call that was let through before. Raises OutcomeUnknown, or AnswerLost where it ended."""
    made = await find_row(ctx, tenant, Call, call_id)
    if made is None:
        return
    if made.state in {"open", "indeterminate"}:
        raise OutcomeUnknown(call_id)
    raise AnswerLost(f"The call {call_id} was made and is {made.state}; its answer was lost.", call_id)
