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
    lefts = _lefts(index, size)
    if len(path) != len(lefts):
        return False
    found = leaf
    for step, is_left in enumerate(lefts):
        found = node_hash(path[step], found) if is_left else node_hash(found, path[step])
    return found == root


def verify_consistency(first: int, second: int, roots: tuple[bytes, bytes], path: Sequence[bytes]) -> bool:
    """Tell whether the tree of `second` begins with that of `first` (RFC 9162 §2.1.4.2)."""
    if not 0 <= first <= second:
        return False
    if first in {0, second}:
        return not path and (roots[0] == EMPTY_ROOT if first == 0 else roots[0] == roots[1])
    height = (first ^ (first - 1)).bit_length() - 1  # Of the last perfect subtree of the first tree.
    lefts = _lefts(first - 1, second)[height:]
    seeded = path if first & (first - 1) else (roots[0], *path)
    if len(seeded) != len(lefts) + 1:
        return False
    old = new = seeded[0]
    for step, is_left in enumerate(lefts, 1):
        if is_left:
            old, new = node_hash(seeded[step], old), node_hash(seeded[step], new)
        else:
            new = node_hash(new, seeded[step])
    return (old, new) == roots


def _lefts(index: int, size: int) -> list[bool]:
    """Tell of each hash on the way from a leaf to the root whether it stands to the left.

    Below the height where the way meets the tree's right edge each level gives one; above it only those at the left.
    """
    edge = (index ^ (size - 1)).bit_length()
    within = [bool(index >> height & 1) for height in range(edge)]
    return within + [True] * (index >> edge).bit_count()


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
