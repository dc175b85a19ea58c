"""What became of events: the attempts, events delivered again, and events to be fetched instead of sent."""

from typing import Any

import msgspec

from haldir.kernel.clock import Micros, unix_seconds
from haldir.kernel.errors import InvalidRequest, NotFound
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.operations.outcomes import allowed
from haldir.operations.webhooks import shown_url, webhooks_of
from haldir.operations.wire import Moment
from haldir.webhooks.commands import ReplayEvents
from haldir.webhooks.events import Event, first_place
from haldir.webhooks.model import Webhook, WebhookDelivery, WebhookRetry
from haldir.webhooks.outbox import owe
from haldir.webhooks.queries import newest_attempts, news_from, owing, place_behind, place_since, progress_of

LIMIT, LIMIT_MAX = 100, 500  # WIRE.md §6.
REPLAYED_MAX = 1_000  # Events of one request; the answer says where the next one begins.
OWED_MAX = 10_000  # Of one endpoint: what is asked for again is stored until it is delivered.
NEWS_ENTRIES = 256
EVENTS_MAX = 100  # In one answer; a page is some tens of kilobytes.
PAGES_MAX = 16  # Entries looked at for one answer, in pages; beyond that it says where to go on.
PLACE_MAX = 2**63 - 1


class ListDeliveriesRequest(msgspec.Struct, frozen=True):
    """Attempts newest first; `before` is the `delivery_id` after which to go on."""

    event_id: str = ""
    webhook_id: int | None = None
    before: str = ""
    limit: int = LIMIT


class DeliveryShown(msgspec.Struct, frozen=True):
    """One attempt. `status_code` is null where there was no answer."""

    delivery_id: str
    webhook_id: int
    event_id: str
    webhook_url: str
    event_type: str
    attempt: int
    status_code: int | None
    response_excerpt: str
    error: str
    duration_ms: int
    created_at: float


class DeliveriesListed(msgspec.Struct, frozen=True):
    deliveries: list[DeliveryShown]
    count: int
    next_before: str | None


class ReplayOneRequest(msgspec.Struct, frozen=True):
    delivery_id: str


class ReplayRangeRequest(msgspec.Struct, frozen=True):
    """Events since an instant, and before another."""

    webhook_id: int
    since: Moment
    until: Moment | None = None


class EventsReplayed(msgspec.Struct, frozen=True):
    """`replayed` events are on their way again; where there were more, the next request begins at `next_since`."""

    webhook_id: int
    replayed: int
    next_since: float | None = None


class ListEventsRequest(msgspec.Struct, frozen=True):
    """Events after a `cursor` of an earlier answer; without one there are none, and the cursor is of now."""

    cursor: str = ""


class EventsListed(msgspec.Struct, frozen=True):
    """Each event is what a webhook would be sent."""

    events: list[dict[str, Any]]
    cursor: str


async def list_deliveries(ctx: Context, caller: Caller, request: ListDeliveriesRequest) -> DeliveriesListed:
    """List attempts, newest first."""
    if not 1 <= request.limit <= LIMIT_MAX:
        raise InvalidRequest(f"`limit` is from 1 to {LIMIT_MAX}", "limit")
    found = await newest_attempts(
        ctx.store,
        caller.tenant,
        event_id=request.event_id,
        webhook_id=request.webhook_id,
        before=request.before,
        limit=request.limit,
    )
    urls = {known.webhook.id: shown_url(known.url) for known in await webhooks_of(ctx, caller.tenant)}
    shown = [_shown(row, urls.get(row.webhook_id, "")) for row in found]
    return DeliveriesListed(shown, len(shown), shown[-1].delivery_id if len(shown) == request.limit else None)


async def replay_delivery(ctx: Context, caller: Caller, request: ReplayOneRequest) -> EventsReplayed:
    """Deliver the event of an attempt again, to the same endpoint."""
    row = await find_row(ctx, caller.tenant, WebhookDelivery, request.delivery_id)
    if row is None:
        raise NotFound(f"There is no delivery {request.delivery_id!r}.")
    await _replay(ctx, caller, row.webhook_id, [row.place])
    return EventsReplayed(row.webhook_id, 1)


async def replay_events(ctx: Context, caller: Caller, request: ReplayRangeRequest) -> EventsReplayed:
    """Deliver again what an endpoint heard, or would have heard, in a span of time."""
    webhook = await find_row(ctx, caller.tenant, Webhook, request.webhook_id)
    events, rest = await _in_span(ctx, caller, webhook, request) if webhook else ([], None)
    await _replay(ctx, caller, request.webhook_id, [event.place for event in events])
    return EventsReplayed(request.webhook_id, len(events), unix_seconds(rest) if rest is not None else None)


async def list_events(ctx: Context, caller: Caller, request: ListEventsRequest) -> EventsListed:
    """List events as they come, for those who cannot be reached by a webhook."""
    if not request.cursor:
        return EventsListed([], str(first_place((await ctx.journal.head(caller.tenant)).size)))
    place = _read_cursor(request.cursor)
    events: list[Event] = []
    for _ in range(PAGES_MAX):
        news = await news_from(ctx.store, caller.tenant, place, EVENTS_MAX - len(events))
        events += news.events
        place = news.then
        if not news.more or len(events) >= EVENTS_MAX:
            break
    return EventsListed([event.payload(caller.tenant, event.kind) for event in events], str(place))


async def _replay(ctx: Context, caller: Caller, webhook_id: int, places: list[int]) -> None:
    """Record that somebody wants these events delivered again, and owe them. A crash in between loses the wish."""
    if (await owing(ctx.store, caller.tenant, webhook_id)).count + len(places) > OWED_MAX:
        raise InvalidRequest(f"more than {OWED_MAX} events would wait for webhook {webhook_id}; let some arrive first")
    command = ReplayEvents(
        op_id=ctx.new_op(), asked_by=caller.credential, webhook_id=webhook_id, event_count=len(places)
    )
    outcome = await allowed(ctx, caller.tenant, command)
    if places:
        await owe(
            ctx.store, caller.tenant, [WebhookRetry(webhook_id, place, 0, outcome.at) for place in sorted(places)]
        )


async def _in_span(
    ctx: Context, caller: Caller, webhook: Webhook, request: ReplayRangeRequest
) -> tuple[list[Event], int | None]:
    """Return what to deliver again; what the endpoint has not got yet it will get anyway, in order."""
    progress = await progress_of(ctx.store, caller.tenant, webhook.id)
    if progress is not None and progress.since_op == webhook.since_op:
        undelivered = progress.place
    else:
        undelivered = await place_behind(ctx.store, caller.tenant, webhook.since_op)
    until = undelivered if request.until is None else await _place(ctx, caller, int(request.until))
    return await _heard(ctx, caller, webhook, await _place(ctx, caller, int(request.since)), min(until, undelivered))


async def _heard(
    ctx: Context, caller: Caller, webhook: Webhook, since: int, until: int
) -> tuple[list[Event], int | None]:
    """Return the events from `since` to before `until` that the endpoint hears, and when the first left out was."""
    found: list[Event] = []
    more = True
    while more and since < until:
        news = await news_from(ctx.store, caller.tenant, since, NEWS_ENTRIES)
        for event in news.events:
            if event.place >= until or not event.heard_as(webhook.id, webhook.events):
                continue
            if len(found) == REPLAYED_MAX:
                return found, event.at
            found.append(event)
        since, more = news.then, news.more
    return found, None


async def _place(ctx: Context, caller: Caller, at: Micros) -> int:
    size = (await ctx.journal.head(caller.tenant)).size
    return await place_since(ctx.store, caller.tenant, size, at)


def _read_cursor(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdecimal()) or int(cursor[:20]) > PLACE_MAX:
        raise InvalidRequest("`cursor` is none that an answer ended with", "cursor")
    return int(cursor[:20])


def _shown(row: WebhookDelivery, url: str) -> DeliveryShown:
    return DeliveryShown(
        row.id,
        row.webhook_id,
        row.event_id,
        url,
        row.event,
        row.attempt,
        row.status_code,
        row.response_excerpt,
        row.error,
        row.duration_ms,
        unix_seconds(row.created_at),
    )


OPERATIONS = (
    Operation(
        name="list_deliveries",
        method="GET",
        path="/v1/webhooks/deliveries",
        summary="List attempts to deliver events",
        scope="webhooks:read",
        request=ListDeliveriesRequest,
        response=DeliveriesListed,
        run=list_deliveries,
        tag="webhooks",
    ),
    Operation(
        name="replay_delivery",
        method="POST",
        path="/v1/webhooks/deliveries/{delivery_id}/replay",
        summary="Deliver an event again",
        scope="webhooks:write",
        request=ReplayOneRequest,
        response=EventsReplayed,
        run=replay_delivery,
        refusals=("webhook_not_found", "webhook_disabled"),
        tag="webhooks",
    ),
    Operation(
        name="replay_events",
        method="POST",
        path="/v1/webhooks/{webhook_id}/replay",
        summary="Deliver the events of a span of time again",
        scope="webhooks:write",
        request=ReplayRangeRequest,
        response=EventsReplayed,
        run=replay_events,
        refusals=("webhook_not_found", "webhook_disabled"),
        tag="webhooks",
    ),
    Operation(
        name="list_events",
        method="GET",
        path="/v1/webhooks/events",
        summary="List events as they come",
        scope="webhooks:read",
        request=ListEventsRequest,
        response=EventsListed,
        run=list_events,
        tag="webhooks",
    ),
)
