"""An upstream's Mcp-Session-Id as a client of Haldir holds it: sealed, and of use to the same session alone."""

import base64
import binascii

from haldir.faces.mcp.faults import RpcFault
from haldir.kernel.ids import TenantId
from haldir.proxy.message import INVALID_REQUEST
from haldir.vault.keyring import Keyring
from haldir.vault.seal import SealBroken, binding

LABEL = "mcp-session"


def seal_session(keyring: Keyring, upstream_session_id: str, tenant: TenantId, session_id: str, upstream: str) -> str:
    box = keyring.seal_box(LABEL, upstream_session_id.encode("latin-1"), binding(tenant, session_id, upstream))
    return base64.urlsafe_b64encode(box).decode()


def open_session(keyring: Keyring, sealed: str, tenant: TenantId, session_id: str, upstream: str) -> str:
    """Return the upstream's own session id. Raises RpcFault (404) for one that was given to anybody else."""
    try:
        box = base64.b64decode(sealed.encode("latin-1"), altchars=b"-_", validate=True)
        return keyring.open_box(LABEL, box, binding(tenant, session_id, upstream)).decode("latin-1")
    except (binascii.Error, SealBroken):
        raise RpcFault(404, INVALID_REQUEST, "Session not found") from None
