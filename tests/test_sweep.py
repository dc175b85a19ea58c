"""What nobody came back for is found: open calls after a crash, and refusals that were only counted."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from haldir.app import open_context, wall_clock
from haldir.approvals.model import Approval
from haldir.gate.model import Request
from haldir.journal.command import CredentialRef
from haldir.kernel.clock import DAY, MINUTE, SECOND, Micros
from haldir.kernel.errors import Refused
from haldir.kernel.secret import Secret
from haldir.operations.call_commands import Admit, Charge
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.kept_answers import Answer
from haldir.operations.outcomes import allowed
from haldir.operations.refusals import SINGLE_ENTRIES_PER_MINUTE
from haldir.operations.requests import Named, Work, answered_once
from haldir.operations.tenants import first_tenant
from haldir.operations.verbs.approvals import RequestApprovalRequest, request_approval
from haldir.operations.verbs.audit import QueryAuditRequest, query_audit
from haldir.operations.verbs.calls import CallNamed, ResolveCallRequest, get_call, resolve_call
from haldir.operations.verbs.sessions import CreateSessionRequest, SessionNamed, create_session, get_session
from haldir.operations.wire import Amount
from haldir.policy.judgement import Judgement
from haldir.proxy.commands import AddUpstream, ObserveTools, SeenTool
from haldir.proxy.model import Price, ToolRule
from haldir.settings import Settings
from haldir.storage.rows import Part
from haldir.workers.sweep import sweep
from journal_samples import rows_of


class Clock:
    """The wall clock, and what the test adds to it."""

    def __init__(self) -> None:
        self.ahead: Micros = 0

    def __call__(self) -> Micros:
        return wall_clock() + self.ahead


@pytest.fixture(params=["sqlite", "postgres"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    dsn = Secret(request.getfixturevalue("fresh_postgres_dsn")) if request.param == "postgres" else None
    return Settings(data=tmp_path, database_url=dsn)


def played(settings: Settings, story: Callable[[Context, Caller, Clock], Any]) -> None:
    """Play a story in a Haldir whose clock the story moves."""

    async def play() -> None:
        clock = Clock()
        async with open_context(settings, clock) as ctx:
            first = await first_tenant(ctx)
            key = CredentialRef("key", first.key.reveal()[:12])
            await story(ctx, Caller(first.tenant, key, ("*",)), clock)

    asyncio.run(play())


async def admitted_call(ctx: Context, caller: Caller) -> tuple[str, str]:
    """Return session and call of a tool call that was admitted for 2 USD, and then its process died."""
    rules = (ToolRule("buy", price=Price(fixed_micros=2_000_000)),)
    added = AddUpstream(op_id=ctx.new_op(), name="shop", transport="http", config_digest="", tool_rules=rules)
    version = (await allowed(ctx, caller.tenant, added)).at
    seen = ObserveTools(op_id=ctx.new_op(), upstream="shop", tools=(SeenTool("buy", "hash"),))
    await allowed(ctx, caller.tenant, seen)
    asked = CreateSessionRequest("agent", ["execute"], spend_limit=Amount(5_000_000))
    session = await create_session(ctx, caller, asked)
    admit = Admit(
        op_id=ctx.new_op(),
        call_id="call_lost",
        session_id=session.session_id,
        upstream="shop",
        upstream_version=version,
        tool="buy",
        arguments_digest="digest",
        judgement=Judgement(0),
        deadline_ms=30_000,
        charge=Charge(2_000_000, ruled=True),
    )
    await allowed(ctx, caller.tenant, admit)
    return session.session_id, "call_lost"


def test_a_call_that_nobody_settled_becomes_indeterminate_and_a_person_resolves_it(settings: Settings) -> None:
    async def story(ctx: Context, caller: Caller, clock: Clock) -> None:
        session_id, call_id = await admitted_call(ctx, caller)
        clock.ahead += 89 * SECOND
        assert await sweep(ctx) == 0
        assert (await get_call(ctx, caller, CallNamed(call_id))).state == "open"
        clock.ahead += 2 * SECOND
        assert await sweep(ctx) == 1
        assert await sweep(ctx) == 0
        lost = await get_call(ctx, caller, CallNamed(call_id))
        assert (lost.state, lost.error, lost.price) == ("indeterminate", "lapsed", 2.0)
        session = await get_session(ctx, caller, SessionNamed(session_id))
        assert (session.spent, session.remaining_budget) == (0.0, 3.0)  # Its money stays set aside.
        too_much = ResolveCallRequest(call_id, "post", Amount(2_000_001))
        with pytest.raises(Refused, match=r"Only 2\.00 was reserved"):
            await resolve_call(ctx, caller, too_much)
        resolved = await resolve_call(ctx, caller, ResolveCallRequest(call_id, "post", Amount(500_000)))
        assert (resolved.state, resolved.posted) == ("posted", 0.5)
        session = await get_session(ctx, caller, SessionNamed(session_id))
        assert (session.spent, session.remaining_budget) == (0.5, 4.5)
        assert (await get_call(ctx, caller, CallNamed(call_id))).resolved_by == str(caller.credential)

    played(settings, story)


def test_refusals_beyond_ten_a_minute_are_one_entry_with_their_count(settings: Settings) -> None:
    async def story(ctx: Context, caller: Caller, clock: Clock) -> None:
        async def recorded() -> list[int]:
            page = await query_audit(ctx, caller, QueryAuditRequest(kind="refusal.record"))
            return [msgspec.json.decode(entry.details).get("count", 1) for entry in reversed(page.entries)]

        for number in range(SINGLE_ENTRIES_PER_MINUTE + 26):  # What the caller chose makes no other kind of it.
            await ctx.refusals.record(caller, f"method-{number}", "insufficient_scope", f"No {number}.")
        assert await recorded() == [1] * SINGLE_ENTRIES_PER_MINUTE
        await sweep(ctx)
        assert len(await recorded()) == SINGLE_ENTRIES_PER_MINUTE
        clock.ahead += 60 * SECOND
        await sweep(ctx)
        assert await recorded() == [1] * SINGLE_ENTRIES_PER_MINUTE + [26]

    played(settings, story)


def test_what_was_kept_for_the_retries_of_a_request_is_erased_after_a_day(settings: Settings) -> None:
    async def story(ctx: Context, caller: Caller, clock: Clock) -> None:
        async def kept() -> tuple[int, int]:
            return len(await rows_of(ctx.store, caller.tenant, Request)), len(
                await rows_of(ctx.store, caller.tenant, Part)
            )

        async def answer(_ctx: Context) -> Answer:
            return Answer(200, b"{}")

        before = await kept()
        work = Work(answer, lambda _error: Answer(500, b"{}"))
        for name in ("one", "other"):
            assert await answered_once(ctx, caller, Named("/path", name, b"{}"), work) == (Answer(200, b"{}"), False)
        assert await kept() == (before[0] + 2, before[1] + 2)
        clock.ahead += DAY - MINUTE
        await sweep(ctx)
        assert await kept() == (before[0] + 2, before[1] + 2)
        clock.ahead += MINUTE
        await sweep(ctx)
        assert await kept() == before
        size = (await ctx.journal.head(caller.tenant)).size
        await sweep(ctx)
        assert (await ctx.journal.head(caller.tenant)).size == size  # Nothing to forget is nothing to record.

    played(settings, story)


def test_an_approval_that_nobody_gave_in_time_is_closed(settings: Settings) -> None:
    async def story(ctx: Context, caller: Caller, clock: Clock) -> None:
        session = await create_session(ctx, caller, CreateSessionRequest("a"))
        asked = [
            await request_approval(ctx, caller, RequestApprovalRequest(session_id=session.session_id, ttl=ttl))
            for ttl in (60, 3600)
        ]
        clock.ahead += 61 * SECOND
        await sweep(ctx)
        states = {row.id: row.state for row in await rows_of(ctx.store, caller.tenant, Approval)}
        assert states == {asked[0].request_id: "expired", asked[1].request_id: "pending"}
        entries = (await query_audit(ctx, caller, QueryAuditRequest(kind="approval.expire"))).entries
        assert len(entries) == 1

    played(settings, story)
