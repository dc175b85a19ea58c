"""Parts of a Haldir with a step before and after whatever they do: something may happen at any of them."""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from haldir.journal.command import Command, Outcome
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Transaction
from haldir.storage.rows import Key, Part, Row

Step = Callable[[str], None]


class MortalEngine:
    """An engine with a step wherever it touches the store."""

    def __init__(self, engine: Any, step: Step) -> None:
        self._engine, self._step = engine, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    @asynccontextmanager
    async def transaction(self, tenant: TenantId) -> AsyncIterator["MortalTransaction"]:
        async with self._engine.transaction(tenant) as transaction:
            self._step("head.locked")
            yield MortalTransaction(transaction, self._step)
            self._step("commit.asked")
        self._step("commit.done")


class MortalTransaction:
    def __init__(self, transaction: Transaction, step: Step) -> None:
        self._transaction, self._step = transaction, step
        self.head = transaction.head

    async def load(self, row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]) -> Iterable[Row]:
        found = await self._transaction.load(row_type, columns, values)
        self._step("rows.loaded")
        return found

    async def save(self, row_type: type[Row], rows: Sequence[Row]) -> None:
        await self._transaction.save(row_type, rows)
        self._step("rows.saved")

    async def drop(self, row_type: type[Row], keys: Sequence[Key]) -> None:
        await self._transaction.drop(row_type, keys)
        self._step("rows.saved")


class MortalJournal:
    """A journal with a step before a command is asked for and one after it was answered."""

    def __init__(self, journal: Any, step: Step) -> None:
        self._journal, self._step = journal, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._journal, name)

    async def apply(self, tenant: TenantId, command: Command, parts: Sequence[Part] = ()) -> Outcome:
        self._step("apply.asked")
        outcome: Outcome = await self._journal.apply(tenant, command, parts)
        self._step("apply.answered")
        return outcome


class MortalPool:
    """A pool with a step before a call is forwarded and one after it was answered."""

    def __init__(self, pool: Any, step: Step) -> None:
        self._pool, self._step = pool, step

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def call_tool(self, *args: Any, **options: Any) -> bytes:
        self._step("forward.begun")
        answer: bytes = await self._pool.call_tool(*args, **options)
        self._step("forward.answered")
        return answer
