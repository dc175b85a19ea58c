"""Proofs about the log: what an auditor needs to see that an entry is in it, and that it only ever grew.

Pure. A `Plan` says which tiles to fetch and what to make of them; the verifications need nothing but hashes.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from haldir.journal.tree import EMPTY_ROOT, HASH_BYTES, TILE_HEIGHT, fold, node_hash, perfect_root


class TileAt(NamedTuple):
    """Where a tile stands: tile `n` of `level` (C2SP tlog-tiles)."""

    level: int
    n: int


class Node(NamedTuple):
    """The perfect subtree over the 2^height leaves from n * 2^height on."""

    height: int
    n: int

    @property
    def tile(self) -> TileAt:
        return TileAt(self.height // TILE_HEIGHT, self.n >> (TILE_HEIGHT - self.height % TILE_HEIGHT))

    def hash(self, tiles: Mapping[TileAt, bytes]) -> bytes:
        width = 1 << (self.height % TILE_HEIGHT)
        start = self.n * width % (1 << TILE_HEIGHT)
        hashes = tiles[self.tile][start * HASH_BYTES : (start + width) * HASH_BYTES]
        if len(hashes) < width * HASH_BYTES:
            raise LookupError(f"the tile {self.tile} is shorter than the tree")
        return perfect_root(hashes)


class Plan(msgspec.Struct, frozen=True):
    """Hashes to be computed; each is the fold of some perfect subtrees, largest first."""

    folds: tuple[tuple[Node, ...], ...]

    @property
    def tiles(self) -> tuple[TileAt, ...]:
        """Name the tiles that `hashes` will read."""
        return tuple(dict.fromkeys(node.tile for nodes in self.folds for node in nodes))

    def hashes(self, tiles: Mapping[TileAt, bytes]) -> list[bytes]:
        """Return the hashes; a tile may be longer than the tree was then."""
        return [fold([node.hash(tiles) for node in nodes]) for nodes in self.folds]


def root_plan(size: int) -> Plan:
    """Plan the root of the first `size` leaves."""
    return Plan((_subtrees(0, size),))


def inclusion_plan(index: int, size: int) -> Plan:
    """Plan the audit path of the leaf at `index` in the tree of `size` (RFC 9162 §2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    ranges, begin, end = [], 0, size
    while end - begin > 1:
        split = begin + _split(end - begin)
        if index < split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((begin, split))
            begin = split
    return _planned(reversed(ranges))


def consistency_plan(first: int, second: int) -> Plan:
    """Plan the proof that the tree of `second` begins with that of `first` (RFC 9162 §2.1.4.1)."""
    if not 0 < first <= second:
        raise ValueError(f"the tree of {second} does not grow out of one of {first}")
    ranges, begin, end, left_edge = [], 0, second, True
    while first != end:
        split = begin + _split(end - begin)
        if first <= split:
            ranges.append((split, end))
            end = split
        else:
            ranges.append((begin, split))
            begin, left_edge = split, False
    if not left_edge:  # What the verifier has is the whole first tree; anything less must be given.
        ranges.append((begin, end))
    return _planned(reversed(ranges))


def verify_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes) -> bool:
    """Tell whether the leaf hash stands at `index` under `root` (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found, rest = index, size - 1, leaf, list(path)
    while last:
        if not rest:
            return False
        if at & 1 or at == last:
            found = node_hash(rest.pop(0), found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, rest.pop(0))
        at, last = at >> 1, last >> 1
    return not rest and found == root


def verify_consistency(first: int, second: int, roots: tuple[bytes, bytes], path: Sequence[bytes]) -> bool:
    """Tell whether the tree of `second` begins with that of `first` (RFC 9162 §2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first in {0, second}:
        return not path and (roots[0] == EMPTY_ROOT if first == 0 else roots[0] == roots[1])
    rest = list(path) if first & (first - 1) else [roots[0], *path]
    if not rest:
        return False
    at, last = first - 1, second - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    old = new = rest.pop(0)
    for hash_ in rest:
        if not last:
            return False
        if at & 1 or at == last:
            old, new = node_hash(hash_, old), node_hash(hash_, new)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new = node_hash(new, hash_)
        at, last = at >> 1, last >> 1
    return not last and (old, new) == roots


def _planned(ranges: "reversed[tuple[int, int]]") -> Plan:
    return Plan(tuple(_subtrees(begin, end) for begin, end in ranges))


def _subtrees(begin: int, end: int) -> tuple[Node, ...]:
    """Split a range that starts where the RFC's trees do into perfect subtrees, largest first."""
    nodes = []
    while begin < end:
        height = (end - begin).bit_length() - 1
        nodes.append(Node(height, begin >> height))
        begin += 1 << height
    return tuple(nodes)


def _split(width: int) -> int:
    """Return the largest power of two below `width`."""
    return 1 << (width - 1).bit_length() - 1
