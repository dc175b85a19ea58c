"""The session a tool call acts in."""

import msgspec

from haldir.gate.model import Agent
from haldir.journal.command import SYSTEM
from haldir.kernel import ids
from haldir.kernel.errors import InvalidRequest, Refused
from haldir.operations.caller import Caller
from haldir.operations.context import AgentSession, Context, new_op
from haldir.operations.living import find_row, living_session, require_alive
from haldir.operations.outcomes import allowed_result
from haldir.operations.session_commands import OpenAgentSession, SessionOpened

ENDED = frozenset({"session_expired", "session_revoked", "session_not_found"})
AGENT_SESSIONS_MAX = 100_000  # Remembered agents: a few megabytes; a forgotten one costs a read.


async def acting_session(ctx: Context, caller: Caller) -> str:
    """Return the caller's session: its own, the one its API key named, or the agent's current one.

    An agent without a living session gets one from its template. Nothing is decided by this: whether the
    session lives is asked again under the head by whatever is done in it.
    """
    match caller.credential.kind:
        case "agent":
            return await _agents_session(ctx, caller)
        case "session":
            return caller.credential.id
    if caller.session_id is None:
        raise InvalidRequest("An API key acts in a session: name it in the header X-Session-ID.", "X-Session-ID")
    return caller.session_id


async def in_living_session(ctx: Context, caller: Caller) -> Caller:
    """Return an agent in a session that lives: the one it was last seen in may have ended since; others as they are.

    It costs a read, which calls of tools are spared: their decision tells. Raises Refused.
    """
    if caller.credential.kind != "agent" or caller.session_id is None:
        return caller
    try:
        await living_session(ctx, caller, caller.session_id)
    except Refused as refused:
        if refused.code not in ENDED:
            raise
        return msgspec.structs.replace(caller, session_id=await next_session(ctx, caller))
    return caller


async def next_session(ctx: Context, caller: Caller) -> str:
    """Return an agent's session after the one it was last seen in ended."""
    ctx.agent_sessions.pop((caller.tenant, caller.credential.id), None)
    return await acting_session(ctx, caller)


async def _agents_session(ctx: Context, caller: Caller) -> str:
    known = (caller.tenant, caller.credential.id)
    remembered = ctx.agent_sessions.get(known)
    if remembered is not None and (remembered.expires_at is None or ctx.clock() < remembered.expires_at):
        return remembered.session_id
    await require_alive(ctx, caller, "session")  # Or whoever holds a dead key could fill the log by trying.
    session = await _stored(ctx, caller) or await _opened(ctx, caller)
    if len(ctx.agent_sessions) >= AGENT_SESSIONS_MAX:
        ctx.agent_sessions.pop(next(iter(ctx.agent_sessions)))
    ctx.agent_sessions[known] = session
    return session.session_id


async def _stored(ctx: Context, caller: Caller) -> AgentSession | None:
    agent = await find_row(ctx, caller.tenant, Agent, caller.credential.id)
    if agent is None or agent.session_id is None:
        return None
    try:
        session = await living_session(ctx, caller, agent.session_id)
    except Refused:
        return None  # Opening another will say why, in an entry, if the agent itself may not.
    return AgentSession(session.id, session.expires_at)


async def _opened(ctx: Context, caller: Caller) -> AgentSession:
    op_id = new_op(ctx.clock)
    command = OpenAgentSession(
        op_id=op_id, asked_by=SYSTEM, agent=caller.credential.id, session_id=ids.session_id(op_id)
    )
    opened = await allowed_result(ctx, caller.tenant, command, SessionOpened)
    return AgentSession(opened.session_id, opened.expires_at)
