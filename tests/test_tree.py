"""The Merkle tree and its proofs, held against RFC 9162 as it is written down there, recursively."""

import asyncio
import functools
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from haldir.journal.proof import (
    TileAt,
    consistency_plan,
    inclusion_plan,
    root_plan,
    verify_consistency,
    verify_inclusion,
)
from haldir.journal.tiles import read_root, read_tiles, read_tree
from haldir.journal.tree import EMPTY_ROOT, TILE_BYTES, Tree, leaf_hash, node_hash, perfect_root
from haldir.storage.rows import BUNDLE, Entry, Key, Row, Tile

SIZE_MAX = 70_000  # A tree with a growing tile at level 2.
LEAVES = [leaf_hash(b"%d" % n) for n in range(SIZE_MAX)]


class Stored:
    """What the journal would have stored of the first `size` leaves."""

    def __init__(self, size: int) -> None:
        self.tree, self.size = Tree(), size
        self.tiles: dict[TileAt, bytes] = {}
        for leaf in LEAVES[:size]:
            self.tree.append(leaf, lambda level, n, hashes: self.tiles.update({TileAt(level, n): hashes}))

    async def load(self, row_type: type[Row], _columns: tuple[str, ...], values: Sequence[Key]) -> list[Row]:
        if row_type is Tile:
            return [Tile(at.level, at.n, self.tiles[at]) for at in map(_tile_at, values) if at in self.tiles]
        return [
            Entry(at // BUNDLE, at % BUNDLE, f"op{at}", LEAVES[at], b"", "test")
            for at in range(self.size)
            if (at // BUNDLE,) in values
        ]

    def all_tiles(self) -> dict[TileAt, bytes]:
        growing = TileAt(0, self.size // BUNDLE)
        return self.tiles | {growing: b"".join(LEAVES[growing.n * BUNDLE : self.size])}


def _tile_at(value: Key) -> TileAt:
    level, n = value
    assert isinstance(level, int)
    assert isinstance(n, int)
    return TileAt(level, n)


@pytest.fixture(scope="module")
def stored() -> Stored:
    return Stored(SIZE_MAX - 123)


@functools.cache
def root(begin: int, end: int) -> bytes:
    """RFC 9162 §2.1.1, word for word, of the leaves from `begin` to `end`."""
    if end - begin < 2:
        return LEAVES[begin] if begin < end else hashlib.sha256(b"").digest()
    k = begin + largest_power_below(end - begin)
    return node_hash(root(begin, k), root(k, end))


def audit_path(at: int, begin: int, end: int) -> list[bytes]:
    """RFC 9162 §2.1.3.1, of the leaf at `at` among those from `begin` to `end`."""
    if end - begin == 1:
        return []
    k = begin + largest_power_below(end - begin)
    if at < k:
        return [*audit_path(at, begin, k), root(k, end)]
    return [*audit_path(at, k, end), root(begin, k)]


def consistency_path(first: int, begin: int, end: int, *, whole: bool = True) -> list[bytes]:
    """RFC 9162 §2.1.4.1, of the tree that ends at `first` in the one from `begin` to `end`."""
    if first == end:
        return [] if whole else [root(begin, end)]
    k = begin + largest_power_below(end - begin)
    if first <= k:
        return [*consistency_path(first, begin, k, whole=whole), root(k, end)]
    return [*consistency_path(first, k, end, whole=False), root(begin, k)]


def largest_power_below(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def test_leaves_and_nodes_hash_as_certificate_transparency_does() -> None:
    """The well-known vectors: the empty leaf, and the tree of the eight inputs of the reference implementation."""
    assert leaf_hash(b"").hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    inputs = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    tree = Tree()
    for text in inputs:
        tree.append(leaf_hash(bytes.fromhex(text)), lambda *_: None)
    assert tree.root().hex() == "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"


def test_the_root_of_every_small_tree_is_the_definitions() -> None:
    tree = Tree()
    for size in range(600):
        assert tree.root() == root(0, size)
        assert tree.size == size
        tree.append(LEAVES[size], lambda *_: None)


@settings(deadline=None)
@given(st.integers(0, 70_000 - 123))
def test_the_root_of_any_older_size_comes_out_of_the_tiles(stored: Stored, size: int) -> None:
    plan = root_plan(size)
    assert plan.hashes(stored.all_tiles()) == [root(0, size)]
    assert len(plan.tiles) <= 3


@settings(deadline=None)
@given(st.data())
def test_an_inclusion_proof_is_the_definitions_and_verifies_only_itself(stored: Stored, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 2_000) | st.integers(1, stored.size))
    index = data.draw(st.integers(0, size - 1))
    path = inclusion_plan(index, size).hashes(stored.all_tiles())
    top = root(0, size)
    assert path == audit_path(index, 0, size)
    assert verify_inclusion(LEAVES[index], index, size, path, top)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, path, top)
    assert not verify_inclusion(LEAVES[index], index, size, [*path, top], top)
    assert not verify_inclusion(LEAVES[index], index, size, path, leaf_hash(b"other"))
    if size > 1:
        assert not verify_inclusion(LEAVES[index], index, size, path[:-1], top)
        assert not verify_inclusion(LEAVES[index], (index + 1) % size, size, path, top)


@settings(deadline=None)
@given(st.data())
def test_a_consistency_proof_is_the_definitions_and_verifies_only_itself(stored: Stored, data: st.DataObject) -> None:
    second = data.draw(st.integers(1, 2_000) | st.integers(1, stored.size))
    first = data.draw(st.integers(1, second))
    path = consistency_plan(first, second).hashes(stored.all_tiles())
    roots = root(0, first), root(0, second)
    assert path == consistency_path(first, 0, second)
    assert verify_consistency(first, second, roots, path)
    other = leaf_hash(b"other")
    assert not verify_consistency(first, second, (roots[0], other), path)
    assert not verify_consistency(first, second, (other, roots[1]), path)
    assert not verify_consistency(first, second, roots, [*path, other])
    if path:
        assert not verify_consistency(first, second, roots, path[:-1])
        assert not verify_consistency(first, second, roots, [other, *path[1:]])


def test_every_small_pair_of_sizes_is_proved_consistent(stored: Stored) -> None:
    tiles = stored.all_tiles()
    roots = [root(0, size) for size in range(70)]
    for second in range(1, 70):
        for first in range(1, second + 1):
            path = consistency_plan(first, second).hashes(tiles)
            assert verify_consistency(first, second, (roots[first], roots[second]), path)


def test_an_empty_log_is_consistent_with_any_other() -> None:
    nothing = hashlib.sha256(b"").digest()  # RFC 6962, section 2.1.
    assert Tree().root() == nothing
    assert verify_consistency(0, 5, (nothing, LEAVES[0]), [])
    assert not verify_consistency(0, 5, (LEAVES[1], LEAVES[0]), [])
    assert not verify_consistency(2, 1, (LEAVES[1], LEAVES[0]), [])
    assert not verify_inclusion(LEAVES[0], 0, 0, [], LEAVES[0])


def test_every_place_of_a_small_tree_is_proved_and_no_place_that_it_has_not(stored: Stored) -> None:
    tiles = stored.all_tiles()
    for size in range(1, 20):
        for index in range(size):
            path, top = inclusion_plan(index, size).hashes(tiles), root(0, size)
            assert verify_inclusion(LEAVES[index], index, size, path, top)
            for wrong in (index - size, index - 32, index + size, index + 32, index + 64, size):
                assert not verify_inclusion(LEAVES[index], wrong, size, path, top), (index, wrong, size)


def test_no_proof_holds_for_a_tree_that_shrank_or_for_less_than_a_proof() -> None:
    for first in range(-5, 20):
        for second in range(-5, first):
            for path in ([], [LEAVES[0]], [LEAVES[0], LEAVES[1]]):
                assert not verify_consistency(first, second, (LEAVES[0], LEAVES[0]), path), (first, second)
    for second in range(2, 20):
        for first in range(1, second):
            assert not verify_consistency(first, second, (root(0, first), root(0, second)), [])
            for path in ([], [LEAVES[0]]):  # Two sizes never have one root, whatever path is told for it.
                assert not verify_consistency(first, second, (LEAVES[0], LEAVES[0]), path)


def every_change_of(path: list[bytes]) -> Iterator[list[bytes]]:
    """Yield what is almost this path: a hash bent, cut, grown, left out, put in, doubled, or all of them turned round."""
    for at, hash_ in enumerate(path):
        for other in (
            hash_[:-1],
            hash_ + b"!",
            b"",
            bytes([hash_[0] ^ 1]) + hash_[1:],
            hash_[:-1] + bytes([hash_[-1] ^ 128]),
        ):
            yield [*path[:at], other, *path[at + 1 :]]
        yield [*path[:at], *path[at + 1 :]]
        yield [*path[:at], hash_, *path[at:]]
    for at in range(len(path) + 1):
        for other in (b"", EMPTY_ROOT, LEAVES[0]):
            yield [*path[:at], other, *path[at:]]
    if path != path[::-1]:
        yield path[::-1]


def test_whatever_is_changed_in_an_inclusion_proof_it_is_refused() -> None:
    for size in range(1, 18):
        for index in range(size):
            path, top = audit_path(index, 0, size), root(0, size)
            for changed in every_change_of(path):
                assert not verify_inclusion(LEAVES[index], index, size, changed, top), (index, size, changed)
            for place in range(-size, 2 * size):
                assert (place == index) == verify_inclusion(LEAVES[index], place, size, path, top)
            for longer in (node_hash(top, EMPTY_ROOT), node_hash(EMPTY_ROOT, top)):
                assert not verify_inclusion(LEAVES[index], index, size, [*path, EMPTY_ROOT], longer)
            if path:  # A subtree's root is not the tree's.
                k = largest_power_below(size)
                assert not verify_inclusion(
                    LEAVES[index], index, size, path[:-1], root(0, k) if index < k else root(k, size)
                )


def test_no_proof_holds_at_a_size_that_did_not_have_the_entry_yet() -> None:
    for size in range(18):
        path = audit_path(size, 0, size + 1)
        assert verify_inclusion(LEAVES[size], size, size + 1, path, root(0, size + 1))
        assert not verify_inclusion(LEAVES[size], size, size, path, root(0, size + 1))


def test_whatever_is_changed_in_a_consistency_proof_it_is_refused() -> None:
    for second in range(1, 18):
        for first in range(1, second + 1):
            path, roots = consistency_path(first, 0, second), (root(0, first), root(0, second))
            assert verify_consistency(first, second, roots, path)
            for changed in every_change_of(path):
                assert not verify_consistency(first, second, roots, changed), (first, second, changed)
            for old, new in itertools.product(
                (node_hash(EMPTY_ROOT, roots[0]), roots[0]),
                (node_hash(EMPTY_ROOT, roots[1]), node_hash(roots[1], EMPTY_ROOT)),
            ):
                assert not verify_consistency(first, second, (old, new), [*path, EMPTY_ROOT])


def test_a_proof_of_what_cannot_be_is_refused() -> None:
    for index, size in ((5, 5), (-1, 5), (0, 0)):
        with pytest.raises(ValueError, match="no leaf"):
            inclusion_plan(index, size)
    for first, second in ((0, 5), (6, 5)):
        with pytest.raises(ValueError, match="does not grow"):
            consistency_plan(first, second)


def test_a_short_tile_is_never_mistaken_for_a_whole_one() -> None:
    with pytest.raises(LookupError, match="shorter"):
        root_plan(200).hashes({TileAt(0, 0): b"x" * 32 * 100})
    with pytest.raises(ValueError, match="shorter"):
        perfect_root(b"x" * 32 * 3)  # Not the root of the two that make a pair.


def test_a_tile_that_is_whole_is_read_as_such_and_only_the_growing_one_from_its_entries() -> None:
    stored, asked = Stored(600), list[Key]()

    async def load(row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]) -> list[Row]:
        asked.extend(values if row_type is Entry else ())
        return await stored.load(row_type, columns, values)

    wanted = [TileAt(0, 0), TileAt(0, 2), TileAt(1, 0), TileAt(2, 1)]
    tiles = asyncio.run(read_tiles(load, wanted))
    assert tiles == {at: stored.all_tiles()[at] for at in wanted[:3]}
    assert asked == [(2,)]


def test_a_tree_remembers_one_growing_tile_of_each_level() -> None:
    tree = Tree()
    for count, levels in ((255, 1), (1, 2), (1000, 2)):
        for leaf in LEAVES[:count]:
            tree.append(leaf, lambda *_: None)
        assert len(tree._edges) == levels
        assert sum(map(len, tree._edges)) <= 2 * TILE_BYTES


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 511, 65_535, 65_536, 65_537, 66_000])
def test_a_tree_read_back_grows_on_as_if_it_had_never_been_away(size: int) -> None:
    stored, kept = Stored(size), dict[tuple[int, int], bytes]()
    tree = asyncio.run(read_tree(stored.load, size))
    assert (tree.size, tree.root()) == (size, stored.tree.root())
    assert asyncio.run(read_root(stored.load, size)) == stored.tree.root()
    expected = dict[tuple[int, int], bytes]()
    for leaf in LEAVES[size : size + 600]:
        tree.append(leaf, _into(kept))
        stored.tree.append(leaf, _into(expected))
    assert tree.root() == stored.tree.root()
    assert kept == expected


def test_only_whole_leaf_tiles_are_kept_and_growing_tiles_above() -> None:
    stored = Stored(1_000)
    assert {at: len(hashes) // 32 for at, hashes in stored.tiles.items()} == {
        (0, 0): 256,
        (0, 1): 256,
        (0, 2): 256,
        (1, 0): 3,
    }
    assert len(stored.tiles[TileAt(0, 0)]) == TILE_BYTES


def _into(kept: dict[tuple[int, int], bytes]) -> Any:
    return lambda level, n, hashes: kept.update({(level, n): hashes})
