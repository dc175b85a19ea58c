"""The newest checkpoint of each log, kept outside the database, so that a database rolled back is noticed."""

import asyncio
import logging
import os
import re
from pathlib import Path
from typing import Protocol

from haldir.journal.checkpoint import BadCheckpoint, Checkpoint, read_checkpoint
from haldir.journal.tiles import Load, read_root
from haldir.journal.tree import Tree
from haldir.kernel.errors import HaldirError, Unavailable
from haldir.kernel.ids import TenantId

WRITE_PAUSE_SECONDS = 1.0  # An older checkpoint still finds almost every roll-back; a flush a second costs nothing.

_NOTE_END = re.compile(r"(?<=\n)(?=[^—\n][^\n]*\n[0-9]+\n)")  # Before an origin line and its size.
_log = logging.getLogger(__name__)


class RolledBack(Unavailable):
    """The database is not the one that was signed before: Haldir refuses to sign another history."""

    code = "rolled_back"
    hint = "Restore the newer database; if the roll-back is intended, move the checkpoint file away and start again."


class WitnessDamaged(HaldirError):
    """The file of kept checkpoints cannot be read, so nobody can tell whether the database was rolled back."""

    code = "witness_damaged"
    status = 503
    hint = "Restore the file from a backup, or move it away to start without it."


class Witness(Protocol):
    """Whoever remembers heads that were signed."""

    name: str

    def saw(self, tenant: TenantId, checkpoint: str) -> None:
        """Remember the newest checkpoint of a tenant, soon; never blocks."""

    def kept(self, tenant: TenantId) -> tuple[int, bytes] | None:
        """Return size and root of the newest checkpoint that is known."""

    def tenants(self) -> list[TenantId]:
        """Return whose checkpoints are known."""

    async def flush(self) -> None:
        """Return once everything that was seen is kept, or cannot be."""


class CheckpointFile:
    """The signed notes of all tenants, one after another, in a file that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        self._notes = {read.tenant: note for read, note in read_notes(path)}
        self._written = dict(self._notes)
        self._hurry = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None

    def saw(self, tenant: TenantId, checkpoint: str) -> None:
        self._notes[tenant] = checkpoint
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_all())

    def kept(self, tenant: TenantId) -> tuple[int, bytes] | None:
        note = self._notes.get(tenant)
        if note is None:
            return None
        read = read_checkpoint(note)
        return read.size, read.root

    def tenants(self) -> list[TenantId]:
        return list(self._notes)

    async def flush(self) -> None:
        self._hurry.set()
        if self._writer is not None:
            await self._writer

    async def _write_all(self) -> None:
        """Write until nothing newer was seen; in a hurry without pauses, and a failure is not tried again."""
        while self._written != self._notes:
            notes = dict(self._notes)
            try:
                await asyncio.to_thread(_replace, self._path, "".join(notes.values()))
                self._written = notes
            except OSError as error:
                _log.error("checkpoint_not_kept", extra={"event": {"file": self.name, "error": str(error)}})
                if self._hurry.is_set():
                    return
            try:
                await asyncio.wait_for(self._hurry.wait(), WRITE_PAUSE_SECONDS)
            except TimeoutError:
                continue


class NoWitness:
    """Remembers nothing: for logs that do not outlive their process."""

    name = "no file"

    def saw(self, tenant: TenantId, checkpoint: str) -> None:
        """Let it go."""

    def kept(self, tenant: TenantId) -> tuple[int, bytes] | None:
        return None

    def tenants(self) -> list[TenantId]:
        return []

    async def flush(self) -> None:
        """Nothing is left to keep."""


async def refuse_rolled_back(witness: Witness, tenant: TenantId, tree: Tree, load: Load) -> None:
    """Raise RolledBack unless this tree has grown out of the one that the witness keeps."""
    refuse_smaller(witness, tenant, tree.size)
    kept = witness.kept(tenant)
    if kept is None:
        return
    kept_size, kept_root = kept
    root = tree.root() if tree.size == kept_size else await read_root(load, kept_size)
    if root != kept_root:
        raise RolledBack(
            f"The log of tenant {tenant} has another history than {witness.name} says: "
            f"its first {kept_size} of {tree.size} entries have another root."
        )


def refuse_smaller(witness: Witness, tenant: TenantId, size: int) -> None:
    """Raise RolledBack if the log is shorter than it was."""
    kept = witness.kept(tenant)
    if kept is not None and size < kept[0]:
        raise RolledBack(
            f"The log of tenant {tenant} has {size} entries, but {witness.name} says it had {kept[0]}: "
            "the database was rolled back."
        )


def read_notes(path: Path) -> list[tuple[Checkpoint, str]]:
    """Return the checkpoints in a file, with their text; none where there is no file. Raises WitnessDamaged."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise WitnessDamaged(f"{path} cannot be read: {error}") from error
    try:
        return [(read_checkpoint(note), note) for note in _NOTE_END.split(text) if note]
    except BadCheckpoint as error:
        raise WitnessDamaged(f"{path} is damaged: {error}") from error


def _replace(path: Path, text: str) -> None:
    """Replace a file as a whole: after a crash it holds the old text or the new one."""
    new = path.with_name(f"{path.name}.new")
    handle = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)
