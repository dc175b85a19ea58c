"""Names of things. They sort by time, so that new rows land on one database page and not on many.

Randomness is handed in: nothing here is allowed to be surprising.
"""

import base64
import binascii
import hashlib
import hmac
import re
from typing import NewType

from haldir.kernel.clock import Micros

TenantId = NewType("TenantId", str)
SessionId = NewType("SessionId", str)
OpId = NewType("OpId", str)

ENTROPY_BYTES = 9  # Beside 7 bytes of time: 16 in all, the size of a UUID.
OP_ID_CHARS = 32
TIME_CHARS = OP_ID_CHARS - ENTROPY_BYTES * 2
CREDENTIAL_CHARS = 43  # 256 bits in base64url.
UPSTREAM_NAME_CHARS_MAX = 48  # Leaves 78 of the 128 characters of a joined tool name to the tool.
KEY_PREFIX_CHARS = 12
ENTRY_DIGITS = 22
ENTRY_INDEX_MAX = 2**63 - 1  # The digits could say more than any database counts to.

# base64's alphabet does not sort like the bytes it stands for; the characters of base64url, in their own order, do.
_BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_IN_ORDER = b"-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz"
_SORTABLE = bytes.maketrans(_BASE64, _IN_ORDER)
_UNSORTABLE = bytes.maketrans(_IN_ORDER, _BASE64)
_HEX32 = re.compile(r"[0-9a-f]{32}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_UPSTREAM_NAME = re.compile(r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+)*")
_NAMED = re.compile(r"([a-z]+)_([A-Za-z0-9_-]{22})")
_ENTRY = re.compile(r"aud_([0-9]{22})")


def op_id(at: Micros, entropy: bytes) -> OpId:
    """Return 32 hex digits: 56 bits of time, then 72 random bits."""
    assert len(entropy) == ENTROPY_BYTES
    return OpId(f"{at:014x}{entropy.hex()}")


def later_op(first: OpId, number: int) -> OpId:
    """Return the op_id that is `number` among those of one request: of the same time, the same one each time."""
    if not number:
        return first
    return OpId(first[:TIME_CHARS] + hashlib.sha256(f"{first}\0{number}".encode()).hexdigest()[: ENTROPY_BYTES * 2])


def session_id(op: OpId) -> SessionId:
    return SessionId(f"ses_{_hex32(op)}")


def payment_id(op: OpId) -> str:
    return f"auth_{_chars22(op)}"


def policy_id(op: OpId) -> str:
    return f"pol_{_chars22(op)}"


def anomaly_rule_id(op: OpId) -> str:
    return f"anr_{_chars22(op)}"


def approval_id(op: OpId) -> str:
    return f"apr_{_chars22(op)}"


def approval_rule_id(op: OpId) -> str:
    return f"apl_{_chars22(op)}"


def call_id(op: OpId) -> str:
    return f"call_{_chars22(op)}"


def op_of_call(name: str) -> OpId | None:
    """Return the op_id that a call has its name from; None if no call can have that name."""
    return op_of("call", name)


def settlement_op(op: OpId) -> OpId:
    """Return the op_id under which the call of `op` is settled."""
    return OpId(f"{op}.settle")


def op_of(kind: str, name: str) -> OpId | None:
    """Return the op_id that a thing of this kind (`call`, `auth`, `apr`) has its name from; None if none can."""
    found = _NAMED.fullmatch(name)
    if found is None or found[1] != kind:
        return None
    op = OpId(binascii.a2b_base64(found[2].encode().translate(_UNSORTABLE) + b"==").hex())
    return op if f"{kind}_{_chars22(op)}" == name else None  # Of its last character four bits say nothing.


def delivery_id(op: OpId) -> str:
    return f"dlv_{_chars22(op)}"


def event_id(op: str, number: int) -> str:
    """Return the name of the event that is `number` among those of the entry of `op`; the first goes without."""
    return f"evt_{_chars22(OpId(op))}" + (f"_{number}" if number else "")


def entry_id(index: int) -> str:
    """Return the public name of the log entry at `index`: the index itself, in WIRE.md's length."""
    return f"aud_{index:0{ENTRY_DIGITS}d}"


def entry_index(name: str) -> int | None:
    """Return the index an entry id stands for; None if it is not one."""
    found = _ENTRY.fullmatch(name)
    return int(found[1]) if found and int(found[1]) <= ENTRY_INDEX_MAX else None


def tenant_id(first_key: str) -> TenantId:
    """Return the first 16 hex digits of the SHA-256 of the tenant's first key (WIRE.md §0)."""
    return TenantId(hashlib.sha256(first_key.encode()).hexdigest()[:16])


def credential(kind: str, secret: bytes, op: OpId) -> str:
    """Return the credential that `op` mints: derived, so that a retry gets the same and none is stored."""
    digest = hmac.digest(secret, f"{kind}\0{op}".encode(), "sha256")
    return f"{kind}_{base64.urlsafe_b64encode(digest).decode()[:CREDENTIAL_CHARS]}"


def credential_sha256(text: str) -> str:
    """Return what is stored of a credential."""
    return hashlib.sha256(text.encode()).hexdigest()


def is_name(text: str) -> bool:
    """Tell whether a person's name for a thing is fit for paths, scopes and columns."""
    return _NAME.fullmatch(text) is not None


def is_upstream_name(text: str) -> bool:
    """Tell whether a name can stand in `upstream__tool`, `upstream.tool` and `execute:upstream:tool` alike."""
    return len(text) <= UPSTREAM_NAME_CHARS_MAX and _UPSTREAM_NAME.fullmatch(text) is not None


def _hex32(op: OpId) -> str:
    return op if _HEX32.fullmatch(op) else hashlib.sha256(op.encode()).hexdigest()[:32]


def _chars22(op: OpId) -> str:
    return binascii.b2a_base64(bytes.fromhex(_hex32(op)), newline=False).translate(_SORTABLE)[:22].decode()
