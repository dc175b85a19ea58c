"""Every way Haldir says no: a stable `code`, the HTTP status it travels under, and what would help.

Decisions refuse with a code out of `REFUSALS`; everything else raises one of the classes below. Both are
rendered once, at the face.
"""

import msgspec

Refusal = tuple[str, str]  # What a decision is to say no with: a code out of REFUSALS, and the reason in words.


class RefusalKind(msgspec.Struct, frozen=True):
    """What is the same for every refusal of one code."""

    status: int
    hint: str


REFUSALS: dict[str, RefusalKind] = {
    "session_not_found": RefusalKind(401, "Open a session with POST /v1/sessions, or use the agent key."),
    "session_expired": RefusalKind(401, "Open a new session; ttl sets how long it lives."),
    "session_revoked": RefusalKind(401, "Somebody ended this session or one above it; open a new one."),
    "agent_revoked": RefusalKind(401, "This agent was revoked; an administrator can create another."),
    "agent_not_found": RefusalKind(404, "List the agents with GET /v1/agents."),
    "key_revoked": RefusalKind(401, "Use another API key, or have an administrator create one."),
    "last_admin": RefusalKind(409, "Make another key with the scope admin:write first."),
    "key_not_found": RefusalKind(404, "List the keys with GET /v1/keys."),
    "idempotency_key_reused": RefusalKind(
        422, "Send a new Idempotency-Key with a new request, and the same body with the same one."
    ),
    "request_closed": RefusalKind(409, "Send the request again: it gets the answer that was kept."),
    "exists": RefusalKind(409, "Choose another name, or remove the one that stands."),
    "insufficient_scope": RefusalKind(403, "Use a credential that has the scope named in `required`."),
    "scope_missing": RefusalKind(403, "Open the session with the scope that the reason names."),
    "scope_exceeds_parent": RefusalKind(403, "A child session can only have scopes its parent has."),
    "life_exceeds_parent": RefusalKind(403, "Give the child a ttl that ends before its parent does."),
    "budget_exceeds_parent": RefusalKind(403, "Give the child at most what its parents have left."),
    "depth_exceeded": RefusalKind(403, "Open the session higher up in the chain."),
    "spend_not_allowed": RefusalKind(403, "Open the session with a spend_limit or the scope `spend`."),
    "budget_exceeded": RefusalKind(403, "Ask for less, or open a session with a higher spend_limit."),
    "currency_mismatch": RefusalKind(403, "Ask in the currency of the session's budget."),
    "amount_invalid": RefusalKind(403, "Give the price argument as a plain non-negative number."),
    "secret_reference": RefusalKind(403, "Secret references cannot be filled yet; pass no ${secret:…}."),
    "secret_not_found": RefusalKind(404, "List the secrets with GET /v1/secrets."),
    "rotations_exhausted": RefusalKind(409, "Keep the newest version of the key; move to a new tenant to go on."),
    "policy_denied": RefusalKind(403, "A policy forbids this call; the reason names it."),
    "policies_unavailable": RefusalKind(403, "The stored policies could not be read; see the server's log."),
    "rate_exceeded": RefusalKind(403, "Wait as long as the reason says, then call again."),
    "upstream_not_found": RefusalKind(404, "List the upstreams with GET /v1/proxy/upstreams."),
    "upstream_unavailable": RefusalKind(502, "Try again once the upstream is up; nothing was forwarded."),
    "tool_not_found": RefusalKind(403, "List what this session may call with tools/list."),
    "tool_quarantined": RefusalKind(403, "The tool's definition changed; a person must accept it first."),
    "definition_mismatch": RefusalKind(
        409, "List the tools again, read the definition, and accept the hash it has now."
    ),
    "policies_changed": RefusalKind(
        409, "Read the policies again with GET /v1/proxy/policies, and change them from the version they have now."
    ),
    "policy_not_found": RefusalKind(404, "List the policies with GET /v1/proxy/policies."),
    "anomaly_rule_not_found": RefusalKind(404, "List the rules with GET /v1/anomalies/rules."),
    "too_many_rules": RefusalKind(409, "Remove a rule that is no longer wanted first."),
    "call_not_found": RefusalKind(404, "Check the call id."),
    "call_not_open": RefusalKind(409, "The call is resolved already; GET /v1/calls/{id} shows how."),
    "approval_required": RefusalKind(403, "Have it approved, then ask for exactly the same once more."),
    "approval_denied": RefusalKind(403, "Somebody decided against exactly this; GET /v1/approvals/{id} says why."),
    "approval_not_found": RefusalKind(400, "List what waits with GET /v1/approvals/pending."),
    "approval_decided": RefusalKind(400, "GET /v1/approvals/{id} shows how it was decided."),
    "approval_expired": RefusalKind(400, "Have it asked for anew."),
    "approval_outdated": RefusalKind(409, "Have the request sent again: it passes, or waits anew, to be decided then."),
    "approval_used": RefusalKind(409, "Make the call anew, without requestState, to have it asked for again."),
    "request_state_invalid": RefusalKind(400, "Make the call anew, without requestState and inputResponses."),
    "four_eyes": RefusalKind(403, "Have it decided by another key, whose owner had no part in it."),
    "too_many_pending": RefusalKind(
        429, "Wait until people decided some of them, or they expired; GET /v1/approvals/pending lists them."
    ),
    "link_ended": RefusalKind(410, "Decide at /approvals, or have the webhook registered anew."),
    "approval_rule_not_found": RefusalKind(404, "List the rules with GET /v1/approvals/rules."),
    "payment_not_found": RefusalKind(404, "List the payments with GET /v1/payments."),
    "payment_not_open": RefusalKind(409, "The payment is resolved already; GET /v1/payments/{id} shows how."),
    "amount_exceeds_reserved": RefusalKind(409, "Post at most what was reserved."),
    "webhook_not_found": RefusalKind(404, "List the webhooks with GET /v1/webhooks."),
    "webhook_disabled": RefusalKind(409, "Enable it with POST /v1/webhooks/{id}/enable first."),
    "too_many_webhooks": RefusalKind(409, "Remove a webhook that is not needed any more."),
    "operator_owned": RefusalKind(409, "This upstream stands in the operator's configuration; change it there."),
}


class HaldirError(Exception):
    """A request that Haldir does not carry out. Nothing changed."""

    code: str = "internal_error"
    status: int = 500
    hint: str = ""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class InternalError(HaldirError):
    """A fault of Haldir's own. What went wrong stands in its log and nowhere else."""

    hint = "Look for the request_id in Haldir's log; if the fault stays, report it."

    def __init__(self) -> None:
        super().__init__("Something went wrong inside Haldir.")


class Refused(HaldirError):
    """A decision said no, with a code out of REFUSALS; its entry is in the log."""

    def __init__(self, code: str, reason: str, call_id: str = "", approval_id: str = "") -> None:
        super().__init__(reason)
        kind = REFUSALS[code]
        self.code, self.status, self.hint = code, kind.status, kind.hint
        self.call_id, self.approval_id = call_id, approval_id


class InvalidRequest(HaldirError):
    """The request is malformed; `field` is the member at fault where there is one."""

    code = "invalid_request"
    status = 400
    hint = "Correct what the error names; GET /openapi.json describes every request."

    def __init__(self, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.field = field


class InvalidScope(InvalidRequest):
    code = "invalid_scope"
    hint = "A key scope is `*`, or <resource>:read, <resource>:write or <resource>:*, such as `audit:read`."


class InvalidPrefix(InvalidRequest):
    code = "invalid_prefix"
    hint = "List the keys with GET /v1/keys: each has its prefix."


class InvalidRange(InvalidRequest):
    code = "invalid_range"


class InvalidFormat(InvalidRequest):
    code = "invalid_format"


class Unauthenticated(HaldirError):
    code = "unauthenticated"
    status = 401
    hint = "Send `Authorization: Bearer <credential>`."


class InsufficientScope(HaldirError):
    """An authenticated caller lacks a scope. Recorded by the operation that refused."""

    code = "insufficient_scope"
    status = 403
    hint = REFUSALS["insufficient_scope"].hint

    def __init__(self, required: str, granted: tuple[str, ...]) -> None:
        super().__init__(f"This needs the scope {required!r}, which the credential does not have.")
        self.required, self.granted = required, granted


class Forbidden(HaldirError):
    """The credential's kind can never do this, whatever its scopes."""

    code = "forbidden"
    status = 403
    hint = "Ask with an API key: agent keys and session tokens act in their own session only."


class NotFound(HaldirError):
    code = "not_found"
    status = 404
    hint = "Check the name or id in the path; what belongs to others answers like what there is not."


class MethodNotAllowed(HaldirError):
    code = "method_not_allowed"
    status = 405
    hint = "Use one of the methods that the header Allow names."


class RequestTimeout(HaldirError):
    """The body did not arrive in time."""

    code = "request_timeout"
    status = 408
    hint = "Send the request again, its body in one go."


class TryLater(HaldirError):
    """What was asked may go through if it is asked again after `retry_after_seconds`."""

    retry_after_seconds: int = 1


class RequestInProgress(TryLater):
    """The same request, by its Idempotency-Key, is still being carried out."""

    code = "request_in_progress"
    status = 409
    hint = "Send it again after `retry_after` seconds, with the same Idempotency-Key: nothing happens twice."


class AnswerLost(HaldirError):
    """A request was carried out, but its answer was not kept: Haldir stopped before, or the answer is too large."""

    code = "answer_lost"
    status = 409
    hint = "Do not repeat the request under another Idempotency-Key; look up what it did."

    def __init__(self, message: str, call_id: str = "") -> None:
        super().__init__(message)
        self.call_id = call_id


class Conflict(HaldirError):
    """An op_id was given before, to a different command."""

    code = "op_id_reused"
    status = 409
    hint = "Ask for another command under another op_id."


class PayloadTooLarge(HaldirError):
    code = "payload_too_large"
    status = 413
    hint = "Send at most `max_bytes` bytes."

    def __init__(self, message: str, max_bytes: int) -> None:
        super().__init__(message)
        self.max_bytes = max_bytes


class RateLimited(TryLater):
    """More than `limit` requests in the span of time that `resource` names."""

    code = "rate_limit_exceeded"
    status = 429
    hint = "Wait `retry_after` seconds; the X-RateLimit headers of each answer tell what is left."

    def __init__(self, message: str, limit: int, resource: str, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.limit, self.resource, self.retry_after_seconds = limit, resource, retry_after_seconds


NOTHING_SENT = "Nothing was sent and nothing is charged; try again once the upstream is up."
MAY_HAVE_RUN = "The tool may have run: look the call up by its id, and have a person resolve it."


class UpstreamError(HaldirError):
    """The upstream did not answer as MCP asks. `sent`: whether it may have acted on the call."""

    code = "upstream_error"
    status = 502

    def __init__(self, message: str, *, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent
        self.call_id = ""  # Of the call it broke, once that is known.
        self.hint = MAY_HAVE_RUN if sent else NOTHING_SENT


class Unavailable(TryLater):
    """The store did not answer as it must: it is not known whether anything was decided. Never "denied"."""

    code = "unavailable"
    status = 503
    hint = "Try again shortly; asked with the same op_id, nothing happens twice."


class MetricsDisabled(HaldirError):
    """The operator set no token for /metrics."""

    code = "metrics_disabled"
    status = 503
    hint = "Start Haldir with HALDIR_METRICS_TOKEN, and send that as the bearer credential."


class Overloaded(Unavailable):
    """The queue is full: nothing was decided."""

    code = "overloaded"


class OutcomeUnknown(HaldirError):
    """A call was forwarded, or may have been, and how it ended is not stored. Not an invitation to retry."""

    code = "outcome_unknown"
    status = 503
    hint = "Do not repeat the call; look it up by its id, or have a person resolve it."

    def __init__(self, call_id: str) -> None:
        super().__init__(f"The call {call_id} was or may have been forwarded, but its outcome could not be recorded.")
        self.call_id = call_id
