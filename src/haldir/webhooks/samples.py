"""What is sent to whoever asks to see an event arrive: all that a real one says, about nothing that there is.

The ids are such as Haldir never gives: a receiver that overlooks `test` does nothing to anything real.
"""

from collections.abc import Mapping
from typing import Any

TEST = "test"  # True in samples, absent in all other events.
MESSAGE = "Somebody asked for this event to see it arrive."

AGENT, TOOL, UPSTREAM = "sample-agent", "sample-tool", "sample-upstream"
SESSION, APPROVAL, KEY = "ses_sample", "apr_sample", "hld_sample"
HELD = {"session_id": SESSION, "agent_id": AGENT, "tool": TOOL, "request_id": APPROVAL}
SPENT = {"session_id": SESSION, "agent_id": AGENT, "subject": SESSION}
WEBHOOK_ID = 999_999_999

SAMPLES: Mapping[str, Mapping[str, Any]] = {
    "agent_revoked": {"agent_id": AGENT},
    "anomaly": {
        "session_id": SESSION,
        "agent_id": AGENT,
        "tool": TOOL,
        "subject": "anr_sample",
        "reason": f"call_rate: agent:{AGENT} acted more than 60 times within a minute.",
    },
    "approval_decided": {**HELD, "reason": "key:hld_sample decided it: approved.", "decision": "approve"},
    "approval_expired": {**HELD, "reason": "Nobody used it in time; it was asked for by key:hld_sample."},
    "approval_requested": {**HELD, "reason": "A session asks for it.", "action": "refund", "amount": 42.5},
    "budget_exhausted": {**SPENT, "reason": f"The budget of {SESSION} is spent."},
    "budget_threshold": {**SPENT, "reason": f"50 % of the budget of {SESSION} is spent."},
    "key_created": {"prefix": KEY, "name": "A sample"},
    "key_revoked": {"prefix": KEY},
    "policy_changed": {"change": "added", "policy_id": "pol_sample", "policy_kind": "block_tool", "epoch": 1},
    "session_revoked": {"session_id": SESSION, "agent_id": AGENT},
    "upstream_quarantined": {"upstream": UPSTREAM, "tools": [TOOL]},
    "upstream_recovered": {"upstream": UPSTREAM},
    "upstream_unhealthy": {
        "upstream": UPSTREAM,
        "reason": "The upstream could not be reached: the connection was refused.",
    },
    "webhook_disabled": {"webhook_id": WEBHOOK_ID, "reason": "asked"},
}


def sample_of(event: str) -> dict[str, Any]:
    """Return what a sample of an event says; of one that is not known any more, that it is one."""
    return {**SAMPLES.get(event, {}), TEST: True, "message": MESSAGE}
