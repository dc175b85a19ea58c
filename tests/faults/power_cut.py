"""Power cuts without a plug: what SQLite did to its files is recorded, and what a disk may keep of it is made a folder.

A write counts as kept for certain once its file was synced after it. Of the others a disk keeps what it likes,
in any order, sector by sector.
"""

import itertools
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from faults.watched_files import Change

SECTOR_BYTES = 512


class Mark(msgspec.Struct, frozen=True):
    """Something that was promised when the recording had come so far: commits, and the checkpoint of the last."""

    promised: dict[str, int]
    checkpoint: str


Tape = list[Change | Mark]


class Image(msgspec.Struct, frozen=True):
    """What a disk may hold after a cut, by file, and what had been promised by then."""

    files: dict[str, bytes]
    promised: dict[str, int]
    checkpoint: str

    def restore(self, folder: Path) -> None:
        for path, content in self.files.items():
            (folder / Path(path).name).write_bytes(content)
        if self.checkpoint:
            (folder / "checkpoint").write_text(self.checkpoint, encoding="utf-8")


class Disk:
    """Files as they stand for certain, and the changes that no sync has covered yet."""

    def __init__(self, files: dict[str, bytes]) -> None:
        self._certain = {path: bytearray(content) for path, content in files.items()}
        self._pending: dict[str, list[Change]] = {}

    def take(self, change: Change) -> None:
        match change.kind:
            case "delete":
                self._certain.pop(change.path, None)
                self._pending.pop(change.path, None)
            case "sync":
                for each in self._pending.pop(change.path, []):
                    _make(self._certain.setdefault(change.path, bytearray()), each)
            case _:
                self._certain.setdefault(change.path, bytearray())
                self._pending.setdefault(change.path, []).append(change)

    def cut(self, chance: random.Random) -> dict[str, bytes]:
        """Return the files as they may be found if the power goes now."""
        kept_share = chance.choice((0.0, 0.1, 0.5, 0.9, 1.0))
        files = {path: bytearray(content) for path, content in self._certain.items()}
        for path, changes in self._pending.items():
            for change in changes:
                for piece in _survivors(change, kept_share, chance):
                    _make(files[path], piece)
        return {path: bytes(content) for path, content in files.items()}


def images(
    start: dict[str, bytes], tape: Sequence[Change | Mark], count: int, chance: random.Random
) -> Iterator[Image]:
    """Cut the power at `count` moments of a recording."""
    moments = set(chance.sample(range(len(tape)), count))
    disk, promised, checkpoint = Disk(start), dict[str, int](), ""
    for moment, event in enumerate(tape):
        if moment in moments:
            yield Image(disk.cut(chance), dict(promised), checkpoint)
        if isinstance(event, Mark):
            promised |= event.promised
            checkpoint = event.checkpoint
        else:
            disk.take(event)


def _survivors(change: Change, kept_share: float, chance: random.Random) -> Iterator[Change]:
    """Yield what of a change reached the disk: all, nothing, or some of its sectors."""
    if chance.random() >= 0.2:  # Most changes are not torn.
        if chance.random() < kept_share:
            yield change
        return
    if change.kind != "write":
        return
    end = change.offset + len(change.written)
    edges = [change.offset, *range((change.offset // SECTOR_BYTES + 1) * SECTOR_BYTES, end, SECTOR_BYTES), end]
    for begin, stop in itertools.pairwise(edges):
        if chance.random() < kept_share:
            written = change.written[begin - change.offset : stop - change.offset]
            yield Change("write", change.path, begin, written)


def _make(content: bytearray, change: Change) -> None:
    """Apply a write or a truncation."""
    if change.kind == "truncate":
        del content[change.offset :]
        return
    content.extend(bytes(max(0, change.offset - len(content))))
    content[change.offset : change.offset + len(change.written)] = change.written
