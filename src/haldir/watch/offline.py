"""Proofs and exports held against a checkpoint that somebody kept, without any server. Pure."""

from collections.abc import Iterable, Sequence

import msgspec

from haldir.journal.checkpoint import BadCheckpoint, Checkpoint, read_checkpoint, verify_checkpoint
from haldir.journal.proof import verify_inclusion
from haldir.journal.tlog_proof import BadProof, TlogProof, read_proof
from haldir.journal.tree import Tree, leaf_hash
from haldir.kernel.clock import unix_seconds
from haldir.kernel.ids import entry_id
from haldir.watch.reading import Unreadable, read_body

MANIFEST = b'{"type":"manifest"'  # How the last line of an export begins.


class NotVerified(ValueError):
    """The file does not hold what it claims; the message says why."""


class ExportedLine(msgspec.Struct, frozen=True):
    """What is checked of a line of an export: what it shows must be what its record says."""

    entry_id: str
    tenant_id: str
    session_id: str
    agent_id: str
    upstream: str
    tool: str
    kind: str
    allowed: bool
    code: str
    reason: str
    timestamp: float
    record: str
    entry_hash: str
    policy_version: int | None = None


def verified_proof(text: str, kept: Sequence[Checkpoint], verifier_key: str | None) -> TlogProof:
    """Return the proof, if its entry is under a checkpoint that was kept, or under one that is signed by this key.

    Where both are given both must hold; one must be given. Raises NotVerified.
    """
    assert kept or verifier_key
    try:
        proof = read_proof(text)
        said = verify_checkpoint(proof.checkpoint, verifier_key) if verifier_key else read_checkpoint(proof.checkpoint)
    except (BadProof, BadCheckpoint) as error:
        raise NotVerified(str(error)) from error
    if kept and said not in kept:
        heads = ", ".join(f"{each.size} entries of {each.origin}" for each in kept)
        raise NotVerified(f"the proof is under a head of {said.size} entries of {said.origin}; kept were {heads}")
    if not proof.extra:
        raise NotVerified("the proof does not carry its entry")
    if not verify_inclusion(leaf_hash(proof.extra), proof.index, said.size, proof.path, said.root):
        raise NotVerified(f"{entry_id(proof.index)} is not under the root of the checkpoint")
    return proof


def verified_export(lines: Iterable[bytes], kept: Sequence[Checkpoint]) -> int:
    """Return how many entries an export holds, if it begins with those of its tenant's kept checkpoint.

    Raises NotVerified.

    It must be whole: of every kind, from the first entry on, for a root speaks only for all entries before it.
    """
    tree, pinned = Tree(), None
    for line in lines:
        if line.startswith(MANIFEST):
            break
        shown = _read(line, tree.size)
        pinned = pinned or _of_tenant(kept, shown.tenant_id)
        tree.append(_checked(shown, tree.size, pinned), _keep_nothing)
        if tree.size == pinned.size and tree.root() != pinned.root:
            raise NotVerified(f"the first {pinned.size} entries are not those of the checkpoint")
    if pinned is None:
        raise NotVerified("the export holds no entry")
    if tree.size < pinned.size:
        raise NotVerified(f"the export ends after {tree.size} entries; the checkpoint is of {pinned.size}")
    return tree.size


def _of_tenant(kept: Sequence[Checkpoint], tenant_id: str) -> Checkpoint:
    for each in kept:
        if each.tenant == tenant_id:
            return each
    raise NotVerified(f"no checkpoint of the tenant {tenant_id} was kept")


def _read(line: bytes, index: int) -> ExportedLine:
    try:
        return msgspec.json.decode(line, type=ExportedLine)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise NotVerified(f"line {index + 1} is no entry of an export: {error}") from error


def _checked(shown: ExportedLine, index: int, pinned: Checkpoint) -> bytes:
    """Return the hash of a line's record, if the line shows what the record says."""
    try:
        record, asked = read_body(shown.record.encode())
    except Unreadable as error:
        raise NotVerified(f"the record of {entry_id(index)} cannot be read: {error}") from error
    if shown.entry_id != entry_id(index):
        raise NotVerified(f"{entry_id(index)} is not where it belongs: the export is not whole")
    leaf, about = leaf_hash(shown.record.encode()), record.about
    told = ExportedLine(
        entry_id=entry_id(index),
        tenant_id=pinned.tenant,
        session_id=about.session_id,
        agent_id=about.agent_id,
        upstream=about.upstream,
        tool=about.tool,
        kind=asked.kind,
        allowed=record.allowed,
        code=record.code,
        reason=record.reason,
        timestamp=unix_seconds(record.at),
        record=shown.record,
        entry_hash=leaf.hex(),
        policy_version=asked.policy_version,
    )
    if shown != told:
        raise NotVerified(f"{entry_id(index)} is not shown as its record has it")
    return leaf


def _keep_nothing(_level: int, _n: int, _hashes: bytes) -> None:
    """Forget a tile: only the root is asked for."""
