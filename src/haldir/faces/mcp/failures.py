"""A call that did not run, or not well, as the tool result its caller reads."""

from haldir.faces.mcp.faults import UNAUTHORIZED, tool_answer
from haldir.faces.mcp.inbound import Inbound
from haldir.kernel.errors import OutcomeUnknown, Refused, UpstreamError

UNSURE = "The tool may have run; the call's record says `indeterminate` if that is not known."
NOT_SENT = "The tool did not run; nothing was spent."

CallFailure = Refused | UpstreamError | OutcomeUnknown


def failure_of(error: CallFailure, inbound: Inbound, call_id: str) -> bytes:
    """Return the result for a call that failed. Raises the refusal itself where it is of the credential or session."""
    match error:
        case Refused():
            if error.status == UNAUTHORIZED:
                raise error
            said = {
                "error": error.message,
                "code": error.code,
                "blocked_by": "haldir",
                "hint": error.hint,
                "call_id": error.call_id,
            }
        case OutcomeUnknown():
            said = {"error": error.message, "code": error.code, "hint": error.hint, "call_id": error.call_id}
        case UpstreamError():
            hint = UNSURE if error.sent else NOT_SENT
            said = {"error": error.message, "code": error.code, "hint": hint, "call_id": call_id}
    return tool_answer(inbound.id_raw, said, modern=inbound.is_modern)
