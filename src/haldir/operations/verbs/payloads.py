"""What a call came with and was answered: read it, erase it."""

import msgspec

from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.payloads import PayloadState, erase_payload, read_payload


class PayloadNamed(msgspec.Struct, frozen=True):
    call_id: str


class PayloadShown(msgspec.Struct, frozen=True):
    """`arguments` as the caller gave them and `result` as the caller got it, a JSON-RPC answer; or null.

    The states: `kept`; `erased`, by hand or after its time; `too_large` to be kept, so that only the digest in the
    log stands for it; `not_kept`: none came, it was refused for another reason than policies, or keeping was off.
    """

    call_id: str
    arguments_state: PayloadState
    arguments: msgspec.Raw
    result_state: PayloadState
    result: msgspec.Raw


class PayloadErased(msgspec.Struct, frozen=True):
    erased: bool
    call_id: str


async def show_payload(ctx: Context, caller: Caller, request: PayloadNamed) -> PayloadShown:
    """Show what a call came with and was answered, once it is recorded who asked for that."""
    arguments, result = await read_payload(ctx, caller, request.call_id)
    return PayloadShown(request.call_id, arguments.state, arguments.content, result.state, result.content)


async def drop_payload(ctx: Context, caller: Caller, request: PayloadNamed) -> PayloadErased:
    """Erase what a call came with and was answered; its entries stay, with the digests."""
    await erase_payload(ctx, caller, request.call_id)
    return PayloadErased(erased=True, call_id=request.call_id)


OPERATIONS = (
    Operation(
        name="get_payload",
        method="GET",
        path="/v1/calls/{call_id}/payload",
        summary="Show the arguments and the result of a call",
        scope="payloads:read",
        request=PayloadNamed,
        response=PayloadShown,
        run=show_payload,
        tag="calls",
    ),
    Operation(
        name="erase_payload",
        method="DELETE",
        path="/v1/calls/{call_id}/payload",
        summary="Erase the arguments and the result of a call",
        scope="payloads:write",
        request=PayloadNamed,
        response=PayloadErased,
        run=drop_payload,
        tag="calls",
    ),
)
