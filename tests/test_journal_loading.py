"""How often a batch asks the store: what slows every command down when it goes wrong, and changes no outcome."""

import asyncio
from collections import Counter
from collections.abc import Iterable
from typing import Any

from haldir.kernel.ids import TenantId
from haldir.operations.payment_commands import AuthorizePayment
from haldir.operations.session_commands import CreateSession
from haldir.storage.memory import MemoryEngine
from haldir.storage.rows import Row
from journal_samples import TENANT, Spend, journal, run_async


class Counting(MemoryEngine):
    """A memory engine that counts how often rows of a table are asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.loads = Counter[str]()

    async def load(self, tenant: TenantId, row_type: type[Row], columns: tuple[str, ...], values: Any) -> Iterable[Row]:
        self.loads[row_type.TABLE.name] += 1
        return await super().load(tenant, row_type, columns, values)


@run_async
async def test_what_the_commands_of_a_batch_name_is_loaded_at_once_and_only_once() -> None:
    engine = Counting()
    async with journal(engine) as log:
        asks = [Spend(op_id=f"a{n}", holder=f"h{n % 50}", micros=1) for n in range(100)]
        await asyncio.gather(*(log.apply(TENANT, ask) for ask in asks))
        await log.apply(TENANT, Spend(op_id="b", holder="h7", micros=1))
    assert engine.loads["budget"] == 1


@run_async
async def test_a_batch_of_many_follows_what_rows_name_in_as_many_rounds_as_one_command() -> None:
    def opening(session_id: str, parent: str | None) -> CreateSession:
        return CreateSession(
            op_id=session_id, session_id=session_id, agent_id="x", token_sha256="", scopes=("spend",), parent_id=parent
        )

    def paying(op_id: str, session_id: str) -> AuthorizePayment:
        return AuthorizePayment(op_id=op_id, payment_id=op_id, session_id=session_id, amount_micros=1)

    engine = Counting()
    async with journal(engine) as log:
        for depth in range(4):
            for line in range(8):
                above = f"s{line}.{depth - 1}" if depth else None
                await log.apply(TENANT, opening(f"s{line}.{depth}", above))
    counted = []
    for lines in (1, 8):
        async with journal(engine) as cold:
            engine.loads.clear()
            await asyncio.gather(*(cold.apply(TENANT, paying(f"p{lines}.{n}", f"s{n}.3")) for n in range(lines)))
            counted.append((engine.loads["session"], engine.loads["budget"], engine.loads["agent"]))
    assert counted == [(2, 1, 1)] * 2
