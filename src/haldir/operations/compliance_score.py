"""How well a tenant is set up: criteria that each look at one thing, and say at what."""

from collections.abc import Awaitable, Callable

import msgspec

from haldir.approvals.model import ApprovalRules
from haldir.gate.model import ApiKey
from haldir.journal.checkpoint import BadCheckpoint, verify_checkpoint
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.operations.living import all_rows
from haldir.operations.tree_heads import signer_of
from haldir.proxy.model import StoredPolicy, Tool
from haldir.proxy.queries import list_calls
from haldir.watch.model import AnomalyRules
from haldir.webhooks.model import Webhook

Check = Callable[[Context, TenantId], Awaitable[bool]]
EVERYTHING = "*"


class Criterion(msgspec.Struct, frozen=True):
    """One thing that was looked at; `means` says what it takes to meet it."""

    name: str
    met: bool
    means: str


async def criteria(ctx: Context, tenant: TenantId) -> list[Criterion]:
    """Look at what is set up now."""
    return [Criterion(name, await check(ctx, tenant), means) for name, (means, check) in CRITERIA.items()]


async def _head_is_signed(ctx: Context, tenant: TenantId) -> bool:
    head = await ctx.journal.head(tenant)
    try:
        return verify_checkpoint(head.checkpoint, signer_of(ctx).verifier_key(tenant)).size == head.size
    except BadCheckpoint:
        return False


async def _head_is_kept(ctx: Context, tenant: TenantId) -> bool:
    return ctx.journal.kept(tenant) is not None


async def _keys_are_narrow(ctx: Context, tenant: TenantId) -> bool:
    living = [key for key in await all_rows(ctx, tenant, ApiKey) if key.revoked_at is None]
    return sum(EVERYTHING in key.scopes for key in living) <= 1


async def _policies_stand(ctx: Context, tenant: TenantId) -> bool:
    return bool(await all_rows(ctx, tenant, StoredPolicy))


async def _approvals_are_asked(ctx: Context, tenant: TenantId) -> bool:
    return any(row.rules for row in await all_rows(ctx, tenant, ApprovalRules))


async def _anomalies_are_flagged(ctx: Context, tenant: TenantId) -> bool:
    return any(row.rules for row in await all_rows(ctx, tenant, AnomalyRules))


async def _somebody_is_told(ctx: Context, tenant: TenantId) -> bool:
    return any(webhook.active for webhook in await all_rows(ctx, tenant, Webhook))


async def _definitions_are_accepted(ctx: Context, tenant: TenantId) -> bool:
    return not any(tool.quarantined for tool in await all_rows(ctx, tenant, Tool))


async def _outcomes_are_known(ctx: Context, tenant: TenantId) -> bool:
    return not await list_calls(ctx.store, tenant, "indeterminate", "", 1)


CRITERIA: dict[str, tuple[str, Check]] = {
    "log_signed": ("The head of the log bears a valid signature.", _head_is_signed),
    "head_kept": ("The newest signed head is kept outside the database.", _head_is_kept),
    "keys_narrow": ("At most one living API key may do everything.", _keys_are_narrow),
    "policies": ("At least one policy stands.", _policies_stand),
    "approvals": ("At least one rule asks a person.", _approvals_are_asked),
    "anomaly_rules": ("At least one rule flags what is out of the ordinary.", _anomalies_are_flagged),
    "webhooks": ("At least one active webhook tells somebody.", _somebody_is_told),
    "tools_accepted": ("No tool waits in quarantine for a person.", _definitions_are_accepted),
    "outcomes_known": ("No call waits for a person to say how it ended.", _outcomes_are_known),
}
