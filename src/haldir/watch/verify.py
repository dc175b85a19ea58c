"""Verification of a whole log: every byte is held against the signed head, and each fault names its entry.

It believes nothing but the head's signature and the checkpoints that somebody kept elsewhere.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from haldir.journal.checkpoint import BadCheckpoint, Checkpoint, verify_checkpoint
from haldir.journal.proof import TileAt
from haldir.journal.tree import HASH_BYTES, TILE_BYTES, Tree, leaf_hash
from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId, entry_id
from haldir.storage.engine import Reader
from haldir.storage.rows import BUNDLE, Entry, Head
from haldir.watch.queries import first_beyond, read_bundle, read_head, stored_tiles
from haldir.watch.reading import Unreadable, read_body

FINDINGS_MAX = 100  # One is enough to distrust a log; these are plenty to see what was done to it.


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is not as it was signed; `index` names the entry, where one can be named."""

    problem: str
    message: str
    index: int | None = None


class Pin(msgspec.Struct, frozen=True):
    """What somebody kept of the log outside the database: so many entries had this root."""

    size: int
    root: bytes


class Verification(msgspec.Struct, frozen=True):
    """How far the log was read, the root of that, and what is wrong with it."""

    entries_checked: int
    root: bytes
    findings: tuple[Finding, ...]

    @property
    def verified(self) -> bool:
        return not self.findings


async def verify_log(reader: Reader, tenant: TenantId, verifier_key: str, pins: Sequence[Pin] = ()) -> Verification:
    """Verify the log as far as its head reaches now. It may grow meanwhile: what is added is not looked at.

    Memory holds one bundle of entries and one path of tiles; hashing is done off the event loop.
    """
    head = await read_head(reader, tenant)
    check = LogCheck(pins)
    for bundle in range(-(-head.size // BUNDLE)):
        entries = await read_bundle(reader, tenant, bundle)
        await asyncio.to_thread(check.feed, [entry for entry in entries if entry.index < head.size])
        due = check.full_tiles()
        check.compare_tiles(due, await stored_tiles(reader, tenant, list(due)), exact=True)
        if check.stopped:
            break
    due = check.open_tiles()
    kept = await stored_tiles(reader, tenant, list(due))
    beyond = await first_beyond(reader, tenant, head.size)
    unmoved = (await read_head(reader, tenant)).size == head.size
    check.compare_tiles(due, kept, exact=unmoved)
    check.close(head, verifier_key, beyond if unmoved else None)
    return check.result()


class LogCheck:
    """Takes a log in, entry by entry, and remembers what is wrong with it."""

    def __init__(self, pins: Sequence[Pin] = ()) -> None:
        self.stopped = False  # Nothing after this point can be placed.
        self._tree = Tree()
        self._roots: dict[int, bytes] = {}
        self._pins = pins
        self._pinned_sizes = {pin.size for pin in pins}
        self._tiles: dict[TileAt, bytes] = {}
        self._written_at: Micros = 0
        self._findings: list[Finding] = []

    def feed(self, entries: Sequence[Entry]) -> None:
        """Take the next entries."""
        for entry in entries:
            if self.stopped:
                return
            self._take(entry)

    def full_tiles(self) -> dict[TileAt, bytes]:
        """Return the tiles that are complete, and forget them."""
        full = {key: hashes for key, hashes in self._tiles.items() if len(hashes) == TILE_BYTES}
        for key in full:
            del self._tiles[key]
        return full

    def open_tiles(self) -> dict[TileAt, bytes]:
        """Return the tiles that still grow."""
        return self._tiles

    def compare_tiles(self, computed: Mapping[TileAt, bytes], stored: Mapping[TileAt, bytes], *, exact: bool) -> None:
        """Hold stored tiles against what the entries yield; not `exact`, they may have grown since."""
        for (level, n), hashes in computed.items():
            kept = stored.get(TileAt(level, n), b"")
            if kept != hashes and (exact or not kept.startswith(hashes)):
                self._blame_tile(level, n, hashes, kept)

    def close(self, head: Head, verifier_key: str, beyond: int | None) -> None:
        """Hold what was read against the head, its signature and the pins."""
        if self._tree.size < head.size and not self.stopped:
            self._lost(self._tree.size)
        if beyond is not None:
            self._find("entry_beyond_head", f"{entry_id(beyond)} stands beyond the head of the log.", beyond)
        if head.written_at != self._written_at and not self.stopped:
            self._find("head_altered", "The head does not bear the time of the last entry.")
        self._check_signature(head, verifier_key)
        for pin in self._pins:
            self._check_pin(pin)

    def result(self) -> Verification:
        return Verification(self._tree.size, self._tree.root(), tuple(self._findings[:FINDINGS_MAX]))

    def _take(self, entry: Entry) -> None:
        if entry.index != self._tree.size:
            self._lost(self._tree.size)
            return
        leaf = leaf_hash(entry.body)
        if leaf != entry.leaf:
            self._find(
                "entry_altered", f"{entry_id(entry.index)} does not have the hash it was stored with.", entry.index
            )
        try:
            self._check_columns(entry)
        except Unreadable as error:
            self._find("entry_unreadable", f"{entry_id(entry.index)} cannot be read: {error}.", entry.index)
        self._tree.append(leaf, self._keep_tile)
        if self._tree.size in self._pinned_sizes:
            self._roots[self._tree.size] = self._tree.root()
        self.stopped |= len(self._findings) >= FINDINGS_MAX

    def _check_columns(self, entry: Entry) -> None:
        """Compare what helps to find an entry with what the entry says, and its time with the one before."""
        record, asked = read_body(entry.body)
        said = {
            "op_id": (entry.op_id, asked.op_id),
            "kind": (entry.kind, asked.kind),
            "session_id": (entry.session_id, record.about.session_id),
            "agent_id": (entry.agent_id, record.about.agent_id),
            "tool": (entry.tool, record.about.tool),
            "flagged": (entry.flagged, bool(record.flags)),
            "noticed": (entry.noticed, bool(record.notices)),
            "code": (entry.code, record.code),
        }
        for column, (stored, signed) in said.items():
            if stored != signed:
                message = f"The column {column} of {entry_id(entry.index)} is not what the entry says."
                self._find("column_altered", message, entry.index)
        if record.at < self._written_at:
            self._find("time_reversed", f"{entry_id(entry.index)} is older than the entry before it.", entry.index)
        self._written_at = record.at

    def _keep_tile(self, level: int, n: int, hashes: bytes) -> None:
        self._tiles[TileAt(level, n)] = hashes

    def _blame_tile(self, level: int, n: int, computed: bytes, kept: bytes) -> None:
        at = next(_differing(computed, kept), None)
        index = None if level or at is None else n * BUNDLE + at
        named = f", first for {entry_id(index)}" if index is not None else ""
        missing = "" if kept else " (it is missing)"
        self._find("tile_altered", f"Tile {n} of level {level} is not the entries' own{named}{missing}.", index)

    def _check_signature(self, head: Head, verifier_key: str) -> None:
        if not head.size and not head.checkpoint:
            return
        try:
            signed = verify_checkpoint(head.checkpoint, verifier_key)
        except BadCheckpoint as error:
            self._find("checkpoint_invalid", f"The head cannot be believed: {error}.")
            return
        self._check_head(head, signed)

    def _check_head(self, head: Head, signed: Checkpoint) -> None:
        if signed.size != head.size:
            message = f"The head says {head.size} entries, its signed checkpoint {signed.size}."
            self._find("head_altered", message)
        elif not self.stopped and signed.root != self._tree.root():
            self._find("root_mismatch", "The entries do not have the root that was signed.")

    def _check_pin(self, pin: Pin) -> None:
        if pin.size > self._tree.size:
            if not self.stopped:
                message = f"The log was rolled back: it had {pin.size} entries, and has {self._tree.size}."
                self._find("rolled_back", message)
        elif pin.size and self._roots[pin.size] != pin.root:
            message = f"The first {pin.size} entries are not those of the checkpoint that was kept."
            self._find("history_altered", message)

    def _lost(self, index: int) -> None:
        self.stopped = True
        self._find("entry_missing", f"{entry_id(index)} is missing.", index)

    def _find(self, problem: str, message: str, index: int | None = None) -> None:
        self._findings.append(Finding(problem, message, index))


def _differing(one: bytes, other: bytes) -> Iterator[int]:
    for at in range(0, len(one), HASH_BYTES):
        if one[at : at + HASH_BYTES] != other[at : at + HASH_BYTES]:
            yield at // HASH_BYTES
