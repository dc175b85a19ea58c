"""A call that a person may have to approve first, and how it comes back to its caller meanwhile.

However it comes back, it is the journal that lets it through, once.
"""

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, final

import msgspec

from haldir.approvals.holds import APPROVAL_REQUIRED
from haldir.approvals.model import Approval
from haldir.faces.mcp.call_request import CallRequest
from haldir.faces.mcp.failures import CallFailure, failure_of
from haldir.faces.mcp.faults import RpcFault, tool_answer
from haldir.faces.mcp.held_state import HeldState, is_ours, open_state, seal_state, without_state
from haldir.faces.mcp.held_ways import Way, takes_url, way_of
from haldir.faces.mcp.inbound import Inbound
from haldir.faces.mcp.shared import Shared
from haldir.kernel.clock import Micros
from haldir.kernel.errors import REFUSALS, Refusal, Refused
from haldir.operations.held_setting import held_setting
from haldir.operations.hold_told import told_of_hold, waiting_for
from haldir.operations.living import find_row
from haldir.operations.upstreams import output_is_typed
from haldir.proxy import message as rpc
from haldir.proxy.message import INVALID_PARAMS

T = TypeVar("T")

ROUNDS_MAX = 8  # Clients give up with an error after ten; a plain result before that says more.
ASKED_AS = "approval"  # The key of the one input request.
STATE_INVALID = "request_state_invalid"
NOT_YOURS = "The requestState was not given to this caller for this very call."


class HeldBefore(msgspec.Struct, frozen=True):
    """What a call brings that comes back: its state, and the approval that this leads to."""

    state: HeldState
    approval: Approval


@final
class HoldableCall:
    """One call, held or not. `inbound` is the request without what belongs to its having been held before."""

    def __init__(self, shared: Shared, request: CallRequest, before: HeldBefore | None = None) -> None:
        self._ctx, self._waits, self._before = shared.ctx, shared.waits, before
        self._declined = before is not None and _declined(request.inbound)
        self.inbound = without_state(request.inbound, before.state) if before else request.inbound
        self._request = msgspec.structs.replace(request, inbound=self.inbound)
        self._way: Way = "plain"

    @classmethod
    async def begun(cls, shared: Shared, request: CallRequest) -> "HoldableCall":
        """Return the call. Raises RpcFault, recorded, if it comes back with a state that is not its own."""
        if not is_ours(request):
            return cls(shared, request)
        ctx = shared.ctx
        state = open_state(ctx.keyring, request)
        approval = await find_row(ctx, request.caller.tenant, Approval, state.approval_id) if state else None
        if state is None or approval is None or request.session_id not in {None, approval.session_id}:
            await ctx.refusals.record(request.caller, "mcp", STATE_INVALID, NOT_YOURS)
            data = {"code": STATE_INVALID, "hint": REFUSALS[STATE_INVALID].hint, "blocked_by": "haldir"}
            raise RpcFault(400, INVALID_PARAMS, NOT_YOURS, data)
        return cls(shared, request, HeldBefore(state, approval))

    async def made(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """Make the attempt, and once more if it was held and decided within this request. Raises what it raises."""
        if self._before is not None:
            await self._return(self._before.approval)
        try:
            return await attempt()
        except Refused as refused:
            if refused.code != APPROVAL_REQUIRED:
                raise
            self._way = way_of(await held_setting(self._ctx, self._request.caller), self.inbound)
            if self._way != "stream" or not await self._waits.decided(self._request, refused.approval_id):
                raise
        return await attempt()

    def failure(self, error: CallFailure, call_id: str) -> bytes:
        """Return the answer to a call of an upstream's tool that failed, or waits for a person.

        Raises the refusal itself where it is of the credential or session.
        """
        if not isinstance(error, Refused) or error.code != APPROVAL_REQUIRED:
            return failure_of(error, self.inbound, call_id)
        asking = self.input_required(error)
        return rpc.response(self.inbound.id_raw, rpc.raw(asking)) if asking else self._plain(error)

    def input_required(self, refused: Refused) -> dict[str, Any] | None:
        """Return the result by which a held call asks its client to come back; None if it has to be told plainly."""
        rounds = self._before.state.rounds + 1 if self._before else 1
        if refused.code != APPROVAL_REQUIRED or self._way != "input" or self._declined or rounds > ROUNDS_MAX:
            return None
        sealed = seal_state(self._ctx.keyring, refused.approval_id, rounds, self._request)
        if sealed is None:
            return None
        asked = {"inputRequests": {ASKED_AS: self._page(refused)}} if takes_url(self.inbound) else {}
        told = {"haldir/approval": waiting_for(refused.approval_id)}
        return {"resultType": "input_required", **asked, "requestState": sealed, "_meta": told}

    async def _return(self, approval: Approval) -> None:
        """Wait once more for what is not decided yet. Raises Refused, recorded, for what can no longer be used."""
        now = self._ctx.clock()
        if refusal := _spent(approval, now):
            await self._ctx.refusals.record(self._request.caller, "mcp", *refusal)
            raise Refused(*refusal, approval_id=approval.id)
        if approval.status(now) == "pending" and not self._declined:
            await self._waits.decided(self._request, approval.id)

    def _page(self, refused: Refused) -> dict[str, Any]:
        """Ask the client to lead its user to where a person decides."""
        message = f"{refused.message} Approve or deny it there, then come back."
        params = {"mode": "url", "message": message, "url": self._waits.link(refused.approval_id)}
        return {"method": "elicitation/create", "params": params}

    def _plain(self, refused: Refused) -> bytes:
        """What waits is no error, except where clients would refuse to read it otherwise.

        Of a tool with an output schema only an error may lack the content that the schema asks for (MCP 2026-07-28,
        Tools, Output Schema).
        """
        request = self._request
        failed = output_is_typed(self._ctx, request.caller.tenant, request.upstream, request.tool)
        modern = self.inbound.is_modern
        return tool_answer(self.inbound.id_raw, told_of_hold(refused), modern=modern, failed=failed)


def _spent(approval: Approval, now: Micros) -> Refusal | None:
    """Return why nothing comes of an approval any more, or None."""
    if approval.state == "used":
        return "approval_used", f"{approval.id} has let its call through already, as {approval.used_by}."
    if approval.status(now) == "expired":
        return "approval_expired", f"{approval.id} has expired."
    return None


def _declined(inbound: Inbound) -> bool:
    """Tell whether the client's user would not go there: then they are not asked again."""
    responses = inbound.params.get("inputResponses")
    response = responses.get(ASKED_AS) if isinstance(responses, dict) else None
    return isinstance(response, dict) and response.get("action") in {"decline", "cancel"}
