"""Waits until something changes in what waits for a person, on whichever replica it happens.

What waits has a version in the store. However many people of a tenant watch, the store is asked for it once a
moment; nothing is decided from what is seen.
"""

import asyncio

from haldir.approvals.model import TENANT_WIDE, PendingCount
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Engine

LOOK_SECONDS = 0.25  # Between two looks at the store. A person does not notice, and the store neither.
TENANTS_MAX = 1000  # Of whose last look we know; more are only asked for more often.


class PendingWatch:
    """The newest look at each tenant's count, shared by all who wait for it. Memory: losing it loses nothing."""

    def __init__(self) -> None:
        self._looks: dict[TenantId, tuple[float, asyncio.Task[PendingCount]]] = {}

    async def changed(self, store: Engine, tenant: TenantId, since: int, wait_seconds: float) -> PendingCount:
        """Return the count once its version is another than `since`, or as it is when the time is over.

        Raises Unavailable.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + wait_seconds
        count = await read_pending_count(store, tenant)
        while count.version == since and (left := until - loop.time()) > 0:
            await asyncio.sleep(min(LOOK_SECONDS, left))
            count = await self._look(store, tenant)
        return count

    async def _look(self, store: Engine, tenant: TenantId) -> PendingCount:
        """Return what the store says now, or said a moment ago to somebody else."""
        now = asyncio.get_running_loop().time()
        looked_at, look = self._looks.get(tenant, (0.0, None))
        if look is None or now - looked_at >= LOOK_SECONDS:
            look = asyncio.create_task(read_pending_count(store, tenant))
            self._looks.pop(tenant, None)
            self._looks[tenant] = now, look
            if len(self._looks) > TENANTS_MAX:
                del self._looks[next(iter(self._looks))]
        return await asyncio.shield(look)  # Whoever goes away takes it from nobody.


async def read_pending_count(store: Engine, tenant: TenantId) -> PendingCount:
    """Return how many approvals of a tenant wait, as it is committed now."""
    for row in await store.load(tenant, PendingCount, PendingCount.TABLE.key, [(TENANT_WIDE,)]):
        assert isinstance(row, PendingCount)
        return row
    return PendingCount(TENANT_WIDE)
