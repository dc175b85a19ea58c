"""The one door to what was delivered: short transactions beside the log, under the same lock.

No command reads these tables, see docs/adr/0010-deliveries-beside-the-log.md.
"""

from collections.abc import Sequence
from typing import final

from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Engine
from haldir.webhooks.model import WebhookDelivery, WebhookProgress, WebhookRetry
from haldir.webhooks.turn import Step

LEASE_SECONDS = 60  # Four times what one attempt may take: the clocks of replicas differ.


@final
class Outbox:
    """What one worker may write. `holder` is its name in leases, which no other worker that lives has."""

    def __init__(self, engine: Engine, holder: str) -> None:
        self._engine, self.holder = engine, holder

    async def lease(self, tenant: TenantId, begun: WebhookProgress, now: Micros) -> WebhookProgress | None:
        """Take an endpoint to serve it, and return how far it is; None if another worker has it.

        `begun` is where to begin with an endpoint that was not served since it was registered or enabled.
        """
        return await self._engine.run(self._lease(tenant, begun, now))

    async def record(self, tenant: TenantId, step: Step, attempt: WebhookDelivery | None, now: Micros) -> bool:
        """Store what followed from an attempt, and keep the lease; nothing if the lease was lost meanwhile."""
        return await self._engine.run(self._record(tenant, step, attempt, _lease_end(now)))

    async def release(self, tenant: TenantId, progress: WebhookProgress) -> None:
        """Let others serve the endpoint."""
        await self._engine.run(self._record(tenant, Step(progress), None, leased_until=0))

    async def _lease(self, tenant: TenantId, begun: WebhookProgress, now: Micros) -> WebhookProgress | None:
        async with self._engine.transaction(tenant) as transaction:
            key = (begun.webhook_id,)
            found = await transaction.load(WebhookProgress, ("webhook_id",), [key])
            standing = next((row for row in found if isinstance(row, WebhookProgress)), None)
            if standing is not None and standing.leased_by != self.holder and now < standing.leased_until:
                return None
            leased = _begun(begun, standing).but(leased_by=self.holder, leased_until=_lease_end(now))
            await transaction.save(WebhookProgress, [leased])
            return leased

    async def _record(
        self, tenant: TenantId, step: Step, attempt: WebhookDelivery | None, leased_until: Micros
    ) -> bool:
        async with self._engine.transaction(tenant) as transaction:
            key = (step.progress.webhook_id,)
            found = await transaction.load(WebhookProgress, ("webhook_id",), [key])
            if [row.leased_by for row in found if isinstance(row, WebhookProgress)] != [self.holder]:
                return False
            await transaction.save(WebhookProgress, [step.progress.but(leased_until=leased_until)])
            if attempt is not None:
                await transaction.save(WebhookDelivery, [attempt])
            if step.drops:
                await transaction.drop(WebhookRetry, [(row.webhook_id, row.place) for row in step.drops])
            if step.puts:
                await transaction.save(WebhookRetry, step.puts)
            return True


async def owe(engine: Engine, tenant: TenantId, retries: Sequence[WebhookRetry]) -> None:
    """Have events delivered again; what is owed already is owed anew."""

    async def work() -> None:
        async with engine.transaction(tenant) as transaction:
            await transaction.save(WebhookRetry, retries)

    await engine.run(work())


async def forget(
    engine: Engine, tenant: TenantId, deliveries: Sequence[str], gone: Sequence[int], owed: Sequence[WebhookRetry]
) -> None:
    """Drop old attempts, and what is kept of endpoints that are gone."""

    async def work() -> None:
        async with engine.transaction(tenant) as transaction:
            if deliveries:
                await transaction.drop(WebhookDelivery, [(each,) for each in deliveries])
            if gone:
                await transaction.drop(WebhookProgress, [(each,) for each in gone])
            if owed:
                await transaction.drop(WebhookRetry, [(each.webhook_id, each.place) for each in owed])

    await engine.run(work())


def _lease_end(now: Micros) -> Micros:
    return now + LEASE_SECONDS * SECOND


def _begun(begun: WebhookProgress, standing: WebhookProgress | None) -> WebhookProgress:
    """Go on where we stand, unless the endpoint was enabled anew; its counts go on in any case."""
    if standing is None:
        return begun
    if standing.since_op == begun.since_op:
        return standing
    return begun.but(delivered_count=standing.delivered_count, failed_count=standing.failed_count)
