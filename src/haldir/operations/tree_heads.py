"""The signed head of a log as it is shown (WIRE.md §4, tree-head)."""

import hashlib

import msgspec

from haldir.journal.checkpoint import Signer, read_checkpoint
from haldir.kernel.clock import SECOND
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.storage.rows import Head

KEY_ID_CHARS = 16  # As published clients expect it.


class TreeHead(msgspec.Struct, frozen=True):
    """The log's signed head twice: as `sth:<size>:<root>:<signed_at>`, and as a C2SP checkpoint."""

    tree_size: int
    root_hash: str
    signed_at: int
    signature: str
    algorithm: str
    public_key: str
    key_id: str
    signing_key_source: str
    tenant_id: str
    checkpoint: str
    verifier_key: str


def signed_head(ctx: Context, tenant: TenantId, head: Head) -> TreeHead:
    """Sign a head that was committed."""
    root = read_checkpoint(head.checkpoint).root
    signer, signed_at = signer_of(ctx), ctx.clock() // SECOND
    return TreeHead(
        tree_size=head.size,
        root_hash=root.hex(),
        signed_at=signed_at,
        signature=signer.tree_head(head.size, root, signed_at).hex(),
        algorithm=signer.algorithm,
        public_key=signer.public_key.hex(),
        key_id=key_id_of(signer),
        signing_key_source="deployment",
        tenant_id=tenant,
        checkpoint=head.checkpoint,
        verifier_key=signer.verifier_key(tenant),
    )


def signer_of(ctx: Context) -> Signer:
    return Signer(ctx.keyring.origin, ctx.keyring.signing_key)


def key_id_of(signer: Signer) -> str:
    """Return the name by which the signing key is told from others."""
    return hashlib.sha256(signer.public_key).hexdigest()[:KEY_ID_CHARS]
