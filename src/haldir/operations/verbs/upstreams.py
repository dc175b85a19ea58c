"""Upstreams and their tools: add, list, remove, list tools, accept a changed tool."""

from typing import Literal

import msgspec

from haldir.kernel import ids
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest
from haldir.operations.books import KnownUpstream
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import all_rows, living_session
from haldir.operations.outcomes import allowed
from haldir.operations.upstreams import (
    add_upstream_row,
    discover,
    known_upstream,
    may_use,
    pinned_hashes,
    tools_of,
    upstreams_of,
)
from haldir.operations.wire import Amount
from haldir.outbound.addresses import check_url
from haldir.proxy.commands import AcceptTool, RemoveUpstream
from haldir.proxy.definition import Definition
from haldir.proxy.model import DEADLINE_SECONDS, Price, StoredPolicy, ToolRule, UpstreamConfig

HEADERS_MAX = 32  # More than any upstream asks for.
DEADLINE_SECONDS_MAX = 3600  # A call that may take longer would hold its money for longer than anyone watches.
TOOL_RULES_MAX = 500
POINTER_CHARS_MAX = 512  # Deeper than any arguments.
# What frames a message or belongs to the protocol is Haldir's to say.
RESERVED_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "connection",
        "content-encoding",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "last-event-id",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
RESERVED_PREFIXES = ("mcp-",)


class PriceGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Either `fixed`, or a JSON pointer into the arguments whose number counts `unit` each."""

    fixed: Amount | None = None
    pointer: str | None = None
    unit: Amount | None = None


class ToolRuleGiven(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The session scope that this tool needs instead of `execute:UPSTREAM:TOOL`, and what a call costs."""

    scope: str | None = None
    price: PriceGiven | None = None


class AddUpstreamRequest(msgspec.Struct, frozen=True):
    """`headers` are sent with each request to the upstream and are stored sealed."""

    name: str
    url: str
    headers: dict[str, str] = {}
    tools: dict[str, ToolRuleGiven] = {}
    deadline_seconds: float = DEADLINE_SECONDS


class UpstreamAdded(msgspec.Struct, frozen=True, omit_defaults=True):
    registered: bool
    name: str
    url: str
    healthy: bool
    tools_discovered: int
    tool_names: list[str]
    error: str = ""


class ListUpstreamsRequest(msgspec.Struct, frozen=True):
    pass


class UpstreamShown(msgspec.Struct, frozen=True):
    """How an upstream does, as this process has seen it since it started."""

    url: str
    transport: Literal["http", "stdio"]
    operator: bool
    healthy: bool
    tools: int
    total_calls: int
    total_errors: int
    avg_latency_ms: float
    last_check: float
    created_at: float
    error: str


class UpstreamsListed(msgspec.Struct, frozen=True):
    upstreams: dict[str, UpstreamShown]
    total_tools: int
    policies: int


class UpstreamNamed(msgspec.Struct, frozen=True):
    name: str


class UpstreamRemoved(msgspec.Struct, frozen=True):
    removed: bool
    name: str


class ListToolsRequest(msgspec.Struct, frozen=True):
    """With a session, only what that session may use."""

    session_id: str = ""


class ToolShown(msgspec.Struct, frozen=True, rename={"input_schema": "inputSchema"}):
    """`scope` is what a session needs to call it; a quarantined tool waits to be accepted by its `sha256`."""

    name: str
    description: str
    upstream: str
    input_schema: msgspec.Raw
    scope: str
    quarantined: bool
    sha256: str


class ToolsListed(msgspec.Struct, frozen=True):
    count: int
    tools: list[ToolShown]


class AcceptToolRequest(msgspec.Struct, frozen=True):
    """`sha256` is the hash of the definition that the person saw."""

    name: str
    tool: str
    sha256: str


class ToolAccepted(msgspec.Struct, frozen=True):
    accepted: bool
    upstream: str
    tool: str


async def add_upstream(ctx: Context, caller: Caller, request: AddUpstreamRequest) -> UpstreamAdded:
    """Put an MCP server behind Haldir and ask it for its tools; one that is down is registered all the same."""
    if not ids.is_upstream_name(request.name):
        raise InvalidRequest("`name` is letters and digits, with single dashes and underscores between", "name")
    config = _config(ctx, request)
    rules = tuple(_rule(tool, given) for tool, given in request.tools.items())
    await add_upstream_row(ctx, caller.tenant, request.name, config, tool_rules=rules, asked_by=caller.credential)
    known = await known_upstream(ctx, caller.tenant, request.name)
    assert known is not None
    found = await discover(ctx, caller.tenant, known)
    names = sorted(found.definitions)
    return UpstreamAdded(True, request.name, request.url, not found.error, len(names), names, found.error)


async def list_upstreams(ctx: Context, caller: Caller, _request: ListUpstreamsRequest) -> UpstreamsListed:
    """List the tenant's upstreams and how they do."""
    ctx.upstreams.forget(caller.tenant)
    found = {name: await _shown(ctx, caller, known) for name, known in (await upstreams_of(ctx, caller.tenant)).items()}
    policies = len(await all_rows(ctx, caller.tenant, StoredPolicy))
    return UpstreamsListed(found, sum(each.tools for each in found.values()), policies)


async def remove_upstream(ctx: Context, caller: Caller, request: UpstreamNamed) -> UpstreamRemoved:
    """Take an upstream away. Calls under way end as they end."""
    await allowed(ctx, caller.tenant, RemoveUpstream(op_id=ctx.new_op(), asked_by=caller.credential, name=request.name))
    ctx.upstreams.forget(caller.tenant)
    ctx.pool.forget(caller.tenant, request.name)
    return UpstreamRemoved(removed=True, name=request.name)


async def list_tools(ctx: Context, caller: Caller, request: ListToolsRequest) -> ToolsListed:
    """List the tools behind Haldir; for a session token, an agent key or a named session, what it may use."""
    session_id = caller.session_id if not caller.is_key else request.session_id or caller.session_id
    session = await living_session(ctx, caller, session_id) if session_id else None
    tools: list[ToolShown] = []
    for name, known in sorted((await upstreams_of(ctx, caller.tenant)).items()):
        found = await discover(ctx, caller.tenant, known)
        usable = await may_use(ctx, session, caller.tenant, known.upstream) if session else None
        pinned = pinned_hashes(await tools_of(ctx, caller.tenant, name))
        tools += [
            _tool(known, definition, quarantined=pinned.get(tool) != definition.sha256)
            for tool, definition in sorted(found.definitions.items())
            if usable is None or usable(definition)
        ]
    return ToolsListed(len(tools), tools)


async def accept_tool(ctx: Context, caller: Caller, request: AcceptToolRequest) -> ToolAccepted:
    """Accept the changed definition of a tool: the one with this hash, and no other."""
    command = AcceptTool(
        op_id=ctx.new_op(),
        asked_by=caller.credential,
        upstream=request.name,
        tool=request.tool,
        sha256=request.sha256,
    )
    await allowed(ctx, caller.tenant, command)
    return ToolAccepted(accepted=True, upstream=request.name, tool=request.tool)


def _config(ctx: Context, request: AddUpstreamRequest) -> UpstreamConfig:
    if len(request.headers) > HEADERS_MAX or not all(map(_is_header, request.headers.items())):
        rule = f"at most {HEADERS_MAX} names and values of printable ASCII, none that frames messages"
        raise InvalidRequest(f"`headers` are {rule}", "headers")
    if not 0 < request.deadline_seconds <= DEADLINE_SECONDS_MAX:
        raise InvalidRequest(f"`deadline_seconds` is above 0 and at most {DEADLINE_SECONDS_MAX}", "deadline_seconds")
    if len(request.tools) > TOOL_RULES_MAX:
        raise InvalidRequest(f"`tools` has more than {TOOL_RULES_MAX} rules", "tools")
    url = check_url(request.url, allow_private=ctx.allow_private)
    return UpstreamConfig(url=url, headers=request.headers, deadline_seconds=request.deadline_seconds)


def _is_header(header: tuple[str, str]) -> bool:
    name, value = header
    if name.lower() in RESERVED_HEADERS or name.lower().startswith(RESERVED_PREFIXES):
        return False
    return bool(name) and name.replace("-", "").isalnum() and name.isascii() and value.isascii() and value.isprintable()


def _rule(tool: str, given: ToolRuleGiven) -> ToolRule:
    return ToolRule(tool, given.scope, _price(tool, given.price) if given.price else None)


def _price(tool: str, given: PriceGiven) -> Price:
    field = f"tools.{tool}.price"
    if (given.fixed is None) == (given.pointer is None):
        raise InvalidRequest(f"`{field}` needs either `fixed` or `pointer`", field)
    if given.fixed is not None:
        return Price(fixed_micros=int(given.fixed))
    pointer = given.pointer or ""
    if not pointer.startswith("/") or len(pointer) > POINTER_CHARS_MAX or given.unit == 0:
        raise InvalidRequest(f"`{field}` needs a JSON pointer like /amount, and a unit above zero", field)
    return Price(pointer=given.pointer) if given.unit is None else Price(pointer=given.pointer, unit_micros=given.unit)


async def _shown(ctx: Context, caller: Caller, known: KnownUpstream) -> UpstreamShown:
    found = ctx.upstreams.discoveries.get((caller.tenant, known.upstream.name))
    health = ctx.pool.health(caller.tenant, known.upstream.name)
    return UpstreamShown(
        known.config.url,
        known.upstream.transport,
        known.upstream.operator,
        health.healthy,
        len(found.definitions) if found else 0,
        health.total_calls,
        health.total_errors,
        health.avg_latency_ms,
        unix_seconds(health.last_check),
        unix_seconds(known.upstream.created_at),
        found.error if found else "",
    )


def _tool(known: KnownUpstream, definition: Definition, *, quarantined: bool) -> ToolShown:
    return ToolShown(
        definition.name,
        definition.description,
        known.upstream.name,
        definition.input_schema,
        known.upstream.scope_of(definition.name),
        quarantined,
        definition.sha256,
    )


OPERATIONS = (
    Operation(
        name="add_upstream",
        method="POST",
        path="/v1/proxy/upstreams",
        summary="Register an upstream MCP server",
        scope="proxy:write",
        request=AddUpstreamRequest,
        response=UpstreamAdded,
        run=add_upstream,
        status=201,
        refusals=("exists",),
        tag="proxy",
    ),
    Operation(
        name="list_upstreams",
        method="GET",
        path="/v1/proxy/upstreams",
        summary="List upstreams and their health",
        scope="proxy:read",
        request=ListUpstreamsRequest,
        response=UpstreamsListed,
        run=list_upstreams,
        tag="proxy",
    ),
    Operation(
        name="remove_upstream",
        method="DELETE",
        path="/v1/proxy/upstreams/{name}",
        summary="Remove an upstream",
        scope="proxy:write",
        request=UpstreamNamed,
        response=UpstreamRemoved,
        run=remove_upstream,
        refusals=("upstream_not_found", "operator_owned"),
        tag="proxy",
    ),
    Operation(
        name="list_tools",
        method="GET",
        path="/v1/proxy/tools",
        summary="List the tools behind Haldir",
        scope="proxy:read",
        request=ListToolsRequest,
        response=ToolsListed,
        run=list_tools,
        session=True,
        refusals=("session_not_found", "session_expired", "session_revoked", "agent_revoked"),
        tag="proxy",
    ),
    Operation(
        name="accept_tool",
        method="POST",
        path="/v1/proxy/upstreams/{name}/tools/{tool}/accept",
        summary="Accept the changed definition of a tool",
        scope="proxy:write",
        request=AcceptToolRequest,
        response=ToolAccepted,
        run=accept_tool,
        refusals=("tool_not_found", "definition_mismatch"),
        tag="proxy",
    ),
)
