"""Tool calls as they were admitted and settled: list, get, resolve by hand."""

from typing import Literal

import msgspec

from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest, NotFound
from haldir.kernel.money import wire_amount
from haldir.operations.call_ending_commands import CallResolved, Resolve
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.operations.outcomes import allowed_result
from haldir.operations.verbs.sessions import owns
from haldir.operations.wire import Amount
from haldir.proxy.model import Call, CallState
from haldir.proxy.queries import list_calls as read_calls

PAGE_DEFAULT = 100
PAGE_MAX = 500
RESOLUTIONS: dict[str, Literal["posted", "voided"]] = {"post": "posted", "void": "voided"}


class CallNamed(msgspec.Struct, frozen=True):
    call_id: str


class CallShown(msgspec.Struct, frozen=True):
    """`state`: open (under way), posted, voided, or indeterminate (nobody knows whether it happened)."""

    call_id: str
    session_id: str
    agent_id: str
    upstream: str
    tool: str
    state: CallState
    error: str
    price: float
    policy_version: int
    arguments_digest: str
    result_digest: str
    admitted_at: float
    deadline_at: float
    settled_at: float | None
    resolved_by: str


class ListCallsRequest(msgspec.Struct, frozen=True):
    state: CallState = "indeterminate"
    limit: int = PAGE_DEFAULT
    cursor: str = ""


class CallsListed(msgspec.Struct, frozen=True):
    calls: list[CallShown]
    count: int
    next_cursor: str | None


class ResolveCallRequest(msgspec.Struct, frozen=True):
    """`amount` to post, at most what was reserved; all of it when absent."""

    call_id: str
    state: Literal["post", "void"]
    amount: Amount | None = None


class CallResolvedShown(msgspec.Struct, frozen=True):
    call_id: str
    state: str
    posted: float


async def get_call(ctx: Context, caller: Caller, request: CallNamed) -> CallShown:
    """Show one admitted call."""
    call = await find_row(ctx, caller.tenant, Call, request.call_id)
    if call is None or not owns(caller, call.session_id):
        raise NotFound("There is no such call.")
    return _shown(call)


async def list_calls(ctx: Context, caller: Caller, request: ListCallsRequest) -> CallsListed:
    """List calls in one state, newest first; those that need a person are the indeterminate ones."""
    if not 1 <= request.limit <= PAGE_MAX:
        raise InvalidRequest(f"limit is 1 to {PAGE_MAX}", "limit")
    rows = await read_calls(ctx.store, caller.tenant, request.state, request.cursor, request.limit)
    next_cursor = rows[-1].id if len(rows) == request.limit else None
    return CallsListed([_shown(row) for row in rows], len(rows), next_cursor)


async def resolve_call(ctx: Context, caller: Caller, request: ResolveCallRequest) -> CallResolvedShown:
    """Say how an indeterminate call ended: post what it cost, or void it."""
    if request.state == "void" and request.amount is not None:
        raise InvalidRequest("`amount` goes with the state `post` only", "amount")
    command = Resolve(
        op_id=ctx.new_op(),
        asked_by=caller.credential,
        call_id=request.call_id,
        state=RESOLUTIONS[request.state],
        amount_micros=None if request.amount is None else int(request.amount),
    )
    resolved = await allowed_result(ctx, caller.tenant, command, CallResolved)
    return CallResolvedShown(request.call_id, resolved.state, wire_amount(resolved.posted_micros))


def _shown(call: Call) -> CallShown:
    return CallShown(
        call.id,
        call.session_id,
        call.agent_id,
        call.upstream,
        call.tool,
        call.state,
        call.error,
        wire_amount(call.price_micros),
        call.policy_epoch,
        call.arguments_digest,
        call.result_digest,
        unix_seconds(call.admitted_at),
        unix_seconds(call.deadline_at),
        None if call.settled_at is None else unix_seconds(call.settled_at),
        call.resolved_by,
    )


OPERATIONS = (
    Operation(
        name="list_calls",
        method="GET",
        path="/v1/calls",
        summary="List calls in one state",
        scope="audit:read",
        request=ListCallsRequest,
        response=CallsListed,
        run=list_calls,
        tag="calls",
    ),
    Operation(
        name="get_call",
        method="GET",
        path="/v1/calls/{call_id}",
        summary="Show a call",
        scope="audit:read",
        request=CallNamed,
        response=CallShown,
        run=get_call,
        session=True,
        tag="calls",
    ),
    Operation(
        name="resolve_call",
        method="POST",
        path="/v1/calls/{call_id}/resolve",
        summary="Resolve an indeterminate call by hand",
        scope="admin:write",
        request=ResolveCallRequest,
        response=CallResolvedShown,
        run=resolve_call,
        refusals=("call_not_found", "call_not_open", "amount_exceeds_reserved"),
        tag="calls",
    ),
)
