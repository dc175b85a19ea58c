"""Signed tree heads: C2SP checkpoints (signed notes, Ed25519), made here and verified by anyone.

Each tenant's log is its own origin, `<deployment>/<tenant>`, and its key bears that name, as verifiers of
signed notes expect; all names of a deployment share one key.
"""

import base64
import binascii
import hashlib
import re

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from haldir.journal.tree import HASH_BYTES
from haldir.kernel.ids import TenantId

ED25519 = b"\x01"  # The signature type of a signed note.
KEY_ID_BYTES = 4
SIGNATURES_MAX = 16  # A log's own and some witnesses'; more would only cost time.

_NOTE = re.compile(
    r"(?P<text>(?P<origin>[^\n]+)\n(?P<size>0|[1-9][0-9]{0,18})\n(?P<root>[A-Za-z0-9+/=]+)\n(?:[^\n]+\n)*)\n"
    r"(?P<signatures>(?:— [^\n]+\n)+)"
)


class BadCheckpoint(ValueError):
    """The text is no checkpoint, or nobody whose key is known signed it."""


class Checkpoint(msgspec.Struct, frozen=True):
    """What a signed note says: so many entries have this root."""

    origin: str
    size: int
    root: bytes

    @property
    def tenant(self) -> TenantId:
        return TenantId(self.origin.rpartition("/")[2])


class Signer:
    """Signs the heads of a deployment's logs."""

    algorithm = "Ed25519-over-canonical-sth"

    def __init__(self, origin: str, key: Ed25519PrivateKey) -> None:
        if not origin or " " in origin or "+" in origin or not origin.isprintable():
            raise ValueError(f"{origin!r} cannot be the name of a key: no spaces, no plus signs")
        self.origin, self._key = origin, key
        self.public_key = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def checkpoint(self, tenant: TenantId, size: int, root: bytes) -> str:
        """Return the signed note that says: this tenant's log has this root at this size."""
        name = self._name(tenant)
        text = f"{name}\n{size}\n{base64.b64encode(root).decode()}\n"
        signature = key_id(name, self.public_key) + self._key.sign(text.encode())
        return f"{text}\n— {name} {base64.b64encode(signature).decode()}\n"

    def tree_head(self, size: int, root: bytes, signed_at: int) -> bytes:
        """Return the signature over a tree head as older clients verify it (WIRE.md §4, tree-head)."""
        return self._key.sign(_tree_head(size, root, signed_at))

    def document(self, canonical_json: bytes) -> bytes:
        """Return the signature over a JSON object; neither a checkpoint nor a tree head begins like one."""
        assert canonical_json.startswith(b"{")
        return self._key.sign(canonical_json)

    def verifier_key(self, tenant: TenantId) -> str:
        """Return what a verifier of signed notes is configured with."""
        name = self._name(tenant)
        key = base64.b64encode(ED25519 + self.public_key).decode()
        return f"{name}+{key_id(name, self.public_key).hex()}+{key}"

    def _name(self, tenant: TenantId) -> str:
        return f"{self.origin}/{tenant}"


def key_id(name: str, public_key: bytes) -> bytes:
    """Return the hint by which a signature line names its key."""
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + public_key).digest()[:KEY_ID_BYTES]


def read_checkpoint(note: str) -> Checkpoint:
    """Return what a note says, whoever signed it."""
    return _parse(note)[0]


def verify_checkpoint(note: str, verifier_key: str) -> Checkpoint:
    """Return what a note says, if it is of the log that `verifier_key` names and signed by it."""
    checkpoint, text, signatures = _parse(note)
    name, public_key = _read_verifier_key(verifier_key)
    if checkpoint.origin != name:
        raise BadCheckpoint(f"the checkpoint is of the log {checkpoint.origin!r}, not {name!r}")
    wanted = key_id(name, public_key)
    for signer, signature in signatures:
        if signer == name and signature[:KEY_ID_BYTES] == wanted:
            try:
                Ed25519PublicKey.from_public_bytes(public_key).verify(signature[KEY_ID_BYTES:], text.encode())
            except InvalidSignature:
                break
            return checkpoint
    raise BadCheckpoint(f"the checkpoint bears no valid signature of {name!r}")


def verify_tree_head(signature: bytes, public_key: bytes, size: int, root: bytes, signed_at: int) -> bool:
    """Tell whether `signature` is over this tree head (WIRE.md §4, tree-head)."""
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, _tree_head(size, root, signed_at))
    except InvalidSignature:
        return False
    return True


def _tree_head(size: int, root: bytes, signed_at: int) -> bytes:
    return f"sth:{size}:{root.hex()}:{signed_at}".encode()


def _parse(note: str) -> tuple[Checkpoint, str, list[tuple[str, bytes]]]:
    found = _NOTE.fullmatch(note)
    if found is None:
        raise BadCheckpoint("this is no signed checkpoint")
    root = _decoded(found["root"])
    lines = found["signatures"].splitlines()
    if len(root) != HASH_BYTES or len(lines) > SIGNATURES_MAX:
        raise BadCheckpoint("this is no signed checkpoint")
    signatures = [(name, _decoded(rest)) for name, _, rest in (line[2:].partition(" ") for line in lines)]
    return Checkpoint(found["origin"], int(found["size"]), root), found["text"], signatures


def _read_verifier_key(text: str) -> tuple[str, bytes]:
    name, _, rest = text.partition("+")
    hint, _, encoded = rest.partition("+")
    key = _decoded(encoded)
    if key[:1] != ED25519 or len(key) != HASH_BYTES + 1 or key_id(name, key[1:]).hex() != hint:
        raise BadCheckpoint("this is no verifier key of an Ed25519 log")
    return name, key[1:]


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadCheckpoint("the checkpoint or key holds bad base64") from error
