"""One batch of commands over one working set: each decided in order, then everything stored at once."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from haldir.journal.command import (
    ANOMALY,
    NOTHING_SEEN,
    RULES_VERSION,
    Authority,
    Command,
    Decision,
    Observation,
    Observer,
    Outcome,
    Record,
    deny,
)
from haldir.journal.errors import Unstorable
from haldir.journal.tree import Tree, leaf_hash
from haldir.journal.working_set import NotLoaded, WorkingSet
from haldir.kernel import canonical
from haldir.kernel.clock import Clock, Micros
from haldir.kernel.errors import Conflict, HaldirError
from haldir.storage.engine import Transaction
from haldir.storage.rows import BUNDLE, Entry, Find, Head, Key, Part, Row, Tile

ENTRY_BYTES_MAX = 64 << 10  # So that 256 entries make a bundle that any object store and reader takes.
LOAD_ROUNDS_MAX = 64  # Rows naming rows naming rows: chains are a few deep, so more is a loop.

Answer = Outcome | HaldirError


class Ask(msgspec.Struct, eq=False):
    """A command that waits for its answer, with its canonical encoding and its sealed parts."""

    command: Command
    asked: bytes
    parts: Sequence[Part]
    answer: asyncio.Future[Outcome]

    @property
    def size_bytes(self) -> int:
        return len(self.asked) + sum(len(part.sealed) for part in self.parts)


class Log(msgspec.Struct):
    """What the journal remembers of a tenant between batches; true only for as long as `head` is the head."""

    head: Head
    tree: Tree
    rows: WorkingSet


class Batch:
    """The work of one transaction. It changes the log that it is given, which is worthless if it fails."""

    def __init__(self, transaction: Transaction, log: Log, authority: Authority, observer: Observer) -> None:
        self._transaction, self._tree, self._rows = transaction, log.tree, log.rows
        self._authority, self._observer = authority, observer
        self.now: Micros = transaction.head.written_at
        self._entries: dict[str, Entry] = {}
        self._tiles: dict[tuple[int, int], Tile] = {}
        self._parts: dict[str, Part] = {}
        self._erased: dict[str, None] = {}

    async def decide(self, asks: Sequence[Ask], clock: Clock) -> list[Answer]:
        """Decide each command at a time no earlier than the one before it; repeated ones are recalled."""
        seen = await self._seen([ask.command.op_id for ask in asks])
        answers: list[Answer] = []
        commands = [ask.command for ask in asks]
        for at, ask in enumerate(asks):
            op_id = ask.command.op_id
            if entry := seen.get(op_id) or self._entries.get(op_id):
                answers.append(_recall(entry, ask.asked))
                continue
            self.now = max(self.now, clock())
            decision, seen_in_it = await self._decide(commands[at:])
            answers.append(self._enter(ask, decision, seen_in_it))
        return answers

    async def store(self) -> bool:
        """Save entries, tiles, parts and changed rows; tell whether there was anything to save."""
        if not self._entries:
            return False
        puts: dict[type[Row], list[Row]] = {Entry: list(self._entries.values())}
        drops: dict[type[Row], list[Key]] = {}
        if self._tiles:
            puts[Tile] = list(self._tiles.values())
        if self._erased:
            drops[Part] = [(digest,) for digest in self._erased]
        if new := await self._new_parts():
            puts[Part] = new
        for (row_type, key), row in self._rows.take_changes().items():
            if row is None:
                drops.setdefault(row_type, []).append(key)
            else:
                puts.setdefault(row_type, []).append(row)
        for row_type, keys in drops.items():
            await self._transaction.drop(row_type, keys)
        for row_type, rows in puts.items():
            await self._transaction.save(row_type, rows)
        return True

    def _enter(self, ask: Ask, decision: Decision, observation: Observation) -> Answer:
        """Put a decision into the log and the working set, unless it is stale or too large."""
        if decision.stale:
            return Outcome(-1, self.now, allowed=False, code=decision.code, reason="", result=NULL, stale=True)
        result = NULL if decision.result is None else msgspec.Raw(canonical.encode(decision.result))
        body = _body(ask.asked, decision, observation, self.now, result)
        if len(body) > ENTRY_BYTES_MAX:
            return Unstorable(f"the entry would have {len(body)} bytes, more than {ENTRY_BYTES_MAX}")
        index = self._tree.size
        entry = _entry(index, ask, body, decision, observation)
        self._tree.append(entry.leaf, self._keep_tile)
        self._entries[entry.op_id] = entry
        self._rows.change(decision.puts, decision.drops)
        if decision.allowed or decision.puts or decision.keeps_parts:
            self._keep_parts(decision.erases, ask.parts)
        self._rows.change(observation.puts, ())
        return Outcome(
            index, self.now, decision.allowed, decision.code, decision.reason, result, notices=observation.notices
        )

    def _keep_parts(self, erased: Sequence[str], brought: Sequence[Part]) -> None:
        """Let parts go and keep others; one that is erased and brought by the same command is replaced."""
        for digest in erased:
            self._parts.pop(digest, None)
            self._erased[digest] = None
        for part in brought:
            self._parts.setdefault(part.digest, part)

    def _keep_tile(self, level: int, n: int, hashes: bytes) -> None:
        self._tiles[level, n] = Tile(level, n, hashes)

    async def _decide(self, commands: Sequence[Command]) -> tuple[Decision, Observation]:
        """Decide the first command; what it misses is loaded for all of them, and it decides again."""
        for _ in range(LOAD_ROUNDS_MAX):
            try:
                return self._judged(commands[0])
            except NotLoaded as missing:
                await self._load(commands)
                await self._fetch(list(self._rows.missing([missing.find])))
        raise AssertionError(f"a {type(commands[0]).__name__} never has all its rows")  # And not what it asks.

    def _judged(self, command: Command) -> tuple[Decision, Observation]:
        """Decide a command, unless the credential that asks no longer counts; and see what is remarkable in that."""
        if refusal := self._authority(self._rows, command.asked_by, self.now):
            decision = deny(*refusal, command.subject())
        else:
            decision = command.decide(self._rows, self.now)
        if decision.stale:
            return decision, NOTHING_SEEN
        return decision, self._observer.see(self._rows, command, decision, self.now)

    async def _load(self, commands: Sequence[Command]) -> None:
        """Load what the commands need, in rounds: what they find may tell what else they need."""
        for _ in range(LOAD_ROUNDS_MAX):
            missing = (find for command in commands for find in self._rows.missing(self._needs(command)))
            wanted = dict.fromkeys(missing)
            if not wanted:
                return
            await self._fetch(wanted)

    def _needs(self, command: Command) -> Iterator[Find]:
        yield from command.needs(self._rows)
        yield from self._observer.needs(self._rows, command)

    async def _fetch(self, finds: Iterable[Find]) -> None:
        kinds: dict[tuple[type[Row], tuple[str, ...]], list[Find]] = {}
        for find in finds:
            kinds.setdefault((find.row_type, find.columns), []).append(find)
        for (row_type, columns), alike in kinds.items():
            found = await self._transaction.load(row_type, columns, [find.values for find in alike])
            self._rows.adopt(alike, found)

    async def _seen(self, op_ids: Sequence[str]) -> dict[str, Entry]:
        found = await self._transaction.load(Entry, ("op_id",), [(op_id,) for op_id in dict.fromkeys(op_ids)])
        return {entry.op_id: entry for entry in found if isinstance(entry, Entry)}

    async def _new_parts(self) -> list[Row]:
        """Return the parts that are not stored yet: what is sealed once stays as it is, unless it is erased.

        One that is kept for a time comes with one command and no other, so that nobody needs to look for it.
        """
        shared = [(part.digest,) for part in self._parts.values() if part.kept_since is None]
        found = await self._transaction.load(Part, Part.TABLE.key, shared) if shared else ()
        stored = {part.digest for part in found if isinstance(part, Part)} - self._erased.keys()
        return [part for digest, part in self._parts.items() if digest not in stored]


NULL = msgspec.Raw(b"null")


def _body(asked: bytes, decision: Decision, observation: Observation, now: Micros, result: msgspec.Raw) -> bytes:
    return canonical.encode(
        Record(
            at=now,
            rules=RULES_VERSION,
            command=msgspec.Raw(asked),
            allowed=decision.allowed,
            code=decision.code,
            reason=decision.reason,
            about=decision.about,
            result=result,
            notices=observation.notices,
            remarks=decision.remarks,
        )
    )


def _entry(index: int, ask: Ask, body: bytes, decision: Decision, observation: Observation) -> Entry:
    kind, about = str(type(ask.command).__struct_config__.tag), decision.about
    return Entry(
        index // BUNDLE,
        index % BUNDLE,
        ask.command.op_id,
        leaf_hash(body),
        body,
        kind,
        about.session_id,
        about.agent_id,
        about.tool,
        flagged=any(notice.kind == ANOMALY for notice in observation.notices),
        noticed=bool(observation.notices),
        code=decision.code,
    )


def _recall(entry: Entry, asked: bytes) -> Answer:
    """Answer a repeated command from its entry; the same op_id for another command is refused."""
    record = msgspec.json.decode(entry.body, type=Record)
    if bytes(record.command) != asked:
        return Conflict(f"the op_id {entry.op_id} was given before, to a different command")
    return Outcome(
        entry.index,
        record.at,
        record.allowed,
        record.code,
        record.reason,
        record.result,
        notices=record.notices,
        recalled=True,
    )
