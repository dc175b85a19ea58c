"""The requestState of a held call: sealed, it finds the approval again, for the same caller and the same call alone.

Nothing rests on it. What lets a call through is the journal, which looks at the call itself.
"""

import base64
import binascii
import hashlib
from typing import TypeVar

import msgspec
from msgspec import Raw

from haldir.faces.mcp.call_request import CallRequest
from haldir.faces.mcp.inbound import Inbound
from haldir.kernel import strict_json
from haldir.proxy import message as rpc
from haldir.vault.keyring import Keyring
from haldir.vault.seal import SealBroken, binding

T = TypeVar("T")

LABEL = "mcp-held-call"
PREFIX = "haldir:"  # Tells ours from a state of the upstream's own, which passes as it is.
STATE, RESPONSES = "requestState", "inputResponses"  # MCP 2026-07-28, Multi Round-Trip Requests.
CARRIED_BYTES_MAX = 32 << 10  # The caller has to send it back with every round.


class HeldState(msgspec.Struct, frozen=True):
    """`rounds`: how often the call was answered so. `carried`: the state and answers it had brought for its upstream.

    It lives as long as the approval, whose row is looked at whenever it comes back.
    """

    approval_id: str
    rounds: int
    carried: Raw


def is_ours(request: CallRequest) -> bool:
    """Tell whether a request claims to come back for one that was held; what Haldir's own tools get can be no other."""
    inbound = request.inbound
    if not inbound.is_modern or STATE not in inbound.params:
        return False
    state = inbound.params[STATE]
    return not request.upstream or (isinstance(state, str) and state.startswith(PREFIX))


def seal_state(keyring: Keyring, approval_id: str, rounds: int, request: CallRequest) -> str | None:
    """Return the state for a call that is held; None if it came with more than can be carried along."""
    carried = _brought(request.inbound)
    if len(carried) > CARRIED_BYTES_MAX:
        return None
    plain = msgspec.json.encode(HeldState(approval_id, rounds, Raw(carried)))
    box = keyring.seal_box(LABEL, plain, _bound_to(request))
    return PREFIX + base64.urlsafe_b64encode(box).decode()


def open_state(keyring: Keyring, request: CallRequest) -> HeldState | None:
    """Return the state that a request brings; None for one that was given to anybody else, or for another call."""
    sealed = request.inbound.params[STATE]
    if not isinstance(sealed, str):
        return None
    try:
        box = base64.b64decode(sealed.removeprefix(PREFIX).encode("latin-1"), altchars=b"-_", validate=True)
        return msgspec.json.decode(keyring.open_box(LABEL, box, _bound_to(request)), type=HeldState)
    except (binascii.Error, UnicodeEncodeError, SealBroken):
        return None


def without_state(inbound: Inbound, state: HeldState) -> Inbound:
    """Return the request as it was before it was held: with what it had brought for its upstream, if anything."""
    parts = rpc.members(inbound.body)
    params = _without_rounds(rpc.members(parts["params"])) | rpc.members(state.carried)
    body = rpc.build(parts | {"params": Raw(rpc.build(params))})
    tree = _without_rounds(inbound.params) | strict_json.decode(bytes(state.carried))  # What is judged is what is sent.
    return msgspec.structs.replace(inbound, body=body, params=tree)


def _without_rounds(params: dict[str, T]) -> dict[str, T]:
    return {name: value for name, value in params.items() if name not in {STATE, RESPONSES}}


def _brought(inbound: Inbound) -> bytes:
    params = rpc.members(rpc.members(inbound.body)["params"])
    return rpc.build({name: value for name, value in params.items() if name in {STATE, RESPONSES}})


def _bound_to(request: CallRequest) -> bytes:
    """The caller and the call, to the byte; the session is that of the approval."""
    arguments = strict_json.encode(request.inbound.params.get("arguments", {}))
    digest = hashlib.sha256(arguments).hexdigest()
    caller = request.caller
    return binding(caller.tenant, str(caller.credential), request.upstream, request.tool, digest)
