"""Approvals: request, get (and wait), pending, approve, deny."""

from typing import Annotated, Any

import msgspec

from haldir.approvals.holds import HELD_SECONDS
from haldir.approvals.model import Approval
from haldir.approvals.queries import pending_approvals as read_pending
from haldir.gate.scopes import ASKING
from haldir.kernel import ids, strict_json
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest, NotFound, PayloadTooLarge
from haldir.operations.acting import acting_session
from haldir.operations.approval_commands import (
    ApprovalDecided,
    ApprovalRequested,
    DecideApproval,
    RequestApproval,
    Verdict,
)
from haldir.operations.approval_waiting import await_decision
from haldir.operations.approval_words import AskedWords, DeciderWords
from haldir.operations.approvals_shown import ApprovalShown, shown_approvals
from haldir.operations.caller import Caller
from haldir.operations.catalogue import McpTool, Operation
from haldir.operations.context import Context
from haldir.operations.living import find_row, require_alive
from haldir.operations.outcomes import allowed_result
from haldir.operations.pending_watch import read_pending_count
from haldir.operations.verbs.sessions import owns
from haldir.operations.wire import Amount
from haldir.storage.rows import Part

TTL_SECONDS_MAX = 604_800  # DESIGN.md §5: no word given a week ago lets anything happen today.
TEXT_CHARS_MAX = 128  # A word for the tool and one for what is to be done; more goes into the details.
NOTE_CHARS_MAX = 2000
DETAILS_BYTES_MAX = 1 << 16  # Sealed beside the log; as much as an entry itself may have.
PAGE_DEFAULT = 100
PAGE_MAX = 500
WAIT_SECONDS_MAX = 30  # Shorter than what proxies between us and the caller put up with.

Word = Annotated[str, msgspec.Meta(max_length=TEXT_CHARS_MAX)]
Note = Annotated[str, msgspec.Meta(max_length=NOTE_CHARS_MAX)]


class RequestApprovalRequest(msgspec.Struct, frozen=True):
    """`ttl` (or `expires_in_s`) in seconds, 0 for the most there is: a week. `reason` to `params` are sealed.

    `session_id` may be absent where the credential has a session of its own.
    """

    session_id: str = ""
    tool: Word = ""
    action: Word = ""
    amount: Amount | None = None
    reason: Note = ""
    details: Any = None
    params: Any = None
    ttl: int | None = None
    expires_in_s: int | None = None


class ApprovalRequestedShown(msgspec.Struct, frozen=True):
    request_id: str
    status: str
    expires_at: float


class GetApprovalRequest(msgspec.Struct, frozen=True):
    """`wait`: seconds to wait for a decision, at most 30."""

    request_id: str
    wait: int = 0


class ListPendingRequest(msgspec.Struct, frozen=True):
    """With `since`, the `version` of an earlier answer, it waits up to `wait` seconds, at most 30, for a change.

    Any change to what waits in the tenant ends the wait, whichever agent is asked for.
    """

    agent_id: str = ""
    limit: int = PAGE_DEFAULT
    cursor: str = ""
    since: int | None = None
    wait: int = 0


class PendingListed(msgspec.Struct, frozen=True):
    """`version` counts the changes to what waits: the next answer is another only once it is another."""

    count: int
    requests: list[ApprovalShown]
    next_cursor: str | None
    version: int


class DecideRequest(msgspec.Struct, frozen=True):
    """All may be absent. `reason` is another word for `note`; `decided_by` is kept as a claim."""

    request_id: str
    decided_by: Word = ""
    note: Note = ""
    reason: Note = ""


class Approved(msgspec.Struct, frozen=True):
    """`approved` false: it counts, and `missing` more must approve."""

    approved: bool
    request_id: str
    missing: int


class Denied(msgspec.Struct, frozen=True):
    denied: bool
    request_id: str


async def request_approval(ctx: Context, caller: Caller, request: RequestApprovalRequest) -> ApprovalRequestedShown:
    """Ask a person for a word. It lets nothing through by itself: whoever asked acts on it."""
    if caller.is_key and not request.session_id:
        raise InvalidRequest("`session_id` is required", "session_id")
    op_id = ctx.new_op()
    parts = await _sealed_request(ctx, caller, request)
    command = RequestApproval(
        op_id=op_id,
        asked_by=caller.credential,
        approval_id=ids.approval_id(op_id),
        session_id=request.session_id or await acting_session(ctx, caller),
        tool=request.tool,
        action=request.action,
        amount_micros=int(request.amount or 0),
        details_digest=parts[0].digest if parts else "",
        ttl_seconds=_ttl_seconds(request),
    )
    requested = await allowed_result(ctx, caller.tenant, command, ApprovalRequested, parts)
    return ApprovalRequestedShown(command.approval_id, "pending", unix_seconds(requested.expires_at))


async def get_approval(ctx: Context, caller: Caller, request: GetApprovalRequest) -> ApprovalShown:
    """Show an approval, at once or when it is decided."""
    _check_wait(request.wait)
    approval = await own_approval(ctx, caller, request.request_id)
    if request.wait and approval.status(ctx.clock()) == "pending":
        approval = await await_decision(ctx, caller.tenant, approval, request.wait)
        await require_alive(ctx, caller, "get_approval")
    return (await shown_approvals(ctx, caller.tenant, [approval], ctx.clock(), with_changes=caller.is_key))[0]


async def list_pending_approvals(ctx: Context, caller: Caller, request: ListPendingRequest) -> PendingListed:
    """List what waits for a person, newest first, at once or when that changes."""
    if not 1 <= request.limit <= PAGE_MAX:
        raise InvalidRequest(f"limit is 1 to {PAGE_MAX}", "limit")
    version = await _version(ctx, caller, request)  # Before the list is read: a change in between shows in the next.
    now = ctx.clock()
    rows = await read_pending(
        ctx.store, caller.tenant, agent_id=request.agent_id, before=request.cursor, now=now, limit=request.limit
    )
    shown = await shown_approvals(ctx, caller.tenant, rows, now)
    more = len(rows) == request.limit or len(shown) < len(rows)
    return PendingListed(len(shown), shown, shown[-1].request_id if more and shown else None, version)


async def approve_request(ctx: Context, caller: Caller, request: DecideRequest) -> Approved:
    """Approve what waits. It lets exactly that through, once."""
    decided = await _decided(ctx, caller, request, "approve")
    return Approved(not decided.missing, request.request_id, decided.missing)


async def deny_request(ctx: Context, caller: Caller, request: DecideRequest) -> Denied:
    """Deny what waits. Exactly that stays denied until the approval would have expired."""
    await _decided(ctx, caller, request, "deny")
    return Denied(True, request.request_id)


async def _version(ctx: Context, caller: Caller, request: ListPendingRequest) -> int:
    """Return the version of what waits, once it is another than `since` or the time is over."""
    _check_wait(request.wait)
    if request.since is None or not request.wait:
        return (await read_pending_count(ctx.store, caller.tenant)).version
    count = await ctx.pending.changed(ctx.store, caller.tenant, request.since, request.wait)
    await require_alive(ctx, caller, "list_pending_approvals")
    return count.version


def _check_wait(wait_seconds: int) -> None:
    if not 0 <= wait_seconds <= WAIT_SECONDS_MAX:
        raise InvalidRequest(f"`wait` is 0 to {WAIT_SECONDS_MAX} seconds", "wait")


def _ttl_seconds(request: RequestApprovalRequest) -> int:
    name, given = ("ttl", request.ttl) if request.ttl is not None else ("expires_in_s", request.expires_in_s)
    if given is None:
        return HELD_SECONDS
    if not 0 <= given <= TTL_SECONDS_MAX:
        raise InvalidRequest(f"`{name}` is at most {TTL_SECONDS_MAX} seconds; 0 stands for that", name)
    return given or TTL_SECONDS_MAX


async def _sealed_request(ctx: Context, caller: Caller, request: RequestApprovalRequest) -> list[Part]:
    if not request.reason and request.details is None and request.params is None:
        return []
    details, params = (msgspec.Raw(strict_json.encode(each)) for each in (request.details, request.params))
    words = msgspec.json.encode(AskedWords(request.reason, details, params))
    if len(words) > DETAILS_BYTES_MAX:
        message = f"`reason`, `details` and `params` together are larger than {DETAILS_BYTES_MAX} bytes."
        raise PayloadTooLarge(message, DETAILS_BYTES_MAX)
    return [(await ctx.keyring.tenant(caller.tenant)).seal(words, "approval.details")]


async def _decided(ctx: Context, caller: Caller, request: DecideRequest, verdict: Verdict) -> ApprovalDecided:
    parts = await _sealed_note(ctx, caller, request)
    command = DecideApproval(
        op_id=ctx.new_op(),
        asked_by=caller.credential,
        approval_id=request.request_id,
        verdict=verdict,
        note_digest=parts[0].digest if parts else "",
        answers_for=caller.answers_for,
    )
    return await allowed_result(ctx, caller.tenant, command, ApprovalDecided, parts)


async def _sealed_note(ctx: Context, caller: Caller, request: DecideRequest) -> list[Part]:
    words = DeciderWords(request.note or request.reason, request.decided_by)
    if words == DeciderWords():
        return []
    return [(await ctx.keyring.tenant(caller.tenant)).seal(msgspec.json.encode(words), "approval.note")]


async def own_approval(ctx: Context, caller: Caller, approval_id: str) -> Approval:
    """Return an approval that this caller may see. Raises NotFound."""
    approval = await find_row(ctx, caller.tenant, Approval, approval_id)
    if approval is None or not owns(caller, approval.session_id):
        raise NotFound("There is no such approval.")
    return approval


OPERATIONS = (
    Operation(
        name="request_approval",
        method="POST",
        path="/v1/approvals/request",
        summary="Ask a person for approval",
        scope=ASKING,
        request=RequestApprovalRequest,
        response=ApprovalRequestedShown,
        run=request_approval,
        status=201,
        session=True,
        refusals=("session_not_found", "session_expired", "session_revoked", "agent_revoked", "too_many_pending"),
        tag="approvals",
        mcp=McpTool(
            name="haldir_request_approval",
            effect="adds",
            aliases=("request_approval",),
            required=("session_id",),
            stdio_only=True,
        ),
    ),
    Operation(
        name="list_pending_approvals",
        method="GET",
        path="/v1/approvals/pending",
        summary="List what waits for approval, newest first, or wait until that changes",
        scope="approvals:read",
        request=ListPendingRequest,
        response=PendingListed,
        run=list_pending_approvals,
        tag="approvals",
    ),
    Operation(
        name="get_approval",
        method="GET",
        path="/v1/approvals/{request_id}",
        summary="Show an approval, or wait for its decision",
        scope="approvals:read",
        request=GetApprovalRequest,
        response=ApprovalShown,
        run=get_approval,
        session=True,
        tag="approvals",
        mcp=McpTool(
            name="haldir_get_approval_status",
            effect="reads",
            aliases=("get_approval_status",),
            synonyms={"approval_id": "request_id"},
            stdio_only=True,
        ),
    ),
    Operation(
        name="approve_request",
        method="POST",
        path="/v1/approvals/{request_id}/approve",
        summary="Approve what waits",
        scope="approvals:write",
        request=DecideRequest,
        response=Approved,
        run=approve_request,
        refusals=("approval_not_found", "approval_decided", "approval_expired", "approval_outdated", "four_eyes"),
        tag="approvals",
    ),
    Operation(
        name="deny_request",
        method="POST",
        path="/v1/approvals/{request_id}/deny",
        summary="Deny what waits",
        scope="approvals:write",
        request=DecideRequest,
        response=Denied,
        run=deny_request,
        refusals=("approval_not_found", "approval_decided", "approval_expired", "approval_outdated", "four_eyes"),
        tag="approvals",
    ),
)
