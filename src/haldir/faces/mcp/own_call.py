"""A call of one of Haldir's own tools: what REST does for the same operation, and its answer as a tool's result."""

from typing import Any, final

from msgspec import Raw

from haldir.faces.mcp.call_request import CallRequest
from haldir.faces.mcp.faults import UNAUTHORIZED, RpcFault
from haldir.faces.mcp.holdable_call import HoldableCall
from haldir.faces.mcp.inbound import Inbound
from haldir.faces.mcp.own_tools import OwnTool
from haldir.faces.mcp.reply import Reply
from haldir.faces.mcp.shared import Shared
from haldir.faces.rest.reply import error_members
from haldir.faces.rest.request_rate import RequestRate
from haldir.kernel.errors import HaldirError, Refused, Unauthenticated, Unavailable
from haldir.operations.authenticate import authorize
from haldir.operations.caller import Caller
from haldir.proxy import message as rpc
from haldir.proxy.exchange import VERSION_HEADER

STRUCTURED_SINCE = "2025-06-18"  # Revisions are dates, and compare as such.


@final
class OwnCalls:
    """Carries them out. `rate` is what REST counts a credential's requests by."""

    def __init__(self, shared: Shared, rate: RequestRate | None) -> None:
        self._shared, self._ctx, self._rate = shared, shared.ctx, rate

    async def result(self, caller: Caller, tool: OwnTool, inbound: Inbound, reply: Reply) -> dict[str, Any]:
        """Return the result. Raises what is no answer to a call: RpcFault, Unauthenticated, Unavailable."""
        try:
            if self._rate is not None:
                self._rate.take(caller)
                self._rate.check(caller)
            served = await authorize(self._ctx, caller, tool.operation)
            request = CallRequest(served, served.session_id, "", tool.mcp.name, inbound, reply)
            return await self._carried_out(tool, await HoldableCall.begun(self._shared, request), served)
        except (RpcFault, Unauthenticated, Unavailable):
            raise
        except HaldirError as error:
            return _failure(tool, error, inbound)

    async def _carried_out(self, tool: OwnTool, held: HoldableCall, served: Caller) -> dict[str, Any]:
        request = tool.request(held.inbound.params.get("arguments", {}), served)
        try:
            done = await held.made(lambda: tool.operation.run(self._ctx, served, request))
        except Refused as refused:
            if asking := held.input_required(refused):
                return asking
            raise
        return _result(rpc.raw(done), held.inbound, is_error=False)


def _failure(tool: OwnTool, error: HaldirError, inbound: Inbound) -> dict[str, Any]:
    extras = tool.operation.refusal_extras
    said = error_members(error, extras(error) if extras else None)
    answers = tool.mcp.refusal_answers and isinstance(error, Refused) and error.status != UNAUTHORIZED
    return _result(rpc.raw(said), inbound, is_error=not answers)


def _result(document: Raw, inbound: Inbound, *, is_error: bool) -> dict[str, Any]:
    text = {"type": "text", "text": bytes(document).decode()}
    structured = {"structuredContent": document} if _knows_structured(inbound) else {}
    return {"content": [text], **structured, "isError": is_error}


def _knows_structured(inbound: Inbound) -> bool:
    return inbound.is_modern or inbound.headers.get(VERSION_HEADER, "") >= STRUCTURED_SINCE
