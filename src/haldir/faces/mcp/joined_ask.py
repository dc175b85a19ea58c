"""prompts/get and resources/read at the joint endpoint: answered by the one upstream they concern."""

from haldir.faces.mcp.asker import require_may_ask
from haldir.faces.mcp.faults import RpcFault
from haldir.faces.mcp.hop import Asker
from haldir.faces.mcp.inbound import CallerLeft, Inbound
from haldir.faces.mcp.joined_eras import in_callers_era
from haldir.faces.mcp.joined_names import split_name
from haldir.faces.mcp.joined_offers import upstream_of_uri
from haldir.gate.model import Session
from haldir.kernel.errors import UpstreamError
from haldir.operations.books import KnownUpstream
from haldir.operations.context import Context
from haldir.operations.upstreams import upstreams_of
from haldir.proxy import message as rpc
from haldir.proxy.message import INVALID_PARAMS, RESOURCE_NOT_FOUND, Members

ASKED = frozenset({"prompts/get", "resources/read"})


async def ask(ctx: Context, asker: Asker, session: Session, inbound: Inbound) -> bytes:
    """Return the answer. Raises RpcFault for what nobody offers, Refused, UpstreamError."""
    params = rpc.members(rpc.members(inbound.body).get("params", b"{}"))
    if inbound.method == "prompts/get":
        known, prompt = await _prompt(ctx, asker, session, inbound)
        return await _answer(ctx, asker, known, inbound, params | {"name": rpc.raw(prompt)})
    return await _answer(ctx, asker, await _resource(ctx, asker, session, inbound), inbound, params)


async def _prompt(ctx: Context, asker: Asker, session: Session, inbound: Inbound) -> tuple[KnownUpstream, str]:
    known = await upstreams_of(ctx, asker.caller.tenant)
    name = inbound.params.get("name")
    found = split_name(name, known) if isinstance(name, str) else None
    if found is None:
        raise RpcFault(_fault_status(inbound), INVALID_PARAMS, "There is no such prompt here.")
    await require_may_ask(ctx, asker, session, known[found[0]].upstream, inbound.method)
    return known[found[0]], found[1]


async def _resource(ctx: Context, asker: Asker, session: Session, inbound: Inbound) -> KnownUpstream:
    uri = inbound.params.get("uri")
    if not isinstance(uri, str):
        raise RpcFault(_fault_status(inbound), INVALID_PARAMS, "`params.uri` must be the URI of a resource.")
    found = await upstream_of_uri(ctx, asker, session, uri)
    if found is None:
        code = INVALID_PARAMS if inbound.is_modern else RESOURCE_NOT_FOUND
        raise RpcFault(_fault_status(inbound), code, "No upstream of this session lists this resource.", {"uri": uri})
    return found


async def _answer(ctx: Context, asker: Asker, known: KnownUpstream, inbound: Inbound, params: Members) -> bytes:
    asking = ctx.pool.ask(asker.caller.tenant, known.upstream, known.config, inbound.method, params)
    try:
        answer = await (inbound.unless_left(asking) if inbound.ends_by_leaving else asking)
    except CallerLeft:
        raise UpstreamError("The caller left.", sent=True) from None
    if not inbound.is_modern and rpc.ending_of(answer).error == "input_required":
        raise RpcFault(200, INVALID_PARAMS, "The upstream asks for input, which this protocol revision cannot give.")
    return in_callers_era(answer, inbound)


def _fault_status(inbound: Inbound) -> int:
    """A fault of the params is told by HTTP too in 2026-07-28, and only in JSON-RPC before."""
    return 400 if inbound.is_modern else 200
