"""Call a tool by REST: the governed call, answered in the shape that published clients read (WIRE.md §7)."""

from typing import Any

import msgspec

from haldir.approvals.holds import APPROVAL_REQUIRED
from haldir.kernel import strict_json
from haldir.kernel.errors import AnswerLost, OutcomeUnknown, Refused, UpstreamError
from haldir.operations.call_tool import CallEnd, call_tool
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.hold_told import told_of_hold
from haldir.operations.judged_call import ToolCall
from haldir.operations.upstreams import find_tool, known_upstream
from haldir.operations.wire import JsonObject, StatusResponse
from haldir.proxy.message import ending_of, read

ENDED_STATUS = 401  # WIRE.md §7: a session that cannot act.
REFUSED_STATUS = 403  # WIRE.md §7: a blocked or failed call.


class CallToolRequest(msgspec.Struct, frozen=True):
    """`tool` is a tool's name, or `upstream.tool`."""

    tool: str
    session_id: str
    arguments: JsonObject = msgspec.field(default_factory=JsonObject)


async def call(ctx: Context, caller: Caller, request: CallToolRequest) -> StatusResponse:
    """Run one tool call under governance and answer with the upstream's result."""
    upstream, tool = await find_tool(ctx, caller.tenant, request.tool)
    asked = ToolCall(caller, request.session_id, upstream, tool, dict(request.arguments))
    try:
        end = await call_tool(ctx, asked, _forward(ctx, asked))
    except Refused as refused:
        return _refused(refused)
    except (OutcomeUnknown, AnswerLost) as error:
        return _answer(error.status, error.message, {"code": error.code, "hint": error.hint, "call_id": error.call_id})
    except UpstreamError as error:
        extras = {"code": error.code, "hint": error.hint, "call_id": error.call_id}
        return _answer(REFUSED_STATUS, error.message, extras)
    return _ended(end)


def _forward(ctx: Context, call: ToolCall) -> Any:
    async def forward(_call_id: str, deadline_seconds: float) -> CallEnd:
        known = await known_upstream(ctx, call.caller.tenant, call.upstream)
        if known is None:
            raise UpstreamError(f"The upstream {call.upstream!r} was removed meanwhile.", sent=False)
        params = strict_json.encode({"name": call.tool, "arguments": call.arguments})
        answer = await ctx.pool.call_tool(call.caller.tenant, known.upstream, known.config, params, deadline_seconds)
        ending = ending_of(answer)
        return CallEnd(ending.state, answer, ending.error)

    return forward


def _ended(end: CallEnd) -> StatusResponse:
    """Answer with the upstream's own result; one that says it failed is a failed call."""
    message = read(end.answer)
    if isinstance(message.result, msgspec.Raw):
        if end.error != "tool_error":
            return StatusResponse(200, message.result)
        members = msgspec.json.decode(message.result, type=dict[str, msgspec.Raw])
        said = msgspec.Raw(msgspec.json.encode("The tool reported an error; `content` has its words."))
        code = msgspec.Raw(b'"tool_error"')
        return StatusResponse(
            REFUSED_STATUS, msgspec.Raw(msgspec.json.encode({**members, "error": said, "code": code}))
        )
    error = message.error if isinstance(message.error, msgspec.Raw) else b"{}"
    said_by_upstream = msgspec.json.decode(error, type=_RpcError).message
    return _answer(REFUSED_STATUS, f"The upstream answered with an error: {said_by_upstream}", {"code": "rpc_error"})


class _RpcError(msgspec.Struct):
    message: str = ""


def _refused(refused: Refused) -> StatusResponse:
    if refused.code == APPROVAL_REQUIRED:
        content = [{"type": "text", "text": msgspec.json.encode(told_of_hold(refused)).decode()}]
        held = {"content": content, "isError": False}
        return StatusResponse(200, msgspec.Raw(msgspec.json.encode(held)), final=False)
    status = refused.status if refused.status == ENDED_STATUS else REFUSED_STATUS
    extras = {"code": refused.code, "hint": refused.hint, "call_id": refused.call_id, "blocked_by": "haldir"}
    return _answer(status, refused.message, extras)


def _answer(status: int, error: str, extras: dict[str, str]) -> StatusResponse:
    """Return a tool result that failed, with the members of an error beside it."""
    said = {"error": error, **extras}
    content = [{"type": "text", "text": msgspec.json.encode(said).decode()}]
    return StatusResponse(status, msgspec.Raw(msgspec.json.encode({"content": content, "isError": True, **said})))


OPERATIONS = (
    Operation(
        name="call_tool",
        method="POST",
        path="/v1/proxy/call",
        summary="Call a tool under governance",
        scope="proxy:write",
        request=CallToolRequest,
        response=StatusResponse,
        run=call,
        session=True,
        tag="proxy",
    ),
)
