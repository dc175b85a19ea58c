"""The tenants' upstreams and their tools, as last read and last discovered.

May be behind: Admit compares the upstream's version and the tool's pin under the log head.
"""

import asyncio
import hashlib
from collections.abc import Container, Iterable, Iterator

import msgspec

from haldir.gate.model import Session
from haldir.journal.command import CredentialRef
from haldir.kernel import canonical
from haldir.kernel.clock import SECOND
from haldir.kernel.errors import Refused, UpstreamError
from haldir.kernel.ids import TenantId
from haldir.kernel.scopes import covers
from haldir.operations.books import Discovery, KnownUpstream
from haldir.operations.caller import Caller
from haldir.operations.context import Context, new_op
from haldir.operations.living import all_rows
from haldir.operations.outcomes import allowed
from haldir.policy.compile import PolicySet
from haldir.proxy.commands import AddUpstream, ObserveTools, SeenTool
from haldir.proxy.definition import Definition
from haldir.proxy.model import Tool, ToolRule, Upstream, UpstreamConfig
from haldir.storage.rows import Part

DISCOVER_AGAIN_SECONDS = 5  # A tool nobody knows makes Haldir look again, but not at every call of it.
LIST_FRESH_SECONDS = 60  # A list is asked for anew when it is older: new tools appear, changed ones are noticed.
OBSERVED_MAX = 200  # Tools in one command: with names and hashes it stays well under an entry's 64 KiB.


async def upstreams_of(ctx: Context, tenant: TenantId) -> dict[str, KnownUpstream]:
    """Return the tenant's upstreams by name."""
    found = ctx.upstreams.known.get(tenant)
    if found is None:
        found = ctx.upstreams.known[tenant] = await _read(ctx, tenant)
    return found


async def known_upstream(ctx: Context, tenant: TenantId, name: str) -> KnownUpstream | None:
    """Return one upstream; another replica may have added it, so what is not known is read once more."""
    found = (await upstreams_of(ctx, tenant)).get(name)
    if found is None:
        ctx.upstreams.forget(tenant)
        found = (await upstreams_of(ctx, tenant)).get(name)
    return found


async def upstream_for(ctx: Context, caller: Caller, name: str) -> tuple[Upstream, UpstreamConfig]:
    """Return an upstream of the caller's tenant. Raises Refused."""
    known = await known_upstream(ctx, caller.tenant, name)
    if known is None:
        raise Refused("upstream_not_found", f"There is no upstream {name!r}.")
    return known.upstream, known.config


async def discover(ctx: Context, tenant: TenantId, known: KnownUpstream, tool: str | None = None) -> Discovery:
    """Return what the upstream offers, asking it if nobody has yet, or if `tool` is not among it.

    Without `tool` it is for a list, which must not be old. All who wait share one question, and it is asked again
    after a failure, but not at once.
    """
    key, version = (tenant, known.upstream.name), known.upstream.version
    found = ctx.upstreams.discoveries.get(key)
    if found is None or found.version != version or _worth_again(ctx, found, tool):
        before = found.definitions if found and found.version == version else {}
        found = Discovery(version, definitions=before)
        found.task = asyncio.create_task(_ask(ctx, tenant, known, found))
        ctx.upstreams.discoveries[key] = found
    assert found.task is not None
    await asyncio.shield(found.task)
    return found


def output_is_typed(ctx: Context, tenant: TenantId, upstream_name: str, tool: str) -> bool:
    """Tell whether a tool, as last discovered, has a schema for what it answers."""
    found = ctx.upstreams.discoveries.get((tenant, upstream_name))
    return found is not None and tool in found.definitions and found.definitions[tool].typed_output


async def discover_all(ctx: Context) -> None:
    """Ask every upstream of every tenant for its tools, so that the first caller need not wait for it."""
    await ctx.pool.warm_up()
    for tenant in await ctx.store.tenants():
        known = (await upstreams_of(ctx, tenant)).values()
        await asyncio.gather(*(discover(ctx, tenant, each) for each in known))


async def observe_tools(ctx: Context, tenant: TenantId, upstream_name: str, definitions: list[Definition]) -> None:
    """Pin the tools that are new and quarantine those that changed; say nothing where all is as known."""
    found = ctx.upstreams.discoveries.get((tenant, upstream_name))
    if found is not None:  # A person can accept only what is shown to them.
        found.definitions = found.definitions | {each.name: each for each in definitions}
    pins = {tool.name: tool for tool in await tools_of(ctx, tenant, upstream_name)}
    seen = _seen(definitions, pins)
    news = [each for each in seen if each.name not in pins or pins[each.name].seen_sha256 != each.sha256]
    for start in range(0, len(news), OBSERVED_MAX):
        command = ObserveTools(
            op_id=new_op(ctx.clock), upstream=upstream_name, tools=tuple(news[start : start + OBSERVED_MAX])
        )
        await allowed(ctx, tenant, command)


async def find_tool(ctx: Context, tenant: TenantId, name: str) -> tuple[str, str]:
    """Return upstream and tool of `upstream.tool`, or of a bare tool name that one upstream offers.

    A name that nobody or more than one offers is left to the decision, which refuses and records it.
    """
    known = await upstreams_of(ctx, tenant)
    first, dot, rest = name.partition(".")
    if dot and first in known:
        return first, rest
    offering = [each for each, one in known.items() if name in (await discover(ctx, tenant, one)).definitions]
    if len(offering) == 1:
        return offering[0], name
    return "", name


async def tools_of(ctx: Context, tenant: TenantId, upstream_name: str) -> list[Tool]:
    """Return the pins of an upstream's tools."""
    found = await ctx.store.load(tenant, Tool, ("upstream",), [(upstream_name,)])
    return [row for row in found if isinstance(row, Tool)]


async def add_upstream_row(
    ctx: Context,
    tenant: TenantId,
    name: str,
    config: UpstreamConfig,
    *,
    tool_rules: tuple[ToolRule, ...],
    asked_by: CredentialRef,
    operator: bool = False,
) -> None:
    """Register an upstream, its configuration sealed beside the log. Raises Refused."""
    part = (await ctx.keyring.tenant(tenant)).seal(canonical.encode(config), "upstream.config")
    command = AddUpstream(
        op_id=ctx.new_op(),
        asked_by=asked_by,
        name=name,
        transport="stdio" if config.command else "http",
        config_digest=part.digest,
        operator=operator,
        tool_rules=tool_rules,
    )
    await allowed(ctx, tenant, command, [part])
    ctx.upstreams.forget(tenant)


def pinned_hashes(tools: Iterable[Tool]) -> dict[str, str]:
    """Return, by name, the hash of the one definition under which a tool may be shown and called."""
    return {tool.name: tool.pinned_sha256 for tool in tools if not tool.quarantined}


class Visible:
    """Which definitions of an upstream a session may see: the pinned ones of tools it would not be refused."""

    def __init__(self, session: Session, upstream: Upstream, tools: list[Tool], policies: PolicySet) -> None:
        self._session, self._upstream, self._policies = session, upstream, policies
        self._pinned = pinned_hashes(tools)

    def __call__(self, definition: Definition) -> bool:
        tool = definition.name
        return (
            self._pinned.get(tool) == definition.sha256
            and covers(self._session.scopes, self._upstream.scope_of(tool))
            and not self._policies.certainly_denies(self._upstream.name, tool)
        )


async def may_use(ctx: Context, session: Session, tenant: TenantId, upstream: Upstream) -> Visible:
    """Return the predicate by which lists of tools are filtered for a session."""
    policies = await ctx.policies.reload(tenant)  # Lists are rare, and must not show what was just forbidden.
    return Visible(session, upstream, await tools_of(ctx, tenant, upstream.name), policies)


def _seen(definitions: Iterable[Definition], pins: Container[str]) -> Iterator[SeenTool]:
    """Say of each tool what it was seen as. Two definitions under one name are none that anyone could accept.

    So a tool that was pinned is quarantined under a hash that only the two together have; a new one is not pinned.
    """
    hashes: dict[str, set[str]] = {}
    for each in definitions:
        hashes.setdefault(each.name, set()).add(each.sha256)
    for name, found in hashes.items():
        if len(found) == 1:
            yield SeenTool(name, *found)
        elif name in pins:
            yield SeenTool(name, hashlib.sha256("".join(sorted(found)).encode()).hexdigest())


def _worth_again(ctx: Context, found: Discovery, tool: str | None) -> bool:
    if not found.finished_at:
        return False
    age_seconds = (ctx.clock() - found.finished_at) / SECOND
    if found.error or (tool is not None and tool not in found.definitions):
        return age_seconds >= DISCOVER_AGAIN_SECONDS
    return tool is None and age_seconds >= LIST_FRESH_SECONDS


async def _ask(ctx: Context, tenant: TenantId, known: KnownUpstream, found: Discovery) -> None:
    try:
        definitions = await ctx.pool.list_tools(tenant, known.upstream, known.config)
        await observe_tools(ctx, tenant, known.upstream.name, definitions)
        found.definitions, found.error = {each.name: each for each in definitions}, ""
    except (UpstreamError, Refused) as error:
        found.error = error.message
    finally:
        found.finished_at = ctx.clock()


async def _read(ctx: Context, tenant: TenantId) -> dict[str, KnownUpstream]:
    rows = await all_rows(ctx, tenant, Upstream)
    digests = [(row.config_digest,) for row in rows]
    parts = await ctx.store.load(tenant, Part, ("digest",), digests)
    by_digest = {part.digest: part for part in parts if isinstance(part, Part)}
    keys = await ctx.keyring.opening(tenant, by_digest.values())
    return {
        row.name: KnownUpstream(row, msgspec.json.decode(keys.open(by_digest[row.config_digest]), type=UpstreamConfig))
        for row in rows
    }
