"""Agents: create, list, revoke."""

import msgspec

from haldir.gate.commands import CreateAgent, RevokeAgent, SetAgentHeld
from haldir.gate.model import Agent, HeldSetting
from haldir.gate.scopes import parse_session_scopes
from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.money import wire_amount
from haldir.kernel.scopes import covers
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import all_rows
from haldir.operations.outcomes import allowed
from haldir.operations.session_commands import TTL_SECONDS
from haldir.operations.verbs.sessions import check_ttl
from haldir.operations.wire import Amount

DEFAULT_SCOPES = ("read", "browse")  # As a session's: an agent that may run tools is told so on purpose.


class CreateAgentRequest(msgspec.Struct, frozen=True):
    """A name, and the template of the agent's sessions. `ttl` in seconds; 0 is until revoked.

    `held`: how a call by MCP that waits for a person comes back to the agent.
    """

    name: str
    scopes: list[str] | None = None
    spend_limit: Amount | None = None
    ttl: int | None = None
    held: HeldSetting = "auto"


class AgentCreated(msgspec.Struct, frozen=True):
    name: str
    key: str
    scopes: tuple[str, ...]
    spend_limit: float | None
    ttl: int
    message: str


class ListAgentsRequest(msgspec.Struct, frozen=True):
    pass


class AgentShown(msgspec.Struct, frozen=True):
    name: str
    scopes: tuple[str, ...]
    spend_limit: float | None
    ttl: int
    created_at: float
    revoked: bool
    session_id: str | None
    held: HeldSetting


class AgentsListed(msgspec.Struct, frozen=True):
    agents: list[AgentShown]
    count: int


class SetAgentHeldRequest(msgspec.Struct, frozen=True):
    """`auto`: as the client can; `input` and `stream` where it can, else `plain`."""

    name: str
    held: HeldSetting


class AgentHeldSet(msgspec.Struct, frozen=True):
    name: str
    held: HeldSetting


class RevokeAgentRequest(msgspec.Struct, frozen=True):
    name: str


class AgentRevoked(msgspec.Struct, frozen=True):
    revoked: bool
    name: str


async def create_agent(ctx: Context, caller: Caller, request: CreateAgentRequest) -> AgentCreated:
    """Name an agent and make its key, which acts in sessions opened from this template."""
    if not ids.is_name(request.name):
        raise InvalidRequest("a name is 1 to 128 letters, digits, dots, dashes and underscores", "name")
    scopes, limit_micros = parse_session_scopes(DEFAULT_SCOPES if request.scopes is None else request.scopes)
    if request.spend_limit is not None:
        limit_micros = int(request.spend_limit)
    ttl_seconds = TTL_SECONDS if request.ttl is None else request.ttl
    await check_ttl(ctx, caller, ttl_seconds, "create_agent")
    op_id = ctx.new_op()
    key = ctx.keyring.mint("hla", op_id).reveal()
    command = CreateAgent(
        op_id=op_id,
        asked_by=caller.credential,
        name=request.name,
        sha256=ids.credential_sha256(key),
        scopes=scopes,
        limit_micros=limit_micros,
        ttl_seconds=ttl_seconds,
        held=request.held,
    )
    await allowed(ctx, caller.tenant, command)
    message = "Store this agent key now: it is shown once."
    return AgentCreated(request.name, key, scopes, shown_limit(limit_micros, scopes), ttl_seconds, message)


async def list_agents(ctx: Context, caller: Caller, _request: ListAgentsRequest) -> AgentsListed:
    """List the tenant's agents, newest first."""
    rows = sorted(await all_rows(ctx, caller.tenant, Agent), key=lambda row: row.created_at, reverse=True)
    agents = [
        AgentShown(
            row.name,
            row.scopes,
            shown_limit(row.limit_micros, row.scopes),
            row.ttl_seconds,
            unix_seconds(row.created_at),
            row.revoked_at is not None,
            row.session_id,
            row.held,
        )
        for row in rows
    ]
    return AgentsListed(agents, len(agents))


async def revoke_agent(ctx: Context, caller: Caller, request: RevokeAgentRequest) -> AgentRevoked:
    """End an agent and every session that bears its name, from the next decision on."""
    command = RevokeAgent(op_id=ctx.new_op(), asked_by=caller.credential, name=request.name)
    await allowed(ctx, caller.tenant, command)
    ctx.agent_sessions.pop((caller.tenant, request.name), None)
    return AgentRevoked(revoked=True, name=request.name)


async def set_agent_held(ctx: Context, caller: Caller, request: SetAgentHeldRequest) -> AgentHeldSet:
    """Say how a call by MCP that waits for a person comes back to an agent."""
    command = SetAgentHeld(op_id=ctx.new_op(), asked_by=caller.credential, name=request.name, held=request.held)
    await allowed(ctx, caller.tenant, command)
    return AgentHeldSet(request.name, request.held)


def shown_limit(limit_micros: int | None, scopes: tuple[str, ...]) -> float | None:
    """Return a template's limit as the wire shows it: null is unlimited, 0 may spend nothing."""
    if limit_micros is None:
        return None if covers(scopes, "spend") else 0.0
    return wire_amount(limit_micros)


OPERATIONS = (
    Operation(
        name="create_agent",
        method="POST",
        path="/v1/agents",
        summary="Create an agent and its key",
        scope="admin:write",
        request=CreateAgentRequest,
        response=AgentCreated,
        run=create_agent,
        status=201,
        refusals=("exists",),
        tag="agents",
    ),
    Operation(
        name="list_agents",
        method="GET",
        path="/v1/agents",
        summary="List agents",
        scope="admin:read",
        request=ListAgentsRequest,
        response=AgentsListed,
        run=list_agents,
        tag="agents",
    ),
    Operation(
        name="revoke_agent",
        method="DELETE",
        path="/v1/agents/{name}",
        summary="Revoke an agent and all its sessions",
        scope="admin:write",
        request=RevokeAgentRequest,
        response=AgentRevoked,
        run=revoke_agent,
        refusals=("agent_not_found",),
        tag="agents",
    ),
    Operation(
        name="set_agent_held",
        method="PUT",
        path="/v1/agents/{name}/held",
        summary="Say how held calls come back to an agent",
        scope="admin:write",
        request=SetAgentHeldRequest,
        response=AgentHeldSet,
        run=set_agent_held,
        refusals=("agent_not_found",),
        tag="agents",
    ),
)
