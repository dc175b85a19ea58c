"""The RFC 6962 Merkle tree by its right edge: enough of it to append and to state its root."""

import hashlib
from collections.abc import Callable, Sequence

from haldir.storage.rows import BUNDLE

HASH_BYTES = 32
TILE_HEIGHT = 8
TILE_BYTES = BUNDLE * HASH_BYTES
EMPTY_ROOT = hashlib.sha256(b"").digest()

Keep = Callable[[int, int, bytes], None]


def leaf_hash(body: bytes) -> bytes:
    """Return the hash of a leaf (RFC 9162 §2.1.1)."""
    return hashlib.sha256(b"\0" + body).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node (RFC 9162 §2.1.1)."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Tree:
    """A tree as the last, growing tile of each level: level 0 has leaves, level n roots of 256 below."""

    def __init__(self, edges: Sequence[bytes] = ()) -> None:
        self._edges = [bytearray(edge) for edge in edges] or [bytearray()]
        self.size = sum((len(edge) // HASH_BYTES) << (TILE_HEIGHT * level) for level, edge in enumerate(self._edges))
        self._peaks = [peak for edge in reversed(self._edges) for peak in _peaks(bytes(edge))]

    def append(self, leaf: bytes, keep: Keep) -> None:
        """Add a leaf hash; `keep(level, n, hashes)` is told each tile that is to be stored."""
        self._grow(0, leaf, keep)
        carry, height, rest = leaf, 0, self.size
        while rest & 1:
            carry = node_hash(self._peaks.pop(), carry)
            rest >>= 1
            height += 1
            if height % TILE_HEIGHT == 0:
                self._grow(height // TILE_HEIGHT, carry, keep)
        self._peaks.append(carry)
        self.size += 1

    def root(self) -> bytes:
        """Return the Merkle tree hash (RFC 9162 §2.1.1)."""
        return fold(self._peaks)

    def _grow(self, level: int, hash_: bytes, keep: Keep) -> None:
        if level == len(self._edges):
            self._edges.append(bytearray())
        edge = self._edges[level]
        edge += hash_
        full = len(edge) == TILE_BYTES
        if level or full:  # The growing tile of level 0 is the entries themselves.
            keep(level, self.size >> (TILE_HEIGHT * (level + 1)), bytes(edge))
        if full:
            edge.clear()


def fold(peaks: Sequence[bytes]) -> bytes:
    """Return the hash over adjacent perfect subtrees, largest first."""
    if not peaks:
        return EMPTY_ROOT
    root = peaks[-1]
    for peak in reversed(peaks[:-1]):
        root = node_hash(peak, root)
    return root


def perfect_root(hashes: bytes) -> bytes:
    """Return the root of the perfect subtree over this many hashes, a power of two."""
    row = [hashes[at : at + HASH_BYTES] for at in range(0, len(hashes), HASH_BYTES)]
    while len(row) > 1:
        row = [node_hash(*pair) for pair in zip(row[::2], row[1::2], strict=True)]
    return row[0]


def _peaks(edge: bytes) -> list[bytes]:
    """Return the roots of the perfect subtrees that a growing tile falls into, largest first."""
    peaks, start, width = [], 0, len(edge) // HASH_BYTES
    for height in reversed(range(TILE_HEIGHT)):
        if width >> height & 1:
            end = start + (HASH_BYTES << height)
            peaks.append(perfect_root(edge[start:end]))
            start = end
    return peaks
