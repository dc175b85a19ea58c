"""The operator's own upstreams: what the configuration says, made so in the first tenant at each start."""

from collections.abc import Sequence

from haldir.journal.command import SYSTEM
from haldir.kernel.ids import TenantId
from haldir.operations.books import KnownUpstream
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed
from haldir.operations.upstreams import add_upstream_row, upstreams_of
from haldir.proxy.commands import RemoveUpstream
from haldir.proxy.model import ToolRule, UpstreamConfig

Configured = tuple[str, UpstreamConfig, tuple[ToolRule, ...]]


async def sync_operator_upstreams(ctx: Context, tenant: TenantId, configured: Sequence[Configured]) -> None:
    """Add and change what the operator configured, and remove what it no longer does; nothing if all is so."""
    standing = await upstreams_of(ctx, tenant)
    for name, config, rules in configured:
        if not _stands(standing.get(name), config, rules):
            await add_upstream_row(ctx, tenant, name, config, tool_rules=rules, asked_by=SYSTEM, operator=True)
    named = {name for name, _, _ in configured}
    for name, known in standing.items():
        if known.upstream.operator and name not in named:
            await allowed(ctx, tenant, RemoveUpstream(op_id=ctx.new_op(), name=name, operator=True))
    ctx.upstreams.forget(tenant)


def _stands(known: KnownUpstream | None, config: UpstreamConfig, rules: tuple[ToolRule, ...]) -> bool:
    return (
        known is not None and known.upstream.operator and known.config == config and known.upstream.tool_rules == rules
    )
