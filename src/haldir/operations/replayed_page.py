"""One page of a replay: what a candidate makes of recorded calls, as many as one request may ask for."""

import asyncio
from collections.abc import Iterator, Sequence

import msgspec

from haldir.kernel.errors import InvalidRequest
from haldir.kernel.ids import TenantId
from haldir.operations.context import Context
from haldir.operations.policy_replay import ArgumentsGone, Replay, Ruled, reach_of
from haldir.operations.recorded_call import RecordedCall
from haldir.operations.recorded_calls import OPENED_AT_ONCE, Recollection, read_calls, recollect
from haldir.operations.secret_masks import SecretMasks
from haldir.policy.policy import Policy
from haldir.watch.filter import Span
from haldir.watch.queries import first_index_at

COUNTED_MAX = 500_000  # Calls before the first one of a page, for its counters: half a minute's work.


class Flip(msgspec.Struct, frozen=True):
    """A call whose verdict would be another one."""

    call: RecordedCall
    was: Ruled
    would_be: Ruled


class Page(msgspec.Struct, frozen=True):
    """What became of the calls of one page. `rest` is what is left of the stretch; None if nothing is.

    `otherwise` counts calls that were refused for other reasons than policies, by the code of that.
    """

    flips: list[Flip]
    lacking: list[Recollection]
    replayed: int
    otherwise: dict[str, int]
    rest: Span | None


async def replayed_page(
    ctx: Context, tenant: TenantId, candidate: Sequence[tuple[str, Policy]], span: Span, limit: int
) -> Page:
    """Hold up to `limit` calls of a stretch against a candidate.

    Raises InvalidRequest if more than COUNTED_MAX calls lie within reach of the candidate's windows before the first.
    """
    page = _Page(Replay(candidate), limit)
    calls, rest = await _first_calls(ctx, tenant, span)
    if not calls:
        return page.done(None)
    await _count_before(ctx, tenant, page.replay, calls[0], reach_of([policy for _, policy in candidate]))
    masks = SecretMasks(ctx, tenant)
    while True:
        for some in _in_portions(calls):
            for each in await recollect(ctx, tenant, some, masks):
                if page.is_full:
                    return page.done(Span(each.call.index, span.end))
                page.take(each)
        if rest is None:
            return page.done(None)
        calls, rest = await read_calls(ctx, tenant, rest)


class _Page:
    """A page while it fills."""

    def __init__(self, replay: Replay, limit: int) -> None:
        self.replay, self._limit = replay, limit
        self._flips: list[Flip] = []
        self._lacking: list[Recollection] = []
        self._otherwise: dict[str, int] = {}
        self._replayed = 0

    @property
    def is_full(self) -> bool:
        return self._replayed + len(self._lacking) + sum(self._otherwise.values()) >= self._limit

    def take(self, recalled: Recollection) -> None:
        call = recalled.call
        if call.is_judged:
            self._rule(recalled)
        else:
            self._otherwise[call.record.code] = self._otherwise.get(call.record.code, 0) + 1
        self.replay.count(call)

    def done(self, rest: Span | None) -> Page:
        return Page(self._flips, self._lacking, self._replayed, self._otherwise, rest)

    def _rule(self, recalled: Recollection) -> None:
        call = recalled.call
        try:
            would_be = self.replay.would_be(call, recalled.scopes, recalled.arguments)
        except ArgumentsGone:
            self._lacking.append(recalled)
            return
        self._replayed += 1
        was = self.replay.was(call)
        if was.effect != would_be.effect:
            self._flips.append(Flip(call, was, would_be))


async def _first_calls(ctx: Context, tenant: TenantId, span: Span) -> tuple[list[RecordedCall], Span | None]:
    """Return the first calls of a stretch that has any, and what is left of it."""
    rest: Span | None = span
    while rest is not None:
        calls, rest = await read_calls(ctx, tenant, rest)
        if calls:
            return calls, rest
    return [], None


async def _count_before(ctx: Context, tenant: TenantId, replay: Replay, first: RecordedCall, reach: int) -> None:
    """Count the calls before the first one, as far back as the candidate looks."""
    if not reach:
        return
    since = await first_index_at(ctx.store, tenant, first.index, first.record.at - reach)
    rest: Span | None = Span(since, first.index) if since < first.index else None
    counted = 0
    while rest is not None:
        calls, rest = await read_calls(ctx, tenant, rest)
        counted += len(calls)
        if counted > COUNTED_MAX:
            raise InvalidRequest(
                f"more than {COUNTED_MAX} calls lie within the longest window before a call; shorten the window",
                "policies",
            )
        for some in _in_portions(calls):
            for call in some:
                replay.count(call)
            await asyncio.sleep(0)  # Others are served in between.


def _in_portions(calls: Sequence[RecordedCall]) -> Iterator[Sequence[RecordedCall]]:
    for start in range(0, len(calls), OPENED_AT_ONCE):
        yield calls[start : start + OPENED_AT_ONCE]
