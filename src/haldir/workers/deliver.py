"""Delivers events to webhooks: every endpoint by itself, so that a slow one delays nobody."""

import asyncio
import logging
import random
from typing import final

import msgspec

from haldir.kernel import ids
from haldir.kernel.clock import DAY, HOUR, Micros
from haldir.kernel.errors import HaldirError
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.operations.living import all_rows
from haldir.webhooks.model import Webhook, WebhookProgress, WebhookRetry
from haldir.webhooks.outbox import Outbox, forget
from haldir.webhooks.queries import attempts_to_forget
from haldir.workers.endpoint import Chance, Endpoint, Means

ROUND_SECONDS = 1.0  # How late an event may be sent; most of the time it is half of that.
SERVED_MAX = 256  # Endpoints served at once; a slow one holds its place for seconds and then pauses.
CLOSE_SECONDS = 5.0  # What attempts under way get to end when Haldir stops; they are made again otherwise.
KEPT_DAYS = 30
KEPT_ATTEMPTS_MAX = 100_000  # Of one tenant: some tens of megabytes.
TIDY_EVERY: Micros = HOUR
FORGOTTEN_AT_ONCE, FORGET_ROUNDS = 1_000, 20

_log = logging.getLogger(__name__)

Address = tuple[TenantId, int]


async def deliver_forever(ctx: Context) -> None:
    """Deliver until cancelled."""
    deliverer = Deliverer(ctx, ctx.requests.holder)
    try:
        while True:
            try:
                await deliverer.round()
            except HaldirError as error:
                _log.warning("deliver_failed", extra={"event": {"code": error.code, "error": error.message}})
            await asyncio.sleep(ROUND_SECONDS)
    finally:
        await deliverer.close()


class Nap(msgspec.Struct, frozen=True):
    """An endpoint need not be looked at while its tenant's log has this size, until then."""

    log_size: int
    until: Micros


@final
class Deliverer:
    """Looks for endpoints that may have something to do, and serves each in a task of its own."""

    def __init__(self, ctx: Context, holder: str, chance: Chance = random.random) -> None:
        self._ctx = ctx
        self._means = Means(ctx, Outbox(ctx.store, holder), chance)
        self._places = asyncio.Semaphore(SERVED_MAX)
        self._active: dict[TenantId, tuple[int, list[int]]] = {}
        self._endpoints: dict[Address, Endpoint] = {}
        self._serving: dict[Address, asyncio.Task[None]] = {}
        self._naps: dict[Address, Nap] = {}
        self._tidy_at: Micros = 0

    async def round(self) -> None:
        """Wake every endpoint that may have something to do."""
        sizes = await self._ctx.store.sizes()
        now = self._ctx.clock()
        for tenant, size in sizes.items():
            for webhook_id in await self._ids(tenant, size):
                self._wake((tenant, webhook_id), size, now)
        self._forget_gone()
        if now >= self._tidy_at:
            self._tidy_at = now + TIDY_EVERY
            for tenant in sizes:
                await self._tidy(tenant, now)

    async def settled(self) -> None:
        """Return once nobody is being served."""
        while self._serving:
            await asyncio.wait(self._serving.values())

    async def close(self) -> None:
        """Let attempts under way end, if they soon do, and begin no others."""
        self._means.stopping = True
        if serving := list(self._serving.values()):
            _, late = await asyncio.wait(serving, timeout=CLOSE_SECONDS)
            for task in late:
                task.cancel()
            await asyncio.gather(*serving, return_exceptions=True)
        await self._means.close()

    async def _ids(self, tenant: TenantId, size: int) -> list[int]:
        """Return the tenant's active endpoints; they change only with its log."""
        known_size, found = self._active.get(tenant, (-1, []))
        if known_size != size:
            found = [row.id for row in await all_rows(self._ctx, tenant, Webhook) if row.active]
            self._active[tenant] = size, found
        return found

    def _wake(self, address: Address, size: int, now: Micros) -> None:
        nap = self._naps.get(address)
        if address in self._serving or (nap is not None and nap.log_size == size and now < nap.until):
            return
        endpoint = self._endpoints.get(address)
        if endpoint is None:
            endpoint = self._endpoints[address] = Endpoint(self._means, *address)
        self._serving[address] = asyncio.create_task(self._serve(endpoint, address, size))

    async def _serve(self, endpoint: Endpoint, address: Address, size: int) -> None:
        """Serve an endpoint; whatever goes wrong with it, others are served and it is looked at again."""
        try:
            until = None
            while until is None and not self._means.stopping:
                async with self._places:  # Taken anew for each turn: who waits for a place gets one in between.
                    until = await endpoint.serve()
            self._naps[address] = Nap(size, until or 0)
        except HaldirError as error:
            particulars = {"tenant": address[0], "webhook": address[1], "code": error.code, "error": error.message}
            _log.warning("webhook_not_served", extra={"event": particulars})
        except Exception:  # noqa: BLE001 - a worker's loop: it is logged, and the others are served.
            _log.exception("webhook_not_served", extra={"event": {"tenant": address[0], "webhook": address[1]}})
        finally:
            del self._serving[address]

    def _forget_gone(self) -> None:
        active = {(tenant, webhook_id) for tenant, (_, found) in self._active.items() for webhook_id in found}
        for address in self._endpoints.keys() - active - self._serving.keys():
            del self._endpoints[address]
            self._naps.pop(address, None)

    async def _tidy(self, tenant: TenantId, now: Micros) -> None:
        """Forget old attempts, and what is kept of endpoints that were removed."""
        standing = {row.id for row in await all_rows(self._ctx, tenant, Webhook)}
        gone = [
            row.webhook_id
            for row in await all_rows(self._ctx, tenant, WebhookProgress)
            if row.webhook_id not in standing
        ]
        found = await self._ctx.store.load(tenant, WebhookRetry, ("webhook_id",), [(each,) for each in gone])
        owed = [row for row in found if isinstance(row, WebhookRetry)]
        last = ids.delivery_id(ids.op_id(now - KEPT_DAYS * DAY, bytes(ids.ENTROPY_BYTES)))
        for _ in range(FORGET_ROUNDS):
            old = await attempts_to_forget(self._ctx.store, tenant, last, KEPT_ATTEMPTS_MAX, FORGOTTEN_AT_ONCE)
            if old or gone:
                await forget(self._ctx.store, tenant, old, gone, owed)
            if len(old) < FORGOTTEN_AT_ONCE:
                return
