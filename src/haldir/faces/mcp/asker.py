"""Who sends a request: the credential in its headers, and the session it acts in."""

from haldir.faces.mcp.hop import Asker
from haldir.gate.model import Session
from haldir.gate.scopes import covers
from haldir.kernel.errors import Refused
from haldir.operations.acting import acting_session
from haldir.operations.authenticate import authenticate, require_scope
from haldir.operations.context import Context
from haldir.operations.living import living_session
from haldir.proxy.model import Upstream

BEARER = "bearer "
TOOL_SCOPE = "proxy:write"  # What an API key needs to act in a session, here as by REST.
# What a living session may always send: it opens a session with the upstream, or asks nothing of it.
FREE_METHODS = frozenset(
    {
        "initialize",
        "server/discover",
        "ping",
        "tools/list",
        "notifications/initialized",
        "notifications/cancelled",
        "notifications/progress",
        "notifications/roots/list_changed",
    }
)


async def asker_of(ctx: Context, headers: dict[str, str]) -> Asker:
    """Return who asks. Raises Unauthenticated, or Refused for an agent that may not open a session."""
    caller = await authenticate(ctx, _credential(headers), headers.get("x-session-id"))
    await require_scope(ctx, caller, TOOL_SCOPE, "mcp")
    return Asker(caller, await acting_session(ctx, caller))


async def require_living(ctx: Context, asker: Asker) -> Session:
    """Return the asker's session if its whole chain is alive. Raises Refused."""
    return await living_session(ctx, asker.caller, asker.session_id)


async def require_may_ask(ctx: Context, asker: Asker, session: Session, upstream: Upstream, method: str) -> None:
    """Refuse a method other than a tool's call, and record that, unless the session may execute on the upstream."""
    scope = f"execute:{upstream.name}"
    if method in FREE_METHODS or covers(session.scopes, scope):
        return
    reason = f"The session lacks the scope {scope!r}, which {method} needs."
    await ctx.refusals.record(asker.caller, method, "scope_missing", reason)
    raise Refused("scope_missing", reason)


def _credential(headers: dict[str, str]) -> str | None:
    given = headers.get("authorization")
    if given is None:
        return headers.get("x-api-key")
    return given[len(BEARER) :].strip() if given[: len(BEARER)].lower() == BEARER else given.strip()
