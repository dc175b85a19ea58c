"""Proofs for whoever does not trust this Haldir: that an entry is in the log, and that the log only ever grew."""

import msgspec

from haldir.journal.tlog_proof import TlogProof, write_proof
from haldir.kernel import ids
from haldir.kernel.errors import InvalidFormat, InvalidRange, NotFound
from haldir.operations.caller import Caller
from haldir.operations.catalogue import McpTool, Operation
from haldir.operations.context import Context
from haldir.operations.download import Download, text_file
from haldir.operations.tree_heads import TreeHead, signed_head
from haldir.watch import proofs

ALGORITHM = "RFC6962-SHA256"
JSON, TLOG_PROOF = "json", "tlog-proof"


class InclusionProofRequest(msgspec.Struct, frozen=True):
    """`format`: `json`, or `tlog-proof` for a file that needs nothing else to be checked."""

    entry_id: str
    format: str = JSON


class InclusionProof(msgspec.Struct, frozen=True):
    """Hashes in hex, the path from the leaf's sibling up; `sth` is the signed head they lead to."""

    algorithm: str
    entry_id: str
    leaf_index: int
    leaf_hash: str
    tree_size: int
    root_hash: str
    audit_path: list[str]
    sth: TreeHead


class ConsistencyProofRequest(msgspec.Struct, frozen=True):
    """Two sizes of the log, the first of them at least 1; `second` absent is the present size."""

    first: int
    second: int | None = None


class ConsistencyProof(msgspec.Struct, frozen=True):
    algorithm: str
    first_size: int
    second_size: int
    first_root: str
    second_root: str
    consistency_path: list[str]


async def inclusion_proof(ctx: Context, caller: Caller, request: InclusionProofRequest) -> InclusionProof | Download:
    """Prove that an entry is in the log, under the head as it is signed now."""
    if request.format not in {JSON, TLOG_PROOF}:
        raise InvalidFormat(f"`format` must be {JSON} or {TLOG_PROOF}", "format")
    head = await ctx.journal.head(caller.tenant)
    index = ids.entry_index(request.entry_id)
    found = None
    if index is not None and index < head.size:
        found = await proofs.inclusion(ctx.store, caller.tenant, index, head.size)
    if index is None or found is None:
        raise NotFound(f"There is no entry {request.entry_id}.")
    if request.format == TLOG_PROOF:
        proof = TlogProof(index, found.path, head.checkpoint, extra=found.body)
        return text_file(f"{request.entry_id}.tlog-proof", write_proof(proof))
    return InclusionProof(
        algorithm=ALGORITHM,
        entry_id=request.entry_id,
        leaf_index=index,
        leaf_hash=found.leaf.hex(),
        tree_size=head.size,
        root_hash=found.root.hex(),
        audit_path=[each.hex() for each in found.path],
        sth=signed_head(ctx, caller.tenant, head),
    )


async def consistency_proof(ctx: Context, caller: Caller, request: ConsistencyProofRequest) -> ConsistencyProof:
    """Prove that the log of one size has grown out of the log of a smaller one."""
    size = (await ctx.journal.head(caller.tenant)).size
    second = size if request.second is None else request.second
    if not 1 <= request.first <= second <= size:
        raise InvalidRange(f"the log has {size} entries: 1 <= first <= second <= {size} must hold", "first")
    found = await proofs.consistency(ctx.store, caller.tenant, request.first, second)
    return ConsistencyProof(
        algorithm=ALGORITHM,
        first_size=request.first,
        second_size=second,
        first_root=found.first_root.hex(),
        second_root=found.second_root.hex(),
        consistency_path=[each.hex() for each in found.path],
    )


OPERATIONS = (
    Operation(
        name="get_inclusion_proof",
        method="GET",
        path="/v1/audit/inclusion-proof/{entry_id}",
        summary="Prove that an entry is in the log",
        scope="audit:read",
        request=InclusionProofRequest,
        response=InclusionProof,
        run=inclusion_proof,
        files=("text/plain",),
        tag="audit",
        mcp=McpTool(
            name="haldir_get_inclusion_proof",
            effect="reads",
            aliases=("get_inclusion_proof",),
            omitted=("format",),
            stdio_only=True,
        ),
    ),
    Operation(
        name="get_consistency_proof",
        method="GET",
        path="/v1/audit/consistency-proof",
        summary="Prove that the log only grew",
        scope="audit:read",
        request=ConsistencyProofRequest,
        response=ConsistencyProof,
        run=consistency_proof,
        tag="audit",
        mcp=McpTool(
            name="haldir_get_consistency_proof", effect="reads", aliases=("get_consistency_proof",), stdio_only=True
        ),
    ),
)
