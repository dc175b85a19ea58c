"""Who sends a request: the credential in its headers, and the session it acts in."""

import msgspec

from haldir.faces.mcp.hop import Asker
from haldir.gate.model import Session
from haldir.gate.scopes import key_covers
from haldir.kernel.errors import Refused
from haldir.kernel.scopes import covers
from haldir.operations.acting import acting_session, in_living_session
from haldir.operations.authenticate import authenticate, require_scope
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.living import living_session, require_alive
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


class Acting(msgspec.Struct, frozen=True):
    """An asker whose session is alive, with every session above it."""

    asker: Asker
    session: Session


async def caller_of(ctx: Context, headers: dict[str, str]) -> Caller:
    """Return who asks. Raises Unauthenticated."""
    return await authenticate(ctx, _credential(headers), headers.get("x-session-id"))


async def asker_of(ctx: Context, caller: Caller) -> Asker:
    """Return the caller in its session. Raises Refused, or InvalidRequest for an API key that named none."""
    await require_scope(ctx, caller, TOOL_SCOPE, "mcp")
    return Asker(caller, await acting_session(ctx, caller))


async def lasting_asker_of(ctx: Context, caller: Caller) -> Asker:
    """Return the caller in its session as `asker_of` does, an agent in one that lives."""
    return await asker_of(ctx, await in_living_session(ctx, caller))


async def acting_of(ctx: Context, caller: Caller) -> Acting | None:
    """Return the living caller in its living session; None for an API key that cannot act in one. Raises Refused."""
    if caller.is_key and (caller.session_id is None or not key_covers(caller.key_scopes, TOOL_SCOPE)):
        await require_alive(ctx, caller, "mcp")
        return None
    return await require_acting(ctx, caller)


async def require_acting(ctx: Context, caller: Caller) -> Acting:
    """Return the living caller in its living session. Raises Refused, or InvalidRequest where there is none."""
    asker = await lasting_asker_of(ctx, caller)
    return Acting(asker, await require_living(ctx, asker))


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
