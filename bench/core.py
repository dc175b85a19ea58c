"""How many commands the journal makes durable per second, next to one caller alone in the same run.

Absolute figures depend on the machine and its disk; the ratios say whether batches still carry the load.
"""

import asyncio
import secrets
import statistics
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from disk import fdatasync_ms
from postgres import is_installed, postgres

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


class Figures(NamedTuple):
    per_second: float
    p50_ms: float
    cpu_micros: float  # Per command.


async def commands(journal: Journal, callers: int) -> Figures:
    """Apply commands for so many seconds, `callers` at once."""
    took: list[float] = []
    ends_at = time.perf_counter() + SECONDS

    async def call(name: str) -> None:
        while (began := time.perf_counter()) < ends_at:
            asked = op_id(clock(), secrets.token_bytes(ENTROPY_BYTES))
            outcome = await journal.apply(TENANT, Pay(op_id=asked, holder=name, micros=1))
            assert outcome.allowed
            took.append(time.perf_counter() - began)

    started, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(call(f"ses_{number}") for number in range(callers)))
    elapsed, cpu = time.perf_counter() - started, time.process_time() - cpu
    return Figures(len(took) / elapsed, statistics.median(took) * 1e3, cpu / len(took) * 1e6)


async def measure(name: str, engine: Engine, folder: Path, counts: Iterable[int]) -> None:
    signer = Signer("bench.invalid/log", Ed25519PrivateKey.generate())
    alone = 0.0
    async with Journal(engine, signer, clock, CheckpointFile(folder / f"checkpoint-{name}")) as journal:
        for callers in counts:
            found = await commands(journal, callers)
            alone = alone or found.per_second
            print(
                f"{name:10} {callers:>8} {found.per_second:>12,.0f} {found.per_second / alone:>12.1f}"
                f" {found.p50_ms:>8.2f} {found.cpu_micros:>8.0f}",
                flush=True,
            )
    await engine.close()


async def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(f"fdatasync takes {fdatasync_ms(folder):.2f} ms here (median).\n")
        print(f"{'':10} {'callers':>8} {'commands/s':>12} {'x one caller':>12} {'p50 ms':>8} {'CPU µs':>8}")
        await measure("sqlite", await SqliteEngine.open(folder / "haldir.db"), folder, SQLITE_CALLERS)
        if is_installed():
            with postgres(folder / "postgres") as url:
                await measure("postgres", await PostgresEngine.open(url), folder, POSTGRES_CALLERS)


if __name__ == "__main__":
    asyncio.run(main())
