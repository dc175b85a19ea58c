"""What a call comes with and is answered, sealed to be stored beside the log. `payloads.py` reads it again."""

from collections.abc import Sequence

from haldir.kernel import strict_json
from haldir.kernel.ids import TenantId
from haldir.operations.call_ending_commands import ResultKept
from haldir.operations.context import Context
from haldir.operations.judged_call import ToolCall
from haldir.operations.payload_commands import part_name
from haldir.storage.rows import Part

RESULT_BYTES_MAX = 1 << 20  # As much as a request, and so arguments, may have; a larger answer is known by its digest.


async def sealed_arguments(ctx: Context, call: ToolCall, call_id: str) -> Part:
    """Return what a call comes with, sealed: as the caller gave it, with references to secrets as references."""
    keys = await ctx.keyring.tenant(call.caller.tenant)
    return keys.seal_as(part_name(call_id, "arguments"), strict_json.encode(call.arguments), ctx.clock())


async def sealed_result(
    ctx: Context, tenant: TenantId, call_id: str, answer: bytes
) -> tuple[Sequence[Part], ResultKept]:
    """Return the answer of a call, sealed, if answers are kept; and whether this one is."""
    if not ctx.payload_days or not answer:
        return (), "no"
    if len(answer) > RESULT_BYTES_MAX:
        return (), "too_large"
    keys = await ctx.keyring.tenant(tenant)
    return [keys.seal_as(part_name(call_id, "result"), answer, ctx.clock())], "yes"
