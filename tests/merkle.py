"""The Merkle tree of RFC 6962 as its section 2.1 defines it, word for word and slowly: shares no code with Haldir's."""

import hashlib
from collections.abc import Sequence


def tree_hash(leaves: Sequence[bytes]) -> bytes:
    """Return MTH of a list of leaf hashes (§2.1)."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return _node(tree_hash(leaves[:k]), tree_hash(leaves[k:]))


def audit_path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    """Return PATH(m, D[n]) (§2.1.1)."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*audit_path(m, leaves[:k]), tree_hash(leaves[k:])]
    return [*audit_path(m - k, leaves[k:]), tree_hash(leaves[:k])]


def consistency_path(m: int, leaves: Sequence[bytes], *, whole: bool = True) -> list[bytes]:
    """Return PROOF(m, D[n]), that is SUBPROOF(m, D[n], true) (§2.1.2)."""
    if m == len(leaves):
        return [] if whole else [tree_hash(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*consistency_path(m, leaves[:k], whole=whole), tree_hash(leaves[k:])]
    return [*consistency_path(m - k, leaves[k:], whole=False), tree_hash(leaves[:k])]


def split(n: int) -> int:
    """Return the largest power of two smaller than n."""
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()
