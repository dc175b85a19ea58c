"""What became of an approval: its history, which leads into the log."""

import msgspec

from haldir.operations.approval_history import StepShown, history_of
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.verbs.approvals import own_approval


class ApprovalNamed(msgspec.Struct, frozen=True):
    request_id: str


class ApprovalHistory(msgspec.Struct, frozen=True):
    """The first step first."""

    request_id: str
    history: list[StepShown]
    count: int


async def get_approval_history(ctx: Context, caller: Caller, request: ApprovalNamed) -> ApprovalHistory:
    """Show who asked, each vote, the decision, the use or the end, and the entries in which they stand."""
    approval = await own_approval(ctx, caller, request.request_id)
    history = await history_of(ctx, caller.tenant, approval)
    return ApprovalHistory(approval.id, history, len(history))


OPERATIONS = (
    Operation(
        name="get_approval_history",
        method="GET",
        path="/v1/approvals/{request_id}/history",
        summary="Show what became of an approval, step by step",
        scope="approvals:read",
        request=ApprovalNamed,
        response=ApprovalHistory,
        run=get_approval_history,
        session=True,
        tag="approvals",
    ),
)
