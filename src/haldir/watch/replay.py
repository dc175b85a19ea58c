"""The log decided all over again, in memory: whether it leads to the entries and rows that are stored.

For an auditor's own time, not for a server's: all rows and entries of one tenant are held at once.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from haldir.journal.checkpoint import Signer
from haldir.journal.command import RULES_VERSION, Authority, Command, Observer
from haldir.journal.journal import Journal
from haldir.journal.witness import NoWitness
from haldir.kernel.clock import Micros
from haldir.kernel.errors import HaldirError
from haldir.kernel.ids import TenantId, entry_id
from haldir.storage.engine import Reader
from haldir.storage.memory import MemoryEngine
from haldir.storage.rows import BUNDLE, Entry, Key, Row, name_of
from haldir.watch.queries import read_bundle, read_head
from haldir.watch.reading import Unreadable, read_body
from haldir.watch.verify import FINDINGS_MAX, Finding

ORIGIN = "replay.invalid"  # Nobody will see what is signed here.


class Laws(msgspec.Struct, frozen=True):
    """What a log is decided by: its commands, who may ask, what is remarkable, and the tables that follow from it."""

    decode: Callable[[bytes], Command]
    authority: Authority
    observer: Observer
    row_types: tuple[type[Row], ...]


async def replay_log(reader: Reader, tenant: TenantId, laws: Laws) -> list[Finding]:
    """Decide every entry again at its recorded time; return what comes out differently, entries first."""
    memory, clock = MemoryEngine(), _RecordedTime()
    signer = Signer(ORIGIN, Ed25519PrivateKey.generate())
    findings: list[Finding] = []
    async with Journal(memory, signer, clock, NoWitness(), laws.authority, observer=laws.observer) as journal:
        for bundle in range(-(-(await read_head(reader, tenant)).size // BUNDLE)):
            entries = await read_bundle(reader, tenant, bundle)
            try:
                await _apply(journal, tenant, laws, clock, entries)
            except (Unreadable, msgspec.DecodeError, HaldirError) as error:
                message = f"The entries from {entry_id(bundle * BUNDLE)} on cannot be decided again: {error}"
                return [*findings, Finding("not_replayable", message, bundle * BUNDLE)]
            findings += _compared(entries, await read_bundle(memory, tenant, bundle))
            if len(findings) >= FINDINGS_MAX:
                return findings
    for row_type in laws.row_types:
        findings += await _compared_rows(reader, memory, tenant, row_type)
    return findings[:FINDINGS_MAX]


async def _apply(
    journal: Journal, tenant: TenantId, laws: Laws, clock: "_RecordedTime", entries: Iterable[Entry]
) -> None:
    commands = []
    for entry in entries:
        record, _ = read_body(entry.body)
        if record.rules != RULES_VERSION:
            raise Unreadable(f"{entry_id(entry.index)} was decided by version {record.rules} of the rules")
        commands.append(laws.decode(record.command))
        clock.expect(record.at)
    await asyncio.gather(*(journal.apply(tenant, command) for command in commands))


def _compared(stored: Sequence[Entry], decided: Sequence[Entry]) -> list[Finding]:
    """Compare what stands in the log with what its commands come to."""
    again = {entry.index: entry.body for entry in decided}
    return [
        Finding(
            "decided_otherwise", f"{entry_id(entry.index)} does not follow from the entries before it.", entry.index
        )
        for entry in stored
        if again.get(entry.index) != entry.body
    ]


async def _compared_rows(reader: Reader, memory: MemoryEngine, tenant: TenantId, row_type: type[Row]) -> list[Finding]:
    stored = _by_key(await reader.load(tenant, row_type, (), [()]))
    decided = _by_key(await memory.load(tenant, row_type, (), [()]))
    return [
        Finding("row_altered", f"The row {key} of the table {row_type.TABLE.name} {_difference(key, stored, decided)}.")
        for key in sorted({*stored, *decided}, key=repr)
        if stored.get(key) != decided.get(key)
    ]


def _difference(key: Key, stored: dict[Key, Row], decided: dict[Key, Row]) -> str:
    if key not in stored:
        return "is missing"
    return "is not what the log leads to" if key in decided else "does not come from the log"


def _by_key(rows: Iterable[Row]) -> dict[Key, Row]:
    return {name_of(row)[1]: row for row in rows}


class _RecordedTime:
    """A clock that shows the recorded times, each once; the journal looks at it once for each command."""

    def __init__(self) -> None:
        self._ahead: deque[Micros] = deque()
        self._last: Micros = 0

    def expect(self, at: Micros) -> None:
        self._ahead.append(at)

    def __call__(self) -> Micros:
        if self._ahead:
            self._last = self._ahead.popleft()
        return self._last
