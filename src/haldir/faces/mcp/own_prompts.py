"""Haldir's own prompts: what a person may have an agent do with Haldir's own tools."""

from typing import Any

import msgspec

from haldir.faces.mcp.faults import RpcFault
from haldir.faces.mcp.inbound import Inbound
from haldir.faces.mcp.own_tools import SESSION, OwnTools
from haldir.operations.caller import Caller
from haldir.operations.wire import TEXT_CHARS_MAX
from haldir.proxy.message import INVALID_PARAMS

AUDIT = """\
Review what the agents behind Haldir did{of_session}, and report to me.

1. Read the log with getAuditTrail{with_session}; follow `next_cursor` until you have seen enough.
2. Look for refusals (`allowed` false) and their `code`, for flagged entries and their `flag_reason`, for tools that
   were used once or at odd hours, and for costs out of proportion.
3. For each session that stands out, read its scopes and its budget with getSession while it lives.
4. Report what happened, what is worth a person's attention and why, and which entries (`entry_id`) show it. Say so
   if nothing is. Change nothing: name what I should revoke or forbid, and leave that to me.
"""
BUDGET = """\
Tell me how the budget of the session {session} stands.

1. Read it with getSession (session_id {session}): `spend_limit`, `spent`, `remaining_budget`; null is no limit.
2. If getSpend is among your tools, see with it which tools the reported costs went to.
3. Answer in a few lines: limit, spent, left in per cent, and when the session ends. Warn me below a fifth left, and
   do not spend anything to find out.
"""


class OwnPrompt(msgspec.Struct, frozen=True):
    """One of them; `tool` is the one it cannot do without."""

    name: str
    title: str
    description: str
    tool: str
    needs_session: bool

    def definition(self, caller: Caller) -> dict[str, Any]:
        """Return what prompts/list says of it; who acts in a session need not name that."""
        required = self.needs_session and caller.session_id is None
        argument = {"name": SESSION, "description": "The session to look at.", "required": required}
        return {
            "name": self.name,
            "title": self.title,
            "description": self.description,
            "arguments": [argument],
        }


SECURITY_AUDIT = OwnPrompt(
    "security-audit",
    "Security audit",
    "Review the log for refusals, flags and what is out of the ordinary.",
    "getAuditTrail",
    needs_session=False,
)
BUDGET_CHECK = OwnPrompt(
    "budget-check",
    "Budget check",
    "Say how much a session has spent and has left.",
    "getSession",
    needs_session=True,
)
PROMPTS = {prompt.name: prompt for prompt in (SECURITY_AUDIT, BUDGET_CHECK)}
PROMPT_NAMES = frozenset(PROMPTS)


def offered_prompts(tools: OwnTools, caller: Caller) -> list[OwnPrompt]:
    """Return the prompts whose tool this caller may ask."""
    return [prompt for prompt in PROMPTS.values() if tools.offers(prompt.tool, caller)]


def spoken(tools: OwnTools, caller: Caller, inbound: Inbound) -> dict[str, Any]:
    """Return the result of prompts/get for one of PROMPT_NAMES. Raises RpcFault for what is not offered or fits not."""
    prompt = PROMPTS[inbound.params["name"]]
    if not tools.offers(prompt.tool, caller):
        raise RpcFault(_fault_status(inbound), INVALID_PARAMS, "There is no such prompt here.")
    session = _named_session(inbound) or (caller.session_id if prompt.needs_session else None)
    if prompt.needs_session and session is None:
        raise RpcFault(_fault_status(inbound), INVALID_PARAMS, f"The prompt {prompt.name} needs `{SESSION}`.")
    message = {"role": "user", "content": {"type": "text", "text": _text(prompt, session)}}
    return {"description": prompt.description, "messages": [message]}


def _text(prompt: OwnPrompt, session: str | None) -> str:
    if prompt == BUDGET_CHECK:
        return BUDGET.format(session=session)
    of_session = f" in the session {session}" if session else ""
    return AUDIT.format(of_session=of_session, with_session=f" (session_id {session})" if session else "")


def _named_session(inbound: Inbound) -> str | None:
    arguments = inbound.params.get("arguments", {})
    named = arguments.get(SESSION) if isinstance(arguments, dict) else None
    if named is None or (isinstance(named, str) and len(named) <= TEXT_CHARS_MAX):
        return named or None
    raise RpcFault(_fault_status(inbound), INVALID_PARAMS, f"`{SESSION}` must be the id of a session.")


def _fault_status(inbound: Inbound) -> int:
    """A fault of the params is told by HTTP too in 2026-07-28, and only in JSON-RPC before."""
    return 400 if inbound.is_modern else 200
