"""A Haldir whose clock stands still until the test moves it, and its worker for webhooks."""

import asyncio
from collections.abc import Callable
from typing import Any

from haldir.app import open_context, wall_clock
from haldir.journal.command import CredentialRef
from haldir.kernel.clock import MINUTE, Micros
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.tenants import first_tenant
from haldir.operations.verbs.webhook_deliveries import DeliveryShown, ListDeliveriesRequest, list_deliveries
from haldir.operations.verbs.webhooks import (
    ListWebhooksRequest,
    RegisterWebhookRequest,
    TriggerRequest,
    WebhookMade,
    WebhookShown,
    list_webhooks,
    register_webhook,
    trigger_event,
)
from haldir.settings import Settings
from haldir.workers.deliver import Deliverer
from receiver import Receiver


class Scene:
    """A Haldir whose clock stands still until the test moves it, and its worker for webhooks."""

    def __init__(self, ctx: Context, caller: Caller, clock: "Clock") -> None:
        self.ctx, self.caller, self._clock = ctx, caller, clock
        self.deliverer = self.another_worker("one")

    def another_worker(self, holder: str) -> Deliverer:
        return Deliverer(self.ctx, holder, chance=lambda: 0.5)

    async def deliver(self, after: Micros = 0) -> None:
        """Let time pass, and then deliver all that is due."""
        self._clock.now += after
        await self.deliverer.round()
        await self.deliverer.settled()

    async def pass_by(self, span: Micros, step: Micros = MINUTE) -> None:
        """Let time pass as it does for a server: it looks again and again."""
        until = self._clock.now + span
        while self._clock.now < until:
            await self.deliver(after=step)

    def now(self) -> Micros:
        return self._clock.now

    async def register(self, receiver: Receiver | str, *events: str, **members: Any) -> WebhookMade:
        url = receiver if isinstance(receiver, str) else receiver.url
        asked = RegisterWebhookRequest(url, events=list(events) or ["all"], **members)
        return await register_webhook(self.ctx, self.caller, asked)

    async def trigger(self, event: str = "anomaly", webhook_id: int | None = None) -> str:
        """Make an event up; return its id."""
        return (await trigger_event(self.ctx, self.caller, TriggerRequest(event, webhook_id))).event_id

    async def shown(self, webhook_id: int = 1) -> WebhookShown:
        listed = (await list_webhooks(self.ctx, self.caller, ListWebhooksRequest())).webhooks
        return next(each for each in listed if each.webhook_id == webhook_id)

    async def attempts(self, **wanted: Any) -> list[DeliveryShown]:
        """Return the attempts, oldest first."""
        return (await list_deliveries(self.ctx, self.caller, ListDeliveriesRequest(**wanted))).deliveries[::-1]


class Clock:
    def __init__(self) -> None:
        self.now: Micros = wall_clock()

    def __call__(self) -> Micros:
        return self.now


def played(settings: Settings, story: Callable[[Scene], Any]) -> None:
    async def play() -> None:
        clock = Clock()
        async with open_context(settings, clock) as ctx:
            first = await first_tenant(ctx)
            scene = Scene(ctx, Caller(first.tenant, CredentialRef("key", first.key.reveal()[:12]), ("*",)), clock)
            await story(scene)
            await scene.deliverer.close()

    asyncio.run(play())
