"""The tenant at a glance: figures for machines, and an overview for people."""

import msgspec

from haldir.gate.model import ApiKey
from haldir.gate.queries import count_sessions
from haldir.journal.checkpoint import read_checkpoint
from haldir.kernel.clock import unix_seconds
from haldir.kernel.money import CURRENCY, wire_amount
from haldir.ledger.queries import posted_payments
from haldir.operations.audit_pages import EntryShown, shown_entries
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import all_rows
from haldir.operations.pending_watch import read_pending_count
from haldir.operations.upstreams import upstreams_of
from haldir.vault.queries import count_secrets
from haldir.watch.filter import EntryFilter, Span
from haldir.watch.model import Tally
from haldir.watch.queries import all_days, busiest, days_between, find_entries
from haldir.watch.tallies import day_of
from haldir.webhooks.model import Webhook

BUSIEST_SHOWN = 10
FLAGGED_SHOWN = 10
DAYS_OF_MONTH = 31


class MetricsRequest(msgspec.Struct, frozen=True):
    pass


class MonthUsed(msgspec.Struct, frozen=True):
    month: str
    action_count: int


class Metrics(msgspec.Struct, frozen=True):
    """Of this tenant alone. `unique_agents` ever had a session; volumes are of captured payments in USD."""

    total_api_keys: int
    total_sessions: int
    active_sessions: int
    unique_agents: int
    total_actions: int
    flagged_actions: int
    actions_today: int
    total_spend_usd: float
    total_secrets: int
    total_payments: int
    total_payment_volume_usd: float
    pending_approvals: int
    total_approvals: int
    top_tools: dict[str, int]
    top_agents: dict[str, int]
    usage_this_month: MonthUsed


class OverviewRequest(msgspec.Struct, frozen=True):
    pass


class Today(msgspec.Struct, frozen=True):
    actions: int
    refused: int
    flagged: int
    spent_usd: float


class UpstreamSeen(msgspec.Struct, frozen=True):
    healthy: bool
    error: str


class LogSeen(msgspec.Struct, frozen=True):
    entries: int
    root_hash: str


class Overview(msgspec.Struct, frozen=True):
    """`upstreams` as this process has seen them; `flagged` are the newest entries that a rule flagged."""

    tenant_id: str
    generated_at: float
    active_sessions: int
    pending_approvals: int
    today: Today
    month_spent_usd: float
    upstreams: dict[str, UpstreamSeen]
    webhooks_active: int
    webhooks_disabled: int
    top_tools: dict[str, int]
    top_agents: dict[str, int]
    flagged: list[EntryShown]
    log: LogSeen


async def get_metrics(ctx: Context, caller: Caller, _request: MetricsRequest) -> Metrics:
    """Count what the tenant has and did."""
    tenant, now = caller.tenant, ctx.clock()
    sessions, whole = await count_sessions(ctx.store, tenant, now), await all_days(ctx.store, tenant)
    payments, volume_micros = await posted_payments(ctx.store, tenant, CURRENCY)
    approvals = await read_pending_count(ctx.store, tenant)
    month = await _month(ctx, caller)
    return Metrics(
        total_api_keys=len(await all_rows(ctx, tenant, ApiKey)),
        total_sessions=sessions.total,
        active_sessions=sessions.active,
        unique_agents=sessions.agents,
        total_actions=whole.actions,
        flagged_actions=whole.flagged,
        actions_today=_today(month, day_of(now)).actions,
        total_spend_usd=wire_amount(whole.spent_micros),
        total_secrets=await count_secrets(ctx.store, tenant),
        total_payments=payments,
        total_payment_volume_usd=wire_amount(volume_micros),
        pending_approvals=approvals.pending,
        total_approvals=approvals.asked,
        top_tools=await busiest(ctx.store, tenant, "tool", BUSIEST_SHOWN),
        top_agents=await busiest(ctx.store, tenant, "agent", BUSIEST_SHOWN),
        usage_this_month=MonthUsed(day_of(now)[:7], sum(day.actions for day in month)),
    )


async def get_overview(ctx: Context, caller: Caller, _request: OverviewRequest) -> Overview:
    """Show the tenant at a glance: what goes on, what waits for a person, what is wrong."""
    tenant, now = caller.tenant, ctx.clock()
    month, webhooks = await _month(ctx, caller), await all_rows(ctx, tenant, Webhook)
    today = _today(month, day_of(now))
    page = await find_entries(ctx.store, tenant, EntryFilter(kind="all", flagged=True), Span(), FLAGGED_SHOWN)
    head = await ctx.journal.head(tenant)
    return Overview(
        tenant_id=tenant,
        generated_at=unix_seconds(now),
        active_sessions=(await count_sessions(ctx.store, tenant, now)).active,
        pending_approvals=(await read_pending_count(ctx.store, tenant)).pending,
        today=Today(today.actions, today.refused, today.flagged, wire_amount(today.spent_micros)),
        month_spent_usd=wire_amount(sum(day.spent_micros for day in month)),
        upstreams=await _upstreams(ctx, caller),
        webhooks_active=sum(webhook.active for webhook in webhooks),
        webhooks_disabled=sum(not webhook.active for webhook in webhooks),
        top_tools=await busiest(ctx.store, tenant, "tool", BUSIEST_SHOWN),
        top_agents=await busiest(ctx.store, tenant, "agent", BUSIEST_SHOWN),
        flagged=await shown_entries(ctx, tenant, page.entries),
        log=LogSeen(head.size, read_checkpoint(head.checkpoint).root.hex()),
    )


async def _month(ctx: Context, caller: Caller) -> list[Tally]:
    """Return the days of the present month that anything was done on."""
    month = day_of(ctx.clock())[:7]
    return await days_between(ctx.store, caller.tenant, f"{month}-01", f"{month}-{DAYS_OF_MONTH + 1}")


def _today(days: list[Tally], day: str) -> Tally:
    return next((each for each in days if each.name == day), Tally("day", day))


async def _upstreams(ctx: Context, caller: Caller) -> dict[str, UpstreamSeen]:
    seen = {}
    for name, known in sorted((await upstreams_of(ctx, caller.tenant)).items()):
        health = ctx.pool.health(caller.tenant, known.upstream.name)
        seen[name] = UpstreamSeen(health.healthy, health.last_error)
    return seen


OPERATIONS = (
    Operation(
        name="get_metrics",
        method="GET",
        path="/v1/metrics",
        summary="Count what the tenant has and did",
        scope="admin:read",
        request=MetricsRequest,
        response=Metrics,
        run=get_metrics,
        tag="admin",
    ),
    Operation(
        name="get_overview",
        method="GET",
        path="/v1/admin/overview",
        summary="Show the tenant at a glance",
        scope="admin:read",
        request=OverviewRequest,
        response=Overview,
        run=get_overview,
        tag="admin",
    ),
)
