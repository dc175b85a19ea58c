"""When keys were last shown: noted in memory, and stored now and then, for a write with each request would cost more.

It is no state of the journal's and nothing is decided from it, so it stands beside the log
(docs/adr/0010-deliveries-beside-the-log.md). A crash loses a minute of it at most.
"""

from typing import final

from haldir.gate.model import KeyUse
from haldir.kernel.clock import MINUTE, Micros
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Engine


@final
class KeyUses:
    """The uses that this process has seen. `store` is to be called again and again."""

    def __init__(self) -> None:
        self._seen: dict[TenantId, dict[str, Micros]] = {}
        self._stored_at: Micros = 0

    def saw(self, tenant: TenantId, prefix: str, now: Micros) -> None:
        self._seen.setdefault(tenant, {})[prefix] = now

    def last(self, tenant: TenantId, prefix: str) -> Micros:
        """Return when this process last saw the key since it stored what it saw; 0 if it did not."""
        return self._seen.get(tenant, {}).get(prefix, 0)

    async def store(self, engine: Engine, now: Micros, *, everything: bool) -> None:
        """Store what was seen: once a minute, or `everything` now. Raises Unavailable; what is not stored is kept."""
        if not everything and now - self._stored_at < MINUTE:
            return
        self._stored_at = now
        for tenant, seen in list(self._seen.items()):
            await engine.run(_save(engine, tenant, dict(seen)))
            del self._seen[tenant]


async def _save(engine: Engine, tenant: TenantId, seen: dict[str, Micros]) -> None:
    async with engine.transaction(tenant) as transaction:
        found = await transaction.load(KeyUse, KeyUse.TABLE.key, [(prefix,) for prefix in seen])
        stored = {row.prefix: row.last_used_at for row in found if isinstance(row, KeyUse)}
        later = [KeyUse(prefix, max(at, stored.get(prefix, 0))) for prefix, at in seen.items()]
        await transaction.save(KeyUse, later)
