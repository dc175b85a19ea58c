"""The tree as it is stored: tiles, and the leaves of the entries whose tile is not full yet."""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from haldir.journal.proof import TileAt, root_plan
from haldir.journal.tree import TILE_HEIGHT, Tree
from haldir.storage.rows import Entry, Key, Row, Tile

Load = Callable[[type[Row], tuple[str, ...], Sequence[Key]], Awaitable[Iterable[Row]]]
"""A transaction's `load`, or a reader's for one tenant."""


async def read_tiles(load: Load, wanted: Iterable[TileAt]) -> dict[TileAt, bytes]:
    """Return the tiles that are there; one that still grows may hold more than the asker's tree."""
    wanted = list(wanted)
    found = await load(Tile, ("level", "n"), wanted)
    tiles = {TileAt(row.level, row.n): row.hashes for row in found if isinstance(row, Tile)}
    growing = [(tile.n,) for tile in wanted if tile.level == 0 and tile not in tiles]
    leaves: dict[int, list[tuple[int, bytes]]] = {}
    for row in await load(Entry, ("bundle",), growing) if growing else ():
        assert isinstance(row, Entry)
        leaves.setdefault(row.bundle, []).append((row.slot, row.leaf))
    for bundle, slots in leaves.items():
        tiles[TileAt(0, bundle)] = b"".join(leaf for _, leaf in sorted(slots))
    return tiles


async def read_tree(load: Load, size: int) -> Tree:
    """Return the tree of the log's present size: the growing tile of each level."""
    edges = [TileAt(0, size >> TILE_HEIGHT)]
    while size >> TILE_HEIGHT * len(edges):
        level = len(edges)
        edges.append(TileAt(level, size >> TILE_HEIGHT * (level + 1)))
    tiles = await read_tiles(load, edges)
    return Tree([tiles.get(edge, b"") for edge in edges])


async def read_root(load: Load, size: int) -> bytes:
    """Return the root that the log had at `size`, from what is stored now."""
    plan = root_plan(size)
    return plan.hashes(await read_tiles(load, plan.tiles))[0]
