"""The tools of all upstreams as one list, each as `upstream__tool`: those that a session may call."""

import asyncio
from collections.abc import Container

from msgspec import Raw

from haldir.faces.mcp.asker import Acting
from haldir.faces.mcp.joined_names import joined_name
from haldir.faces.mcp.joined_offers import LIST_SECONDS_MAX
from haldir.kernel.errors import Refused, UpstreamError
from haldir.operations.books import KnownUpstream
from haldir.operations.context import Context
from haldir.operations.upstreams import may_use, observe_tools, upstreams_of
from haldir.proxy import message as rpc


async def joint_tools(ctx: Context, acting: Acting) -> list[Raw]:
    """Return the definitions, upstreams by name."""
    known = await upstreams_of(ctx, acting.asker.caller.tenant)
    offers = [_offered(ctx, acting, known[name], known) for name in sorted(known)]
    return [tool for offered in await asyncio.gather(*offers) for tool in offered]


async def _offered(ctx: Context, acting: Acting, known: KnownUpstream, names: Container[str]) -> list[Raw]:
    """Return what one upstream offers to this session; nothing if it does not answer: its health says why."""
    tenant, upstream = acting.asker.caller.tenant, known.upstream
    try:
        async with asyncio.timeout(LIST_SECONDS_MAX):
            definitions = await ctx.pool.list_tools(tenant, upstream, known.config)
            await observe_tools(ctx, tenant, upstream.name, definitions)
    except (UpstreamError, Refused, TimeoutError):
        return []
    visible = await may_use(ctx, acting.session, tenant, upstream)
    offered: dict[str, Raw] = {}  # By name, for a definition may be listed twice.
    for definition in filter(visible, definitions):
        if (name := joined_name(upstream.name, definition.name, names)) is not None:
            offered[name] = Raw(rpc.build(rpc.members(definition.encoded) | {"name": rpc.raw(name)}))
    return list(offered.values())
