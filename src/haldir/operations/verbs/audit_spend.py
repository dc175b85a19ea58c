"""What actions were reported to have cost: by session, by agent, or in all."""

import msgspec

from haldir.gate.model import Session
from haldir.kernel.money import wire_amount
from haldir.operations.caller import Caller
from haldir.operations.catalogue import McpTool, Operation
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.watch.model import ReportedSpend
from haldir.watch.queries import reported_spend
from haldir.watch.spend import EVERY_TOOL, TENANT, agent_holder, session_holder

TOOLS_MAX = 1_000  # In one answer; who reports more tools than that has made them up.


class AuditSpendRequest(msgspec.Struct, frozen=True):
    """Whose reports; both absent is everybody's."""

    session_id: str = ""
    agent_id: str = ""


class AuditSpend(msgspec.Struct, frozen=True):
    """Sums of `cost_usd` as it was reported, exact to a millionth; no budget, payment or price is in them.

    `by_tool` holds the first tools by name; `tools_left_out` says whether there are more.
    """

    total_usd: float
    action_count: int
    by_tool: dict[str, float]
    tools_left_out: bool


async def audit_spend(ctx: Context, caller: Caller, request: AuditSpendRequest) -> AuditSpend:
    """Add up what actions were reported to have cost."""
    holder = TENANT
    if request.agent_id:
        holder = agent_holder(request.agent_id)
    if request.session_id:
        session = await find_row(ctx, caller.tenant, Session, request.session_id)
        if session is None or request.agent_id not in {"", session.agent_id}:
            return AuditSpend(0.0, 0, {}, tools_left_out=False)
        holder = session_holder(session.id)
    total, *tools = await reported_spend(ctx.store, caller.tenant, holder, TOOLS_MAX + 1) or [_NOTHING]
    return AuditSpend(
        total_usd=wire_amount(total.cost_micros),
        action_count=total.actions,
        by_tool={each.tool: wire_amount(each.cost_micros) for each in tools[:TOOLS_MAX]},
        tools_left_out=len(tools) > TOOLS_MAX,
    )


_NOTHING = ReportedSpend(TENANT, EVERY_TOOL)

OPERATIONS = (
    Operation(
        name="audit_spend",
        method="GET",
        path="/v1/audit/spend",
        summary="Add up what actions were reported to have cost",
        scope="audit:read",
        request=AuditSpendRequest,
        response=AuditSpend,
        run=audit_spend,
        tag="audit",
        mcp=McpTool(name="getSpend", effect="reads", aliases=("haldir_get_spend",)),
    ),
)
