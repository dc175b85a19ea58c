"""A call that did not run, or not well, or not yet, as the tool result its caller reads."""

from haldir.approvals.holds import APPROVAL_REQUIRED
from haldir.faces.mcp.faults import UNAUTHORIZED, tool_answer
from haldir.faces.mcp.inbound import Inbound
from haldir.kernel.errors import OutcomeUnknown, Refused, UpstreamError
from haldir.operations.approvals_shown import held_call
from haldir.operations.context import Context
from haldir.operations.judged_call import ToolCall
from haldir.operations.upstreams import output_is_typed

UNSURE = "The tool may have run; the call's record says `indeterminate` if that is not known."
NOT_SENT = "The tool did not run; nothing was spent."

CallFailure = Refused | UpstreamError | OutcomeUnknown


def failure_of(ctx: Context, call: ToolCall, error: CallFailure, inbound: Inbound, call_id: str) -> bytes:
    """Return the result for a call that failed, or waits for a person.

    What waits is no error, except where clients would refuse to read it otherwise: of a tool with an output schema
    only an error may lack the content that the schema asks for (MCP 2026-07-28, Tools, Output Schema).

    Raises the refusal itself where it is of the credential or session.
    """
    match error:
        case Refused():
            if error.kind.status == UNAUTHORIZED:
                raise error
            if error.refusal == APPROVAL_REQUIRED:
                failed = output_is_typed(ctx, call.caller.tenant, call.upstream, call.tool)
                return tool_answer(inbound.id_raw, held_call(error), modern=inbound.is_modern, failed=failed)
            said = {
                "error": error.reason,
                "code": error.refusal,
                "blocked_by": "haldir",
                "hint": error.kind.hint,
                "call_id": error.call_id,
            }
        case OutcomeUnknown():
            said = {"error": error.message, "code": error.code, "hint": error.hint, "call_id": error.call_id}
        case UpstreamError():
            hint = UNSURE if error.sent else NOT_SENT
            said = {"error": error.message, "code": error.code, "hint": hint, "call_id": call_id}
    return tool_answer(inbound.id_raw, said, modern=inbound.is_modern)
