"""Many sessions: a tenant's, page by page, and those below one."""

import msgspec

from haldir.gate.model import Session
from haldir.gate.queries import BELOW_MAX, SessionFilter, sessions_below
from haldir.gate.queries import list_sessions as read_sessions
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest, NotFound
from haldir.kernel.money import wire_amount
from haldir.ledger.model import Budget
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.operations.session_commands import DEPTH_MAX
from haldir.operations.verbs.sessions import UNKNOWN, owns

PAGE_DEFAULT = 100
PAGE_MAX = 500


class ListSessionsRequest(msgspec.Struct, frozen=True):
    """`roots_only`: those without a parent. Revoked sessions are left out unless asked for."""

    agent_id: str = ""
    roots_only: bool = False
    include_revoked: bool = False
    limit: int = PAGE_DEFAULT
    cursor: str = ""


class SessionListed(msgspec.Struct, frozen=True):
    """`spent` is all that was posted in the session and below it; `spend_limit` null is unlimited."""

    session_id: str
    agent_id: str
    parent_session_id: str
    scopes: tuple[str, ...]
    spent: float
    spend_limit: float | None
    revoked: bool
    created_at: float
    expires_at: float


class SessionsListed(msgspec.Struct, frozen=True):
    sessions: list[SessionListed]
    count: int
    next_cursor: str | None


class DescendantsRequest(msgspec.Struct, frozen=True):
    session_id: str


class SessionTree(SessionListed, frozen=True):
    """A session with those below it. `subtree_sessions` counts itself too."""

    subtree_spent: float
    subtree_sessions: int
    children: list["SessionTree"]


class Descendants(msgspec.Struct, frozen=True):
    """`truncated`: there are more sessions below than the 1,000 that are shown."""

    root: SessionTree
    descendant_count: int
    max_delegation_depth: int
    truncated: bool


async def list_sessions(ctx: Context, caller: Caller, request: ListSessionsRequest) -> SessionsListed:
    """List the tenant's sessions, newest first."""
    if not 1 <= request.limit <= PAGE_MAX:
        raise InvalidRequest(f"limit is 1 to {PAGE_MAX}", "limit")
    wanted = SessionFilter(request.agent_id, request.roots_only, request.include_revoked)
    rows = await read_sessions(ctx.store, caller.tenant, wanted, request.cursor, request.limit)
    budgets = await _budgets(ctx, caller, rows)
    sessions = [_listed(row, budgets[row.id]) for row in rows]
    return SessionsListed(sessions, len(sessions), rows[-1].id if len(rows) == request.limit else None)


async def session_descendants(ctx: Context, caller: Caller, request: DescendantsRequest) -> Descendants:
    """Show a session and all below it as a tree, ended ones too."""
    root = await find_row(ctx, caller.tenant, Session, request.session_id)
    if root is None or not owns(caller, root.id):
        raise NotFound(UNKNOWN)
    below = await sessions_below(ctx.store, caller.tenant, root.id)
    budgets = await _budgets(ctx, caller, [root, *below])
    children: dict[str, list[Session]] = {}
    for session in below:
        children.setdefault(session.parent_id or "", []).append(session)
    return Descendants(_tree(root, children, budgets), len(below), DEPTH_MAX, len(below) == BELOW_MAX)


async def _budgets(ctx: Context, caller: Caller, sessions: list[Session]) -> dict[str, Budget]:
    found = await ctx.store.load(caller.tenant, Budget, Budget.TABLE.key, [(session.id,) for session in sessions])
    return {budget.holder: budget for budget in found if isinstance(budget, Budget)}


def _tree(session: Session, children: dict[str, list[Session]], budgets: dict[str, Budget]) -> SessionTree:
    """Return the tree below a session; it is at most DEPTH_MAX deep."""
    below = [_tree(child, children, budgets) for child in children.get(session.id, ())]
    budget = budgets[session.id]
    count = 1 + sum(child.subtree_sessions for child in below)
    return SessionTree(
        **msgspec.structs.asdict(_listed(session, budget)),
        subtree_spent=wire_amount(budget.spent_micros),
        subtree_sessions=count,
        children=below,
    )


def _listed(row: Session, budget: Budget) -> SessionListed:
    return SessionListed(
        row.id,
        row.agent_id,
        row.parent_id or "",
        row.scopes,
        wire_amount(budget.spent_micros),
        None if budget.limit_micros is None else wire_amount(budget.limit_micros),
        row.revoked_at is not None,
        unix_seconds(row.created_at),
        unix_seconds(row.expires_at or 0),
    )


OPERATIONS = (
    Operation(
        name="list_sessions",
        method="GET",
        path="/v1/sessions",
        summary="List sessions",
        scope="sessions:read",
        request=ListSessionsRequest,
        response=SessionsListed,
        run=list_sessions,
        tag="sessions",
    ),
    Operation(
        name="get_descendants",
        method="GET",
        path="/v1/sessions/{session_id}/descendants",
        summary="Show the sessions below a session",
        scope="sessions:read",
        request=DescendantsRequest,
        response=Descendants,
        run=session_descendants,
        session=True,
        tag="sessions",
    ),
)
