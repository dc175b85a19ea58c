"""One webhook's deliveries: what is due is sent, one attempt after another, and each is stored before the next.

After a crash at any line the endpoint goes on where the last stored attempt left it: an attempt that was made and not
stored is made again, with the same event id.
"""

from collections.abc import Callable
from typing import final

from haldir.kernel import ids
from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.webhooks.commands import DisableWebhook
from haldir.webhooks.events import Event
from haldir.webhooks.model import Webhook, WebhookDelivery, WebhookProgress
from haldir.webhooks.outbox import Outbox
from haldir.webhooks.queries import News, due_retry, event_at, news_from, owing, place_behind, progress_of
from haldir.webhooks.sent import Sent
from haldir.webhooks.turn import Choice, Front, Owed, Probe, Step, after, attempt_of, is_hopeless, may_probe
from haldir.workers.carrier import Carrier, Parcel

LOOK_SECONDS = 5.0  # An idle endpoint is looked at this often even if nothing was logged.
ATTEMPTS_A_TURN = 100  # Then others get the place, if there are more endpoints than places.
NEWS_ENTRIES = 64  # Entries read at once: at most some megabytes.
SKIPPED_PLACES_MAX = 1 << 16  # Events nobody wanted that are passed over again after a restart.

NOTHING_READ = News([], 0, more=False)

Chance = Callable[[], float]


@final
class Means:
    """What all endpoints of a process are served with."""

    def __init__(self, ctx: Context, outbox: Outbox, chance: Chance) -> None:
        self.ctx, self.outbox, self.chance = ctx, outbox, chance
        self.stopping = False
        self.carrier = Carrier(ctx)

    async def close(self) -> None:
        await self.carrier.close()


@final
class Endpoint:
    """One webhook of one tenant, served whenever it may have something to do."""

    def __init__(self, means: Means, tenant: TenantId, webhook_id: int) -> None:
        self._means, self._ctx, self._outbox = means, means.ctx, means.outbox
        self._tenant, self._id = tenant, webhook_id
        self._seen_to = 0  # No event before this place is for it, beyond those that are owed.
        self._read_from, self._read = 0, NOTHING_READ  # During a turn: what was read of the log, which only grows.

    async def serve(self) -> Micros | None:
        """Deliver what is due, as much as a turn takes; return when to look again, should nothing happen before.

        None: at once, for there is more.
        """
        now = self._ctx.clock()
        webhook = await self._webhook()
        begun = await self._begun(webhook) if webhook else None
        if webhook is None or begun is None:
            return now + round(LOOK_SECONDS * SECOND)
        if not self._must_save(begun) and await self._choose(webhook, begun, owed_first=True) is None:
            return await self._next_look(begun, now)
        progress = await self._outbox.lease(self._tenant, begun, now)
        if progress is None:  # Another replica serves it.
            return now + round(LOOK_SECONDS * SECOND)
        progress = await self._take_turns(progress)
        self._read = NOTHING_READ
        if progress is None:
            return now
        await self._outbox.release(self._tenant, progress)
        if await self._choose(webhook, progress, owed_first=True) is not None:
            return None
        return await self._next_look(progress, self._ctx.clock())

    async def _take_turns(self, progress: WebhookProgress | None) -> WebhookProgress | None:
        """Make attempts until one fails or nothing is due; None if another worker took over."""
        owed_first = True
        for _ in range(ATTEMPTS_A_TURN):
            webhook = await self._webhook()
            if progress is None or webhook is None or webhook.since_op != progress.since_op or self._means.stopping:
                return progress
            choice = await self._choose(webhook, progress, owed_first=owed_first)
            if choice is None:
                return await self._saved(progress)
            sent, progress = await self._attempt(webhook, progress, choice)
            if progress is not None and isinstance(choice, Front) and may_probe(progress, sent):
                sent, progress = await self._probe(webhook, progress, choice.event, sent)
            if not sent.delivered:
                return await self._failed(progress)
            owed_first = isinstance(choice, Front)  # In turns, so that neither waits for all of the other.
        return progress

    async def _choose(self, webhook: Webhook, progress: WebhookProgress, *, owed_first: bool) -> Choice | None:
        """Return what is to be tried now. While the endpoint fails, that is its front, once in each pause."""
        if progress.failures and self._ctx.clock() < progress.retry_at:
            return None
        if owed_first and not progress.failures and (owed := await self._owed(webhook)):
            return owed
        if found := await self._wanted(webhook, progress.place, 1):
            return Front(found[0])
        return await self._owed(webhook)

    async def _owed(self, webhook: Webhook) -> Owed | None:
        """Return the oldest event that is due out of order."""
        retry = await due_retry(self._ctx.store, self._tenant, webhook.id, self._ctx.clock())
        event = await event_at(self._ctx.store, self._tenant, retry.place) if retry else None
        return Owed(event, retry) if event and retry else None

    async def _wanted(self, webhook: Webhook, place: int, count: int) -> list[Event]:
        """Return the first events from `place` on that the endpoint hears."""
        found: list[Event] = []
        at = max(place, self._seen_to)
        more = True
        while more and len(found) < count:
            news = await self._news(at)
            found += [each for each in news.events if each.place >= at and each.heard_as(webhook.id, webhook.events)]
            at, more = news.then, news.more
        if count == 1:
            self._seen_to = found[0].place if found else at
        return found[:count]

    async def _news(self, place: int) -> News:
        """Return what follows in the log: many events at once, of which one after another is wanted."""
        if not self._read_from <= place < self._read.then:
            self._read_from, self._read = place, await news_from(self._ctx.store, self._tenant, place, NEWS_ENTRIES)
        return self._read

    async def _probe(
        self, webhook: Webhook, progress: WebhookProgress, front: Event, sent: Sent
    ) -> tuple[Sent, WebhookProgress | None]:
        """Try the event after the front, if there is one, to see whether the receiver dislikes only the front."""
        following = await self._wanted(webhook, progress.place, 2)
        if len(following) < 2:  # noqa: PLR2004 - the front, and the one after it.
            return sent, progress
        return await self._attempt(webhook, progress, Probe(following[1], front))

    async def _attempt(
        self, webhook: Webhook, progress: WebhookProgress, choice: Choice
    ) -> tuple[Sent, WebhookProgress | None]:
        """Make one attempt and store what follows from it; None for the progress if that came too late."""
        attempt = attempt_of(choice, progress)
        name = self._name(webhook, choice.event)
        sent = await self._means.carrier.send(Parcel(self._tenant, self._id, choice.event, name, attempt))
        now = self._ctx.clock()
        step = after(progress, choice, sent, now, self._means.chance())
        row = self._row(choice.event, name, attempt, sent, now)
        kept = await self._outbox.record(self._tenant, step, row, now)
        return sent, step.progress if kept else None

    async def _failed(self, progress: WebhookProgress | None) -> WebhookProgress | None:
        """Disable an endpoint that took nothing for days; others hear of that."""
        if progress is not None and is_hopeless(progress, self._ctx.clock()):
            command = DisableWebhook(op_id=self._ctx.new_op(), webhook_id=self._id, reason="failing")
            await self._ctx.journal.apply(self._tenant, command)
        return progress

    async def _webhook(self) -> Webhook | None:
        """Return the endpoint as it stands now, if it is to be told anything."""
        webhook = await find_row(self._ctx, self._tenant, Webhook, self._id)
        return webhook if webhook and webhook.active else None

    async def _begun(self, webhook: Webhook) -> WebhookProgress:
        """Return how far it was served, or where to begin."""
        progress = await progress_of(self._ctx.store, self._tenant, self._id)
        if progress is not None and progress.since_op == webhook.since_op:
            return progress
        place = await place_behind(self._ctx.store, self._tenant, webhook.since_op)
        return WebhookProgress(self._id, webhook.since_op, place)

    def _must_save(self, progress: WebhookProgress) -> bool:
        return self._seen_to - progress.place > SKIPPED_PLACES_MAX

    async def _saved(self, progress: WebhookProgress) -> WebhookProgress | None:
        """Store how far there was nothing for it, if that is far."""
        if not self._must_save(progress):
            return progress
        ahead = progress.but(place=self._seen_to)
        kept = await self._outbox.record(self._tenant, Step(ahead), None, self._ctx.clock())
        return ahead if kept else None

    async def _next_look(self, progress: WebhookProgress, now: Micros) -> Micros:
        looks = [now + round(LOOK_SECONDS * SECOND)]
        if progress.failures:
            looks.append(progress.retry_at)
        elif (due_at := (await owing(self._ctx.store, self._tenant, self._id)).due_at) is not None:
            looks.append(due_at)
        return min(looks)

    def _row(self, event: Event, name: str, attempt: int, sent: Sent, now: Micros) -> WebhookDelivery:
        return WebhookDelivery(
            ids.delivery_id(self._ctx.new_op()),
            self._id,
            event.id,
            name,
            event.place,
            attempt,
            sent.status,
            sent.excerpt,
            sent.error,
            sent.duration_ms,
            now,
        )

    def _name(self, webhook: Webhook, event: Event) -> str:
        """Return what the endpoint calls the event; a replayed one may be of a kind it no longer hears."""
        return event.heard_as(webhook.id, webhook.events) or event.kind
