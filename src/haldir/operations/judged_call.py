"""What is certain of a tool call before the journal is asked: its judgement by policies, its price, its faults.

All of it may be behind: the command names the epoch, the version and the definition it was made from, and Admit calls
it stale where one of them is no longer so.
"""

from collections.abc import Sequence
from typing import Any

import msgspec

from haldir.gate.model import Session
from haldir.kernel import ids, strict_json
from haldir.kernel.errors import Refusal
from haldir.kernel.ids import OpId
from haldir.operations.books import KnownUpstream, SessionFacts
from haldir.operations.call_commands import Admit, Charge
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.operations.policies import PoliciesUnavailable
from haldir.operations.price import charge_of
from haldir.operations.upstreams import discover, known_upstream
from haldir.policy.facts import Facts
from haldir.policy.judgement import Judgement
from haldir.proxy.definition import Definition
from haldir.proxy.model import DEADLINE_SECONDS
from haldir.storage.rows import Part
from haldir.vault.reference import REFERENCE_OPENING


class ToolCall(msgspec.Struct, frozen=True):
    """What is asked: one tool of one upstream, by a caller, in a session. `arguments` is a strict_json tree.

    So is `beside`: what else goes to the upstream with them, such as the answers that it asked its caller for.
    """

    caller: Caller
    session_id: str
    upstream: str
    tool: str
    arguments: dict[str, Any]
    beside: dict[str, Any] = {}


async def judged(ctx: Context, call: ToolCall, op_id: OpId, parts: Sequence[Part]) -> Admit:
    """Return the command that asks for the call; `parts` are its arguments, sealed, if they come along."""
    tenant = call.caller.tenant
    known = await known_upstream(ctx, tenant, call.upstream)
    charge = charge_of(known.upstream.rule(call.tool) if known else None, call.arguments)
    judgement, fault = await _judgement(ctx, call, charge)
    fault = fault or _argument_fault(call.arguments)
    definition = None
    if fault is None and known is not None:
        definition, fault = await _definition(ctx, call, known)
    keys = await ctx.keyring.tenant(tenant)
    return Admit(
        op_id=op_id,
        asked_by=call.caller.credential,
        call_id=ids.call_id(op_id),
        session_id=call.session_id,
        upstream=call.upstream,
        upstream_version=known.upstream.version if known else 0,
        tool=call.tool,
        arguments_digest=keys.digest("arguments", strict_json.encode(call.arguments)),
        beside_digest=keys.digest("beside", strict_json.encode(call.beside)) if call.beside else "",
        judgement=judgement,
        charge=charge,
        deadline_ms=round((known.config.deadline_seconds if known else DEADLINE_SECONDS) * 1000),
        fault=fault,
        harmless_sha256="" if definition is None or definition.destructive else definition.sha256,
        details_digest=parts[0].digest if parts else "",
    )


async def _judgement(ctx: Context, call: ToolCall, charge: Charge) -> tuple[Judgement, Refusal | None]:
    try:
        policies = await ctx.policies.current(call.caller.tenant)
    except PoliciesUnavailable as error:
        return Judgement(error.epoch), (error.code, error.message)
    session = await _session_facts(ctx, call) if policies.looks_at_session else SessionFacts()
    facts = Facts(
        call.upstream,
        call.tool,
        call.arguments,
        call.session_id,
        session.agent_id,
        ctx.clock(),
        session.scopes,
        charge.comparable_micros,
    )
    return policies.judge(facts), None


async def _session_facts(ctx: Context, call: ToolCall) -> SessionFacts:
    """Return what policies may ask of the session; of one that does not exist nothing, and no call is let through."""
    tenant = call.caller.tenant
    if known := ctx.sessions.get(tenant, call.session_id):
        return known
    session = await find_row(ctx, tenant, Session, call.session_id)
    if session is None:
        return SessionFacts()
    return ctx.sessions.put(tenant, call.session_id, SessionFacts(session.agent_id, session.scopes))


def _argument_fault(arguments: Any) -> Refusal | None:
    if not _mentions_secret(arguments):
        return None
    return "secret_reference", "The arguments hold a secret reference, and this Haldir cannot fill it yet."


def _mentions_secret(value: Any) -> bool:
    match value:
        case str():
            return REFERENCE_OPENING in value
        case dict():
            return any(REFERENCE_OPENING in name or _mentions_secret(item) for name, item in value.items())
        case list():
            return any(_mentions_secret(item) for item in value)
    return False


async def _definition(ctx: Context, call: ToolCall, known: KnownUpstream) -> tuple[Definition | None, Refusal | None]:
    """Return the tool as its upstream describes it; one that nobody could ask for its tools has no unknown tools."""
    discovery = await discover(ctx, call.caller.tenant, known, call.tool)
    definition = discovery.definitions.get(call.tool)
    if discovery.error and definition is None:
        return None, ("upstream_unavailable", f"The upstream {call.upstream!r} cannot be asked: {discovery.error}")
    return definition, None
