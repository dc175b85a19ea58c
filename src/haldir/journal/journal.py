"""The one way in: commands are applied in batches, each decided, logged, signed and stored at once.

After a crash at any line the database holds whole batches only, each with its signed checkpoint. A caller
that got no answer asks again with the same op_id and learns what was decided.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from typing import Self

import msgspec

from haldir.journal.batch import ENTRY_BYTES_MAX, Answer, Ask, Batch, Log
from haldir.journal.checkpoint import Signer
from haldir.journal.command import Authority, Command, Observer, Outcome, anyone
from haldir.journal.errors import Unstorable
from haldir.journal.tiles import read_tree
from haldir.journal.witness import Witness, refuse_rolled_back, refuse_smaller
from haldir.journal.working_set import WorkingSet
from haldir.kernel import canonical
from haldir.kernel.clock import Clock
from haldir.kernel.errors import InvalidRequest, Overloaded, PayloadTooLarge, Unavailable
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Engine, Transaction
from haldir.storage.rows import Head, Part

BATCH_COMMANDS_MAX = 256  # One commit's worth: a larger batch gains nothing and delays its first answer.
BATCH_BYTES_MAX = 8 << 20  # What a commit writes within some tens of milliseconds.
QUEUE_COMMANDS_MAX = 4096  # Some 0.3 s of work; what would wait longer is told so at once.
TENANT_QUEUE_COMMANDS_MAX = 1024  # One tenant's flood leaves room for the others.
QUEUE_BYTES_MAX = 128 << 20  # Commands and parts that wait are memory.
RECORD_BYTES = 4 << 10  # Room in an entry for what is recorded beside the command.
COMMAND_BYTES_MAX = ENTRY_BYTES_MAX - RECORD_BYTES
TURNS_MAX = 8  # Turns of the event loop, some tens of microseconds each, spent waiting for company.
WARM_ROWS_MAX = 10_000  # Rows of one tenant kept between batches: a few megabytes.
WARM_TENANTS_MAX = 64  # Tenants whose rows and tree are kept between batches.
DRAIN_SECONDS_MAX = 10.0  # How long closing waits for answers before it gives them up.

STOPPING = "Haldir is stopping."

_log = logging.getLogger(__name__)


class Line:
    """Who waits for one tenant's log head, and the task that answers them."""

    def __init__(self) -> None:
        self.asks: deque[Ask] = deque()
        self.writer: asyncio.Task[None] | None = None


class Figures(msgspec.Struct):
    """What the journal did since it began, and what waits."""

    batches: int = 0
    allowed: int = 0
    refused: int = 0
    failed: int = 0  # Commands without an outcome: the store was away, or could not take them.
    waiting: int = 0
    waiting_bytes: int = 0


class Journal:
    """Applies commands to an engine's logs. It owns neither the engine nor the witness; close those after it."""

    def __init__(
        self,
        engine: Engine,
        signer: Signer,
        clock: Clock,
        witness: Witness,
        authority: Authority = anyone,
        *,
        observer: Observer | None = None,
    ) -> None:
        self._engine, self._signer, self._clock, self._witness = engine, signer, clock, witness
        self._authority, self._observer = authority, observer or Observer()
        self._slots = asyncio.Semaphore(engine.parallel)
        self._lines: dict[TenantId, Line] = {}
        self._logs: dict[TenantId, Log] = {}  # The one used last is last.
        self._figures = Figures()
        self._open = False

    async def __aenter__(self) -> Self:
        """Begin to take commands; RolledBack if a log is shorter than the witness says."""
        for tenant in self._witness.tenants():
            refuse_smaller(self._witness, tenant, (await self.head(tenant)).size)
        self._open = True
        return self

    async def __aexit__(self, *_: object) -> None:
        """Take no more, answer everyone who waits, and let the witness keep the last heads."""
        self._open = False
        try:
            await asyncio.wait_for(self.drain(), DRAIN_SECONDS_MAX)
        except TimeoutError:
            writers = [line.writer for line in self._lines.values() if line.writer]
            for writer in writers:
                writer.cancel()
            await asyncio.wait(writers)
        await self._witness.flush()

    async def apply(self, tenant: TenantId, command: Command, parts: Sequence[Part] = ()) -> Outcome:
        """Return the outcome of a command once it is durable.

        Unavailable means that none is known: ask again with the same op_id. Overloaded, PayloadTooLarge,
        InvalidRequest, Conflict and Unstorable mean that nothing was decided.
        """
        ask = Ask(command, _encoded(command), parts, asyncio.get_running_loop().create_future())
        if not self._open:
            raise Unavailable(STOPPING)
        line = self._line(tenant, ask)
        line.asks.append(ask)
        self._figures.waiting += 1
        self._figures.waiting_bytes += ask.size_bytes
        if line.writer is None:
            line.writer = asyncio.create_task(self._serve(tenant, line))
        return await ask.answer

    async def head(self, tenant: TenantId) -> Head:
        """Return the head of a tenant's log as it was committed last."""
        found = await self._engine.load(tenant, Head, (), [()])
        return next((row for row in found if isinstance(row, Head)), Head())

    def kept(self, tenant: TenantId) -> tuple[int, bytes] | None:
        """Return size and root of the newest checkpoint that stands outside the store."""
        return self._witness.kept(tenant)

    def figures(self) -> Figures:
        """Return how much was done, for those who watch the process."""
        return msgspec.structs.replace(self._figures)

    async def drain(self) -> None:
        """Return once everything that was waiting is answered."""
        while writers := [line.writer for line in self._lines.values() if line.writer]:
            await asyncio.wait(writers)

    def _line(self, tenant: TenantId, ask: Ask) -> Line:
        """Return the line to stand in; Overloaded if it or the whole queue is full."""
        line = self._lines.get(tenant)
        if (
            self._figures.waiting >= QUEUE_COMMANDS_MAX
            or self._figures.waiting_bytes + ask.size_bytes > QUEUE_BYTES_MAX
            or (line is not None and len(line.asks) >= TENANT_QUEUE_COMMANDS_MAX)
        ):
            raise Overloaded("Too much is waiting to be recorded; nothing was decided.")
        return self._lines.setdefault(tenant, Line())

    async def _serve(self, tenant: TenantId, line: Line) -> None:
        """Answer those who wait for a tenant until nobody does. Whatever goes wrong, nobody waits for ever."""
        try:
            while line.asks:
                await _let_others_in(line.asks)
                async with self._slots:
                    await self._settle_safely(tenant, self._take(line))
        finally:
            del self._lines[tenant]
            while line.asks:
                _answer(self._take(line), Unavailable(STOPPING))

    def _take(self, line: Line) -> list[Ask]:
        """Take the next asks off the line, without those whose callers went away."""
        taken: list[Ask] = []
        taken_bytes = 0
        while line.asks and len(taken) < BATCH_COMMANDS_MAX and taken_bytes < BATCH_BYTES_MAX:
            ask = line.asks.popleft()
            self._figures.waiting -= 1
            self._figures.waiting_bytes -= ask.size_bytes
            if not ask.answer.done():
                taken.append(ask)
                taken_bytes += ask.size_bytes
        return taken

    async def _settle_safely(self, tenant: TenantId, batch: Sequence[Ask]) -> None:
        try:
            await self._settle(tenant, batch)
        except Exception:  # noqa: BLE001 - a worker's loop: it is logged, and the writer goes on.
            _log.exception("journal_writer_failed", extra={"event": {"tenant": tenant}})
        finally:
            _answer(batch, Unavailable("It is not known whether this was decided."))

    async def _settle(self, tenant: TenantId, batch: Sequence[Ask]) -> None:
        """Answer every waiter of a batch; one that cannot be stored is split to find the culprit."""
        if not batch:
            return
        try:
            log, answers = await self._commit(tenant, batch)
        except Unavailable as error:  # The store is at fault: splitting would only ask it more often.
            self._figures.failed += len(batch)
            _answer(batch, error)
        except Exception as error:  # noqa: BLE001 - whatever one command did, the others are not at fault.
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._settle(tenant, batch[:middle])
                await self._settle(tenant, batch[middle:])
                return
            op_id = batch[0].command.op_id  # The command itself stays out of the server's log.
            _log.exception("command_unstorable", extra={"event": {"tenant": tenant, "op_id": op_id}})
            self._figures.failed += 1
            _answer(batch, Unstorable(f"This command cannot be recorded: {error}"))
        else:
            for ask, answer in zip(batch, answers, strict=True):
                _answer([ask], answer)
            self._count(answers)
            self._remember(tenant, log)

    def _count(self, answers: Sequence[Answer]) -> None:
        self._figures.batches += 1
        for answer in answers:
            if not isinstance(answer, Outcome):
                self._figures.failed += 1
            elif answer.allowed:
                self._figures.allowed += 1
            else:
                self._figures.refused += 1

    async def _commit(self, tenant: TenantId, batch: Sequence[Ask]) -> tuple[Log, list[Answer]]:
        known = self._logs.pop(tenant, None)  # Out until it is committed: a fault leaves nothing half true.
        return await self._engine.run(self._write(tenant, known, batch))

    def _remember(self, tenant: TenantId, log: Log) -> None:
        """Keep what was committed for the next batch, within bounds, and have its head witnessed."""
        self._logs[tenant] = log
        if len(log.rows) > WARM_ROWS_MAX:
            log.rows.evict(WARM_ROWS_MAX // 2)
        if len(self._logs) > WARM_TENANTS_MAX:
            del self._logs[next(iter(self._logs))]
        if log.head.checkpoint:
            self._witness.saw(tenant, log.head.checkpoint)

    async def _write(self, tenant: TenantId, known: Log | None, batch: Sequence[Ask]) -> tuple[Log, list[Answer]]:
        async with self._engine.transaction(tenant) as transaction:  # From here to commit nobody else writes.
            log = await self._log(tenant, known, transaction)
            work = Batch(transaction, log, self._authority, self._observer)
            answers = await work.decide(batch, self._clock)
            if await work.store():
                checkpoint = self._signer.checkpoint(tenant, log.tree.size, log.tree.root())
                log.head = Head(log.tree.size, work.now, checkpoint)
                await transaction.save(Head, [log.head])
        return log, answers

    async def _log(self, tenant: TenantId, known: Log | None, transaction: Transaction) -> Log:
        """Return what we remember if nobody else wrote since, else start from the database."""
        head = transaction.head
        if known is not None and known.head == head:
            return known
        tree = await read_tree(transaction.load, head.size)
        await refuse_rolled_back(self._witness, tenant, tree, transaction.load)
        return Log(head, tree, WorkingSet())


async def _let_others_in(asks: deque[Ask]) -> None:
    """Let those who are ready now get in line: a commit costs about as much for one as for many."""
    for _ in range(TURNS_MAX):
        waiting = len(asks)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        if len(asks) == waiting:
            return


def _answer(asks: Sequence[Ask], answer: Answer) -> None:
    """Tell those who still wait; each gets an error of their own, for tracebacks grow where one is raised."""
    for ask in asks:
        if ask.answer.done():
            continue
        if isinstance(answer, Outcome):
            ask.answer.set_result(answer)
        else:
            error = type(answer)(answer.message)
            error.__cause__ = answer.__cause__
            ask.answer.set_exception(error)


def _encoded(command: Command) -> bytes:
    """Return the command as the log will keep it; what no store could keep is refused here."""
    try:
        asked = canonical.encode(command)
    except UnicodeEncodeError as error:
        raise InvalidRequest("Text must not hold half of a surrogate pair.") from error
    if len(asked) > COMMAND_BYTES_MAX:
        raise PayloadTooLarge(f"The command has {len(asked)} bytes.", COMMAND_BYTES_MAX)
    # No store of text takes U+0000, and half of them would only say so when it is too late.
    if rb"\u0000" in asked.replace(rb"\\", b""):  # A backslash that is itself escaped begins no escape.
        raise InvalidRequest("Text must not hold the character U+0000.")
    return asked
