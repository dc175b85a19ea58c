"""What calls came with and were answered, as it was sealed beside the log: read by those who may, erased after a time.

No decision ever looks at them. That somebody reads one is recorded before it is opened.
"""

from typing import Literal

import msgspec

from haldir.journal.command import Record
from haldir.kernel import ids
from haldir.kernel.clock import DAY, Micros
from haldir.kernel.errors import NotFound
from haldir.kernel.ids import TenantId
from haldir.operations.call_ending_commands import ResultKept, Settle
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed
from haldir.operations.payload_commands import ErasePayload, ReadPayload, call_of, part_name
from haldir.operations.recorded_call import recorded_call
from haldir.operations.recorded_calls import argument_parts
from haldir.operations.sealed_parts import opened_parts
from haldir.operations.secret_masks import SecretMasks
from haldir.storage.rows import Entry

HELD_DAYS = 7  # The longest that an approval can wait: until then its approver has to see the arguments.
JSON_NULL = msgspec.Raw(b"null")

PayloadState = Literal["kept", "erased", "not_kept", "too_large"]


class Payload(msgspec.Struct, frozen=True):
    """Arguments or result of a call: `content` is JSON, and null unless its state is `kept`."""

    state: PayloadState
    content: msgspec.Raw = JSON_NULL


def kept_until(ctx: Context) -> Micros:
    """Return the instant up to which payloads were kept long enough; where none are kept, only held calls have one."""
    return ctx.clock() - (ctx.payload_days or HELD_DAYS) * DAY


async def read_payload(ctx: Context, caller: Caller, call_id: str) -> tuple[Payload, Payload]:
    """Return arguments and result of a call, once it is recorded who reads them. Raises NotFound, Refused.

    Values of secrets that stand now are shown as references.
    """
    kept = await _kept(ctx, caller.tenant, call_id)
    await allowed(ctx, caller.tenant, ReadPayload(op_id=ctx.new_op(), asked_by=caller.credential, call_id=call_id))
    result = part_name(call_id, "result")
    opened = await opened_parts(ctx, caller.tenant, [kept.arguments_part, result])
    shown = await SecretMasks(ctx, caller.tenant).over(opened)
    arguments = _payload("yes" if kept.arguments_part else "no", shown.get(kept.arguments_part))
    return arguments, _payload(kept.result, shown.get(result))


async def erase_payload(ctx: Context, caller: Caller, call_id: str) -> None:
    """Erase arguments and result of a call; its entries keep their digests. Raises NotFound, Refused."""
    kept = await _kept(ctx, caller.tenant, call_id)
    shared_with = call_of(kept.arguments_part) or call_id
    command = ErasePayload(op_id=ctx.new_op(), asked_by=caller.credential, call_id=shared_with)
    await allowed(ctx, caller.tenant, command)


class _Kept(msgspec.Struct, frozen=True):
    """Where the arguments of a call are kept, if they are or were, and whether its result is."""

    arguments_part: str
    result: ResultKept


async def _kept(ctx: Context, tenant: TenantId, call_id: str) -> _Kept:
    """Return what the log says was kept of a call. Raises NotFound."""
    op_id = ids.op_of_call(call_id)
    if op_id is None:
        raise NotFound("There is no such call.")
    names = [(op_id,), (ids.settlement_op(op_id),)]
    found = {row.op_id: row for row in await ctx.store.load(tenant, Entry, ("op_id",), names) if isinstance(row, Entry)}
    admitted, settled = (found.get(name) for (name,) in names)
    if admitted is None or admitted.kind != "call.admit":
        raise NotFound("There is no such call.")
    call = recorded_call(admitted.index, msgspec.json.decode(admitted.body, type=Record))
    (part,) = await argument_parts(ctx, tenant, [call])
    return _Kept(part, _result_kept(settled) if settled else "no")


def _result_kept(settled: Entry) -> ResultKept:
    record = msgspec.json.decode(settled.body, type=Record)
    return msgspec.json.decode(record.command, type=Settle).result_kept if record.allowed else "no"


def _payload(kept: ResultKept, shown: bytes | None) -> Payload:
    match kept:
        case "no":
            return Payload("not_kept")
        case "too_large":
            return Payload("too_large")
    return Payload("erased") if shown is None else Payload("kept", msgspec.Raw(shown))
