"""Reads of events, of what is owed, and of attempts."""

from typing import Any

import msgspec

from haldir.journal.command import Record
from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader
from haldir.storage.mapping import mapping
from haldir.storage.rows import BUNDLE, Entry
from haldir.webhooks.events import Event, events_of, first_place, index_of
from haldir.webhooks.model import WebhookDelivery, WebhookProgress, WebhookRetry

# As the partial index entry_news spells it: all but everyday traffic, unless there is something to notice in it.
NEWS = """
SELECT bundle, slot, body FROM entry
WHERE tenant = :tenant AND (bundle, slot) >= (:bundle, :slot) AND (noticed = 1 OR kind NOT IN (
    'action.log', 'agent.session', 'call.admit', 'call.settle', 'payment.authorize', 'payment.capture', 'payment.void',
    'refusal.record', 'request.answer', 'request.forget', 'request.release', 'request.reserve', 'secret.reveal',
    'session.create'
))
ORDER BY bundle, slot LIMIT :limit
"""
DUE = f"""
SELECT {", ".join(mapping(WebhookRetry).names)} FROM webhook_retry
WHERE tenant = :tenant AND webhook_id = :webhook_id AND retry_at <= :now ORDER BY place LIMIT 1
"""
OWED = "SELECT count(*), min(retry_at) FROM webhook_retry WHERE tenant = :tenant AND webhook_id = :webhook_id"
ATTEMPTS = f"""
SELECT {", ".join(mapping(WebhookDelivery).names)} FROM webhook_delivery
WHERE tenant = :tenant AND (:before = '' OR id < :before)"""
OF_EVENT = "AND event_id = :event_id"
OF_WEBHOOK = "AND webhook_id = :webhook_id"
NEWEST_FIRST = "ORDER BY id DESC LIMIT :limit"
OLDER = "SELECT id FROM webhook_delivery WHERE tenant = :tenant AND id <= :last ORDER BY id LIMIT :limit"
NEWEST_ONE_TOO_MANY = "SELECT id FROM webhook_delivery WHERE tenant = :tenant ORDER BY id DESC LIMIT 1 OFFSET :kept"


class News(msgspec.Struct, frozen=True):
    """Events in order, the place behind all that was read for them, and whether there may be more."""

    events: list[Event]
    then: int
    more: bool


class Owing(msgspec.Struct, frozen=True):
    """How many events are owed to an endpoint out of order, and when the first of them is due."""

    count: int
    due_at: Micros | None


async def news_from(reader: Reader, tenant: TenantId, place: int, entries_max: int) -> News:
    """Return the events from `place` on, as far as so many entries go."""
    bundle, slot = divmod(index_of(place), BUNDLE)
    found = await reader.fetch(NEWS, tenant=tenant, bundle=bundle, slot=slot, limit=entries_max)
    indexed = [(each[0] * BUNDLE + each[1], each[2]) for each in found]
    events = [event for index, body in indexed for event in events_of(index, body) if event.place >= place]
    then = max(place, first_place(indexed[-1][0] + 1)) if indexed else place
    return News(events, then, len(found) == entries_max)


async def event_at(reader: Reader, tenant: TenantId, place: int) -> Event | None:
    """Return the event at a place."""
    for entry in await reader.load(tenant, Entry, ("bundle", "slot"), [divmod(index_of(place), BUNDLE)]):
        assert isinstance(entry, Entry)
        return next((event for event in events_of(entry.index, entry.body) if event.place == place), None)
    return None


async def place_behind(reader: Reader, tenant: TenantId, op_id: str) -> int:
    """Return the place behind the entry of a command that is in the log."""
    for entry in await reader.load(tenant, Entry, ("op_id",), [(op_id,)]):
        assert isinstance(entry, Entry)
        return first_place(entry.index + 1)
    raise AssertionError(f"{op_id} is in a row but not in the log")


async def place_since(reader: Reader, tenant: TenantId, size: int, at: Micros) -> int:
    """Return the place of the first entry, in a log of this size, that was written at an instant or later."""
    low, high = 0, size
    while low < high:
        middle = (low + high) // 2
        if await _written_at(reader, tenant, middle) < at:
            low = middle + 1
        else:
            high = middle
    return first_place(low)


async def progress_of(reader: Reader, tenant: TenantId, webhook_id: int) -> WebhookProgress | None:
    """Return how far an endpoint was served; None if it never was."""
    for row in await reader.load(tenant, WebhookProgress, ("webhook_id",), [(webhook_id,)]):
        assert isinstance(row, WebhookProgress)
        return row
    return None


async def due_retry(reader: Reader, tenant: TenantId, webhook_id: int, now: Micros) -> WebhookRetry | None:
    """Return the oldest event owed to an endpoint that may be tried again."""
    found = await reader.fetch(DUE, tenant=tenant, webhook_id=webhook_id, now=now)
    return WebhookRetry(*found[0]) if found else None


async def owing(reader: Reader, tenant: TenantId, webhook_id: int) -> Owing:
    """Return what is owed to an endpoint out of order."""
    found = await reader.fetch(OWED, tenant=tenant, webhook_id=webhook_id)
    return Owing(*found[0])


async def newest_attempts(
    reader: Reader, tenant: TenantId, *, event_id: str, webhook_id: int | None, before: str, limit: int
) -> list[WebhookDelivery]:
    """Return up to `limit` attempts before one of them ("" for the newest), newest first."""
    conditions: list[str] = []
    params: dict[str, Any] = {}
    if event_id:
        conditions.append(OF_EVENT)
        params["event_id"] = event_id
    if webhook_id is not None:
        conditions.append(OF_WEBHOOK)
        params["webhook_id"] = webhook_id
    sql = "\n".join([ATTEMPTS, *conditions, NEWEST_FIRST])
    found = await reader.fetch(sql, tenant=tenant, before=before, limit=limit, **params)
    return [WebhookDelivery(*each) for each in found]


async def attempts_to_forget(reader: Reader, tenant: TenantId, last: str, kept: int, limit: int) -> list[str]:
    """Return ids of attempts up to `last`, and of those that are more than `kept`, the oldest first."""
    too_many = await reader.fetch(NEWEST_ONE_TOO_MANY, tenant=tenant, kept=kept)
    last = max(last, too_many[0][0]) if too_many else last
    found = await reader.fetch(OLDER, tenant=tenant, last=last, limit=limit)
    return [each for (each,) in found]


async def _written_at(reader: Reader, tenant: TenantId, index: int) -> Micros:
    for entry in await reader.load(tenant, Entry, ("bundle", "slot"), [divmod(index, BUNDLE)]):
        assert isinstance(entry, Entry)
        return msgspec.json.decode(entry.body, type=Record).at
    raise AssertionError(f"the log has no entry {index} below its head")
