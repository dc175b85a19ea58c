"""Replay policies: which recorded calls would have been decided otherwise."""

import asyncio
import re

import msgspec

from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed
from haldir.operations.payload_commands import ReplayPolicies
from haldir.operations.policies import read_snapshot
from haldir.operations.policy_changes import digest_of, named_policies
from haldir.operations.policy_replay import Effect, Ruled
from haldir.operations.recorded_calls import Recollection
from haldir.operations.replayed_page import Flip, replayed_page
from haldir.operations.wire import JsonObject, Moment
from haldir.policy.bounds import too_many_windows
from haldir.policy.fields import InvalidPolicy, pointer
from haldir.policy.policy import Policy
from haldir.watch.filter import Span
from haldir.watch.queries import read_head, span_of

PAGE_DEFAULT = 1_000
PAGE_MAX = 5_000  # A second or two of work, in portions between which others are served.
CURSOR_CHARS_MAX = 40

_CURSOR = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")


class ReplayPoliciesRequest(msgspec.Struct, frozen=True):
    """`policies`: the candidate, as for PUT /v1/proxy/policies; absent, it is the policies in force.

    `limit` is how many calls are looked at; with `next_cursor` of the answer as `cursor` it goes on after them.
    """

    since: Moment
    until: Moment | None = None
    policies: tuple[JsonObject, ...] | None = None
    limit: int = PAGE_DEFAULT
    cursor: str = ""


class VerdictShown(msgspec.Struct, frozen=True):
    """What the policies made of the call by themselves: allow, hold or deny, which policy, and what it says."""

    effect: Effect
    policy_id: str
    reason: str


class FlipShown(msgspec.Struct, frozen=True):
    call_id: str
    at: float
    session_id: str
    agent_id: str
    tool: str
    was: VerdictShown
    would_be: VerdictShown


class LackingShown(msgspec.Struct, frozen=True):
    """A call that the candidate cannot be held against: its arguments were erased, or not kept."""

    call_id: str
    at: float
    tool: str
    why: str


class PoliciesReplayed(msgspec.Struct, frozen=True):
    """`replayed`: calls held against the candidate, of which `flips` would have been decided otherwise.

    `candidate_digest` names the candidate in the entry about this; versions of policies have such a `digest`, too.
    `refused_otherwise`: calls that were refused for another reason than policies, by its code; they are not judged.
    """

    flips: list[FlipShown]
    replayed: int
    not_replayed: list[LackingShown]
    refused_otherwise: dict[str, int]
    next_cursor: str | None
    candidate_digest: str


async def replay_policies(ctx: Context, caller: Caller, request: ReplayPoliciesRequest) -> PoliciesReplayed:
    """Hold recorded calls against a candidate set of policies; it is recorded who did."""
    if not 1 <= request.limit <= PAGE_MAX:
        raise InvalidRequest(f"`limit` is 1 to {PAGE_MAX}", "limit")
    candidate = await _candidate(ctx, caller, request)
    span = _read_cursor(request.cursor) if request.cursor else await _span(ctx, caller, request)
    digest = digest_of(await ctx.keyring.tenant(caller.tenant), dict(candidate))
    command = ReplayPolicies(
        op_id=ctx.new_op(), asked_by=caller.credential, first=span.first, end=span.end, candidate_digest=digest
    )
    await allowed(ctx, caller.tenant, command)
    page = await replayed_page(ctx, caller.tenant, candidate, span, request.limit)
    return PoliciesReplayed(
        [_flip(each) for each in page.flips],
        page.replayed,
        [_lacking(each) for each in page.lacking],
        page.otherwise,
        f"{page.rest.first}-{page.rest.end}" if page.rest else None,
        digest,
    )


async def _candidate(ctx: Context, caller: Caller, request: ReplayPoliciesRequest) -> list[tuple[str, Policy]]:
    if request.policies is None:
        _, standing = await read_snapshot(ctx.store, ctx.keyring, caller.tenant)
        return [(stored.id, policy) for stored, policy in standing]
    try:
        candidate = list((await asyncio.to_thread(named_policies, request.policies)).items())
    except InvalidPolicy as fault:
        raise InvalidPolicy(fault.message, pointer("policies") + fault.pointer) from None
    if wrong := next(too_many_windows(candidate), None):
        name, message = wrong
        raise InvalidPolicy(message, pointer("policies", [each for each, _ in candidate].index(name)))
    return candidate


async def _span(ctx: Context, caller: Caller, request: ReplayPoliciesRequest) -> Span:
    """Return the stretch of the log that is asked for, as far as it reaches now."""
    size = (await read_head(ctx.store, caller.tenant)).size
    asked = await span_of(ctx.store, caller.tenant, request.since, request.until)
    return Span(min(asked.first, size), min(asked.end, size))


def _read_cursor(cursor: str) -> Span:
    found = _CURSOR.fullmatch(cursor[:CURSOR_CHARS_MAX])
    if found is None:
        raise InvalidRequest("`cursor` is none that a page ended with", "cursor")
    return Span(int(found[1]), int(found[2]))


def _flip(flip: Flip) -> FlipShown:
    call = flip.call
    about = call.record.about
    return FlipShown(
        call.admit.call_id,
        unix_seconds(call.record.at),
        about.session_id,
        about.agent_id,
        f"{about.upstream}.{about.tool}",
        _verdict(flip.was),
        _verdict(flip.would_be),
    )


def _verdict(ruled: Ruled) -> VerdictShown:
    return VerdictShown(ruled.effect, ruled.policy_id, ruled.reason)


def _lacking(recalled: Recollection) -> LackingShown:
    admit = recalled.call.admit
    at = unix_seconds(recalled.call.record.at)
    return LackingShown(admit.call_id, at, f"{admit.upstream}.{admit.tool}", recalled.lack)


OPERATIONS = (
    Operation(
        name="replay_policies",
        method="POST",
        path="/v1/proxy/policies/replay",
        summary="Hold recorded calls against a candidate set of policies",
        scope="payloads:read",
        request=ReplayPoliciesRequest,
        response=PoliciesReplayed,
        run=replay_policies,
        read_only=True,
        tag="policies",
    ),
)
