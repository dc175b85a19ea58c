"""One session: create, get, revoke, check."""

import msgspec

from haldir.gate.commands import RevokeSession
from haldir.gate.model import Session
from haldir.gate.queries import sessions_below
from haldir.gate.scopes import parse_session_scopes
from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest, NotFound, Refused
from haldir.kernel.money import wire_amount
from haldir.kernel.scopes import covers
from haldir.ledger.model import Budget
from haldir.operations.authenticate import require_scope
from haldir.operations.caller import Caller
from haldir.operations.catalogue import McpTool, Operation
from haldir.operations.context import Context
from haldir.operations.living import find_row, living_session
from haldir.operations.outcomes import allowed, allowed_result
from haldir.operations.session_commands import CreateSession, SessionOpened
from haldir.operations.wire import Amount

AGENT_ID_CHARS_MAX = 128  # WIRE.md §2.
TTL_SECONDS_MAX = 2_592_000  # WIRE.md §2: thirty days.
UNLIMITED_LIFE_SCOPE = "sessions:forever"  # Granted by `*` and `sessions:*` only: ttl 0 ends by revocation alone.
DEFAULT_SCOPES = ("read", "browse")
UNKNOWN = "There is no such session."
PARENT_GONE = frozenset({"session_not_found", "session_expired", "session_revoked"})


class CreateSessionRequest(msgspec.Struct, frozen=True):
    """`ttl` in seconds, 0 for until revoked; `spend_limit` wins over a `spend:N` among the scopes."""

    agent_id: str
    scopes: list[str] | None = None
    ttl: int | None = None
    spend_limit: Amount | None = None
    parent_session_id: str | None = None


class SessionCreated(msgspec.Struct, frozen=True):
    """`token` is shown once. `spend_limit` null is unlimited; `expires_at` 0 is until revoked."""

    session_id: str
    token: str
    agent_id: str
    scopes: tuple[str, ...]
    spend_limit: float | None
    expires_at: float
    ttl: int
    parent_session_id: str
    delegation_depth: int


class SessionNamed(msgspec.Struct, frozen=True):
    session_id: str


class SessionShown(msgspec.Struct, frozen=True):
    session_id: str
    agent_id: str
    scopes: tuple[str, ...]
    spend_limit: float | None
    spent: float
    remaining_budget: float | None
    is_valid: bool
    created_at: float
    expires_at: float
    parent_session_id: str
    delegation_depth: int


class RevokeSessionRequest(msgspec.Struct, frozen=True):
    """All below a session ends with it; `cascade` asks to be told which those are."""

    session_id: str
    cascade: bool = False


class SessionRevoked(msgspec.Struct, frozen=True, omit_defaults=True):
    """`cascade_revoked`: the sessions below that were alive until now, at most 1,000 of them."""

    revoked: bool
    session_id: str
    cascade_revoked: list[str] | None = None


class CheckRequest(msgspec.Struct, frozen=True):
    session_id: str
    scope: str


class Checked(msgspec.Struct, frozen=True):
    allowed: bool
    session_id: str
    scope: str


async def create_session(ctx: Context, caller: Caller, request: CreateSessionRequest) -> SessionCreated:
    """Open a session for an agent; its token is the credential of that one run."""
    if not 1 <= len(request.agent_id) <= AGENT_ID_CHARS_MAX:
        raise InvalidRequest(f"an agent_id is 1 to {AGENT_ID_CHARS_MAX} characters", "agent_id")
    scopes, limit_micros = parse_session_scopes(DEFAULT_SCOPES if request.scopes is None else request.scopes)
    if request.spend_limit is not None:
        limit_micros = int(request.spend_limit)
    if request.ttl is not None:
        await check_ttl(ctx, caller, request.ttl, "create_session")
    op_id = ctx.new_op()
    token = ctx.keyring.mint("hst", op_id).reveal()
    command = CreateSession(
        op_id=op_id,
        asked_by=caller.credential,
        session_id=ids.session_id(op_id),
        agent_id=request.agent_id,
        token_sha256=ids.credential_sha256(token),
        scopes=scopes,
        limit_micros=limit_micros,
        ttl_seconds=request.ttl,
        parent_id=request.parent_session_id or None,
    )
    try:
        opened = await allowed_result(ctx, caller.tenant, command, SessionOpened)
    except Refused as refused:
        if refused.code in PARENT_GONE:
            raise InvalidRequest(f"`parent_session_id`: {refused.message}", "parent_session_id") from refused
        raise
    return SessionCreated(
        opened.session_id,
        token,
        request.agent_id,
        opened.scopes,
        None if opened.limit_micros is None else wire_amount(opened.limit_micros),
        unix_seconds(opened.expires_at or 0),
        opened.ttl_seconds,
        request.parent_session_id or "",
        opened.depth,
    )


async def get_session(ctx: Context, caller: Caller, request: SessionNamed) -> SessionShown:
    """Show a living session. Unknown, expired and revoked ones are all not found."""
    session = await _own_living_session(ctx, caller, request.session_id)
    if session is None:
        raise NotFound(UNKNOWN)
    chain = [await find_row(ctx, caller.tenant, Budget, holder) for holder in (session.id, *session.lineage)]
    budgets = [budget for budget in chain if budget is not None]
    free = [budget.free_micros for budget in budgets if budget.free_micros is not None]
    own = budgets[0]
    return SessionShown(
        session.id,
        session.agent_id,
        session.scopes,
        None if own.limit_micros is None else wire_amount(own.limit_micros),
        wire_amount(own.spent_micros),
        wire_amount(min(free)) if free else None,
        True,
        unix_seconds(session.created_at),
        unix_seconds(session.expires_at or 0),
        session.parent_id or "",
        len(session.lineage),
    )


async def revoke_session(ctx: Context, caller: Caller, request: RevokeSessionRequest) -> SessionRevoked:
    """End a session and all below it. Ending it twice is fine."""
    ended = await _alive_below(ctx, caller, request.session_id) if request.cascade else None
    command = RevokeSession(op_id=ctx.new_op(), asked_by=caller.credential, session_id=request.session_id)
    try:
        await allowed(ctx, caller.tenant, command)
    except Refused as refused:
        if refused.code == "session_not_found":
            raise NotFound(UNKNOWN) from refused
        raise
    return SessionRevoked(revoked=True, session_id=request.session_id, cascade_revoked=ended)


async def check_session(ctx: Context, caller: Caller, request: CheckRequest) -> Checked:
    """Say whether a session has a scope; an unknown or ended session has none."""
    session = await _own_living_session(ctx, caller, request.session_id)
    granted = session is not None and covers(session.scopes, request.scope)
    return Checked(granted, request.session_id, request.scope)


async def check_ttl(ctx: Context, caller: Caller, ttl_seconds: int, operation: str) -> None:
    """Refuse a life out of bounds, and one without end to a key that may not give it."""
    if not 0 <= ttl_seconds <= TTL_SECONDS_MAX:
        raise InvalidRequest(f"ttl is 0 to {TTL_SECONDS_MAX} seconds", "ttl")
    if ttl_seconds == 0:
        await require_scope(ctx, caller, UNLIMITED_LIFE_SCOPE, operation)


def owns(caller: Caller, session_id: str) -> bool:
    """Tell whether the caller may look into a session: keys into all, agents and tokens into their own."""
    return caller.is_key or caller.session_id == session_id


async def _alive_below(ctx: Context, caller: Caller, session_id: str) -> list[str]:
    if await _own_living_session(ctx, caller, session_id) is None:
        return []
    below, now = await sessions_below(ctx.store, caller.tenant, session_id), ctx.clock()
    gone = {session.id for session in below if session.refusal(now)}
    return [session.id for session in below if session.id not in gone and gone.isdisjoint(session.lineage)]


async def _own_living_session(ctx: Context, caller: Caller, session_id: str) -> Session | None:
    if not owns(caller, session_id):
        return None
    try:
        return await living_session(ctx, caller, session_id)
    except Refused:
        return None


OPERATIONS = (
    Operation(
        name="create_session",
        method="POST",
        path="/v1/sessions",
        summary="Open a session",
        scope="sessions:write",
        request=CreateSessionRequest,
        response=SessionCreated,
        run=create_session,
        status=201,
        refusals=(
            "agent_revoked",
            "scope_exceeds_parent",
            "life_exceeds_parent",
            "budget_exceeds_parent",
            "depth_exceeded",
        ),
        tag="sessions",
        mcp=McpTool(name="createSession", effect="adds", aliases=("haldir_create_session",)),
    ),
    Operation(
        name="get_session",
        method="GET",
        path="/v1/sessions/{session_id}",
        summary="Show a session",
        scope="sessions:read",
        request=SessionNamed,
        response=SessionShown,
        run=get_session,
        session=True,
        tag="sessions",
        mcp=McpTool(name="getSession", effect="reads", aliases=("haldir_get_session",)),
    ),
    Operation(
        name="revoke_session",
        method="DELETE",
        path="/v1/sessions/{session_id}",
        summary="Revoke a session and all below it",
        scope="sessions:write",
        request=RevokeSessionRequest,
        response=SessionRevoked,
        run=revoke_session,
        tag="sessions",
        mcp=McpTool(name="revokeSession", effect="ends", aliases=("haldir_revoke_session",)),
    ),
    Operation(
        name="check_permission",
        method="POST",
        path="/v1/sessions/{session_id}/check",
        summary="Ask whether a session has a scope",
        scope="sessions:read",
        request=CheckRequest,
        response=Checked,
        run=check_session,
        session=True,
        read_only=True,
        tag="sessions",
        mcp=McpTool(name="checkPermission", effect="reads", aliases=("haldir_check_permission",)),
    ),
)
