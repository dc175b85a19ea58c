"""The log: report to it, read it, verify it, take its signed head."""

import base64
import binascii
from typing import Annotated, Any

import msgspec

from haldir.kernel import ids, strict_json
from haldir.kernel.errors import InvalidRequest, PayloadTooLarge
from haldir.operations.acting import acting_session
from haldir.operations.audit_commands import LogAction
from haldir.operations.audit_pages import EntryShown, shown_entries
from haldir.operations.caller import Caller
from haldir.operations.catalogue import McpTool, Operation
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed
from haldir.operations.tree_heads import TreeHead, signed_head, signer_of
from haldir.operations.wire import Cost, Moment, require_period
from haldir.watch.filter import END, EntryFilter, Span
from haldir.watch.queries import find_entries, span_of
from haldir.watch.verify import Finding, Pin, verify_log

ACTION_CHARS_MAX = 128  # A word for what was done; what more there is to say goes into the details.
TOOL_CHARS_MAX = 256  # An upstream's name and a tool's, with room.
DETAILS_BYTES_MAX = 1 << 16  # Sealed beside the log; as much as an entry itself may have.
PAGE_DEFAULT = 100
PAGE_MAX = 1000
CURSOR_CHARS_MAX = 36

Page = Annotated[int, msgspec.Meta(ge=1, le=PAGE_MAX)]


class LogActionRequest(msgspec.Struct, frozen=True):
    """`session_id` may be absent where the credential has a session of its own."""

    action: Annotated[str, msgspec.Meta(min_length=1, max_length=ACTION_CHARS_MAX)]
    session_id: str = ""
    tool: Annotated[str, msgspec.Meta(max_length=TOOL_CHARS_MAX)] = ""
    cost_usd: Cost | None = None
    details: Any = None


class ActionLogged(msgspec.Struct, frozen=True):
    logged: bool
    entry_id: str
    flagged: bool
    flag_reason: str


class QueryAuditRequest(msgspec.Struct, frozen=True):
    """Filters; absent is any. `kind`: `all`, or one kind of command; absent is actions and tool calls.

    `flagged=true` and `allowed=false` look at every kind unless one is named. `since` is within the period that is
    asked for, `until` is not.
    """

    session_id: str = ""
    agent_id: str = ""
    tool: str = ""
    kind: str = ""
    flagged: bool = False
    allowed: bool | None = None
    since: Moment | None = None
    until: Moment | None = None
    limit: Page = PAGE_DEFAULT
    cursor: str = ""


class AuditPage(msgspec.Struct, frozen=True):
    count: int
    entries: list[EntryShown]
    next_cursor: str | None


class VerifyAuditRequest(msgspec.Struct, frozen=True):
    pass


class FindingShown(msgspec.Struct, frozen=True):
    problem: str
    message: str
    entry_id: str | None


class AuditVerified(msgspec.Struct, frozen=True, omit_defaults=True):
    """`error` and `tampered_entry` are those of the first finding."""

    verified: bool
    entries_checked: int
    root_hash: str
    message: str = ""
    error: str = ""
    tampered_entry: str = ""
    findings: list[FindingShown] = []


class TreeHeadRequest(msgspec.Struct, frozen=True):
    pass


async def log_action(ctx: Context, caller: Caller, request: LogActionRequest) -> ActionLogged:
    """Enter what a session says it did."""
    if caller.is_key and not request.session_id:
        raise InvalidRequest("`session_id` is required", "session_id")
    session_id = request.session_id or await acting_session(ctx, caller)
    details = b"" if request.details is None else strict_json.encode(request.details)
    if len(details) > DETAILS_BYTES_MAX:
        raise PayloadTooLarge(f"`details` are larger than {DETAILS_BYTES_MAX} bytes.", DETAILS_BYTES_MAX)
    keys = await ctx.keyring.tenant(caller.tenant)
    parts = [keys.seal(details, "action.details")] if details else []
    command = LogAction(
        op_id=ctx.new_op(),
        asked_by=caller.credential,
        session_id=session_id,
        action=request.action,
        tool=request.tool,
        cost_micros=int(request.cost_usd or 0),
        details_digest=parts[0].digest if parts else "",
    )
    outcome = await allowed(ctx, caller.tenant, command, parts)
    return ActionLogged(
        logged=True,
        entry_id=ids.entry_id(outcome.index),
        flagged=bool(outcome.flags),
        flag_reason=" ".join(outcome.flags),
    )


async def query_audit(ctx: Context, caller: Caller, request: QueryAuditRequest) -> AuditPage:
    """List entries, newest first. A page may hold fewer than `limit`, even none, and still have a `next_cursor`."""
    before = _read_cursor(request.cursor) if request.cursor else END
    require_period(request.since, request.until)
    period = await span_of(ctx.store, caller.tenant, request.since, request.until)
    span = Span(period.first, min(before, period.end))
    found = await find_entries(ctx.store, caller.tenant, _wanted(request), span, request.limit)
    entries = await shown_entries(ctx, caller.tenant, found.entries)
    if len(entries) < len(found.entries):  # The page ends early, and the next one goes on right there.
        return AuditPage(len(entries), entries, _cursor(found.entries[len(entries) - 1].index))
    return AuditPage(len(entries), entries, _cursor(found.rest.end) if found.rest else None)


async def verify_audit(ctx: Context, caller: Caller, _request: VerifyAuditRequest) -> AuditVerified:
    """Read the whole log and hold it against its signed head."""
    kept = ctx.journal.kept(caller.tenant)  # Looked up first: the log may grow past it, but not stay behind.
    pins = [Pin(*kept)] if kept else []
    found = await verify_log(ctx.store, caller.tenant, signer_of(ctx).verifier_key(caller.tenant), pins)
    if found.verified:
        message = f"All {found.entries_checked} entries are as they were signed."
        return AuditVerified(True, found.entries_checked, found.root.hex(), message)
    first = found.findings[0]
    return AuditVerified(
        verified=False,
        entries_checked=found.entries_checked,
        root_hash=found.root.hex(),
        error=first.message,
        tampered_entry=_entry_name(first) or "",
        findings=[FindingShown(each.problem, each.message, _entry_name(each)) for each in found.findings],
    )


async def tree_head(ctx: Context, caller: Caller, _request: TreeHeadRequest) -> TreeHead:
    """Sign the log's present head."""
    return signed_head(ctx, caller.tenant, await ctx.journal.head(caller.tenant))


def _wanted(request: QueryAuditRequest) -> EntryFilter:
    return EntryFilter(
        kind=request.kind,
        session_id=request.session_id,
        agent_id=request.agent_id,
        tool=request.tool,
        flagged=request.flagged,
        allowed=request.allowed,
    )


def _entry_name(finding: Finding) -> str | None:
    return None if finding.index is None else ids.entry_id(finding.index)


def _cursor(index: int) -> str:
    """Return a place in the list as callers carry it: to be handed back, not to be read."""
    return base64.urlsafe_b64encode(f"before {index}".encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> int:
    try:
        padded = cursor[:CURSOR_CHARS_MAX] + "=" * (-len(cursor[:CURSOR_CHARS_MAX]) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii")
        word, _, index = text.partition(" ")
        if word == "before" and index.isdecimal() and int(index) <= END:
            return int(index)
    except (binascii.Error, ValueError):
        pass
    raise InvalidRequest("`cursor` is none that a page ended with", "cursor")


OPERATIONS = (
    Operation(
        name="log_action",
        method="POST",
        path="/v1/audit",
        summary="Report an action",
        scope="audit:write",
        request=LogActionRequest,
        response=ActionLogged,
        run=log_action,
        status=201,
        session=True,
        refusals=("session_not_found", "session_expired", "session_revoked", "agent_revoked"),
        tag="audit",
        mcp=McpTool(
            name="logAction",
            effect="adds",
            aliases=("haldir_log_audit_action",),
            required=("session_id",),
        ),
    ),
    Operation(
        name="get_audit_trail",
        method="GET",
        path="/v1/audit",
        summary="List entries of the log, newest first",
        scope="audit:read",
        request=QueryAuditRequest,
        response=AuditPage,
        run=query_audit,
        tag="audit",
        mcp=McpTool(
            name="getAuditTrail",
            effect="reads",
            aliases=("haldir_query_audit_trail",),
            renamed={"flagged": "flagged_only"},
        ),
    ),
    Operation(
        name="verify_audit",
        method="GET",
        path="/v1/audit/verify",
        summary="Verify the whole log",
        scope="audit:read",
        request=VerifyAuditRequest,
        response=AuditVerified,
        run=verify_audit,
        tag="audit",
        mcp=McpTool(name="haldir_verify_audit_chain", effect="reads", aliases=("verify_audit_chain",), stdio_only=True),
    ),
    Operation(
        name="get_tree_head",
        method="GET",
        path="/v1/audit/tree-head",
        summary="Sign the log's head",
        scope="audit:read",
        request=TreeHeadRequest,
        response=TreeHead,
        run=tree_head,
        tag="audit",
        mcp=McpTool(name="haldir_get_tree_head", effect="reads", aliases=("get_tree_head",), stdio_only=True),
    ),
)
