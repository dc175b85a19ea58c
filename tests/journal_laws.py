"""Laws of the whole, worked out from the outside: from the log and the rows, never from the code that made them."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence

import msgspec

from approval_laws import assert_pending_is_counted, assert_what_is_held_passes_once
from haldir.gate.commands import RevokeAgent, RevokeKey, RevokeSession
from haldir.gate.model import Session
from haldir.journal.command import SYSTEM, Record
from haldir.journal.journal import Journal
from haldir.journal.witness import NoWitness
from haldir.kernel.clock import MINUTE, Micros
from haldir.kernel.ids import TenantId
from haldir.kernel.scopes import covers
from haldir.ledger.model import Budget, Payment, Reservation
from haldir.operations.audit_commands import LogAction
from haldir.operations.call_commands import Admit
from haldir.operations.call_ending_commands import Resolve, Settle
from haldir.operations.commands import AnyCommand
from haldir.operations.credentials import credential_refusal
from haldir.operations.observer import Guardian
from haldir.operations.payment_commands import AuthorizePayment, CapturePayment, VoidPayment
from haldir.operations.secret_commands import RevealSecret
from haldir.policy.judgement import RateAbove
from haldir.proxy.model import Call
from haldir.storage.memory import MemoryEngine
from haldir.storage.rows import Entry, Row
from haldir.watch.model import Tally
from haldir.watch.tallies import day_of
from journal_samples import SIGNER, entries_of, state_of

RATES = {
    "p1": RateAbove("p1", "session", 2),
    "p2": RateAbove("p2", "agent", 3),
    "p3": RateAbove("p3", "tenant", 5),
}


def asked(entry: Entry) -> tuple[Record, AnyCommand]:
    record = msgspec.json.decode(entry.body, type=Record)
    return record, msgspec.json.decode(bytes(record.command), type=AnyCommand)


async def replayed(tenant: TenantId, entries: Sequence[Entry]) -> tuple[dict[str, list[Row]], str]:
    """The log alone rebuilds the state: decide every recorded command again, at its recorded time."""
    memory, told = MemoryEngine(), [asked(entry) for entry in entries]
    times = iter([record.at for record, _ in told])
    async with Journal(
        memory, SIGNER, lambda: next(times), NoWitness(), credential_refusal, observer=Guardian()
    ) as journal:
        for at in range(0, len(told), 100):
            await asyncio.gather(*(journal.apply(tenant, command) for _, command in told[at : at + 100]))
        assert [entry.body for entry in await entries_of(memory, tenant)] == [entry.body for entry in entries]
        return await state_of(memory, tenant), (await journal.head(tenant)).checkpoint


def assert_lawful(state: dict[str, list[Row]], log: Sequence[tuple[Record, AnyCommand]]) -> None:
    sessions = {row.id: row for row in state["session"] if isinstance(row, Session)}
    assert_money_adds_up(state, sessions)
    assert_children_only_narrow(state, sessions)
    assert_calls_end_once(state, log)
    assert_payments_end_once(state, log)
    assert_what_is_held_passes_once(sessions, log)
    assert_pending_is_counted(state)
    assert_nothing_runs_after_a_revocation(sessions, log)
    assert_rates_are_upper_bounds(sessions, log)
    assert_tallies_count_the_log(state, log)


def assert_money_adds_up(state: dict[str, list[Row]], sessions: dict[str, Session]) -> None:
    reserved, spent = Counter[str](), Counter[str]()
    for row in state["reservation"]:
        assert isinstance(row, Reservation)
        assert 0 <= row.posted_micros <= row.micros
        assert (row.resolved_at is None) == (row.state == "reserved")
        for holder in (row.session_id, *sessions[row.session_id].lineage):
            reserved[holder] += row.micros if row.state == "reserved" else 0
            spent[holder] += row.posted_micros
    for budget in state["budget"]:
        assert isinstance(budget, Budget)
        assert (budget.reserved_micros, budget.spent_micros) == (reserved[budget.holder], spent[budget.holder])
        if budget.limit_micros is not None:
            assert budget.reserved_micros + budget.spent_micros <= budget.limit_micros
        if not covers(sessions[budget.holder].scopes, "spend"):
            assert budget.spent_micros + budget.reserved_micros == 0


def assert_tallies_count_the_log(state: dict[str, list[Row]], log: Sequence[tuple[Record, AnyCommand]]) -> None:
    counted, spent = Counter[tuple[str, str, str]](), 0
    for record, command in log:
        about = record.about
        if isinstance(command, LogAction) and record.allowed:
            spent += command.cost_micros
        unknown = not about.agent_id and (record.allowed or command.asked_by == SYSTEM)
        waits = record.code == "approval_required"  # Neither done nor refused.
        if unknown or waits or not isinstance(command, Admit | LogAction | AuthorizePayment):
            continue
        tool = f"{about.upstream}.{about.tool}" if about.upstream else about.tool
        for kind, name in (("agent", about.agent_id), ("tool", tool), ("day", day_of(record.at))):
            counted[kind, name, "actions"] += 1
            counted[kind, name, "refused"] += not record.allowed
    tallies = [row for row in state["tally"] if isinstance(row, Tally)]
    for row in tallies:
        told = (counted[row.kind, row.name, "actions"], counted[row.kind, row.name, "refused"])
        assert (row.actions, row.refused) == told
    assert {(row.kind, row.name) for row in tallies if row.actions} == {key[:2] for key in counted if key[1]}
    spent += sum(row.posted_micros for row in state["reservation"] if isinstance(row, Reservation))
    assert sum(row.spent_micros for row in tallies if row.kind == "day") == spent


def assert_children_only_narrow(state: dict[str, list[Row]], sessions: dict[str, Session]) -> None:
    limits = {row.holder: row.limit_micros for row in state["budget"] if isinstance(row, Budget)}
    assert set(limits) == set(sessions)
    for child in sessions.values():
        if child.parent_id is None:
            assert child.lineage == ()
            continue
        parent = sessions[child.parent_id]
        assert child.lineage == (parent.id, *parent.lineage)
        assert all(covers(parent.scopes, scope) for scope in child.scopes)
        assert parent.expires_at is None or (child.expires_at is not None and child.expires_at <= parent.expires_at)
        own, above = limits[child.id], [limits[holder] for holder in child.lineage]
        assert own is None or all(limit is None or own <= limit for limit in above)


def assert_calls_end_once(state: dict[str, list[Row]], log: Sequence[tuple[Record, AnyCommand]]) -> None:
    ends = defaultdict[str, list[str]](list)
    for record, command in log:
        if record.allowed and isinstance(command, Settle | Resolve):
            ends[command.call_id].append(command.state)
    admitted = {command.call_id for record, command in log if record.allowed and isinstance(command, Admit)}
    for call in state["call"]:
        assert isinstance(call, Call)
        assert call.id in admitted
        finals = [end for end in ends[call.id] if end != "indeterminate"]
        assert finals in ([], [call.state])
        assert (call.settled_at is None) == (call.state == "open")
    assert len(state["call"]) == len(admitted)


def assert_payments_end_once(state: dict[str, list[Row]], log: Sequence[tuple[Record, AnyCommand]]) -> None:
    ends = Counter[str]()
    for record, command in log:
        if record.allowed and (
            isinstance(command, CapturePayment | VoidPayment)
            or (isinstance(command, AuthorizePayment) and command.capture)
        ):
            ends[command.payment_id] += 1
    money = {row.id: row for row in state["reservation"] if isinstance(row, Reservation) and row.purpose == "payment"}
    assert {row.id for row in state["payment"] if isinstance(row, Payment)} == set(money)
    for row in money.values():
        assert ends[row.id] == (row.state != "reserved")


def assert_nothing_runs_after_a_revocation(
    sessions: dict[str, Session], log: Sequence[tuple[Record, AnyCommand]]
) -> None:
    ended = set[str]()
    for record, command in log:
        if not record.allowed:
            continue
        assert f"{command.asked_by.kind}:{command.asked_by.id}" not in ended
        match command:
            case RevokeSession(session_id=name):
                ended.add(f"session:{name}")
            case RevokeAgent(name=name):
                ended.add(f"agent:{name}")
            case RevokeKey(prefix=name):
                ended.add(f"key:{name}")
            case (
                Admit(session_id=name)
                | AuthorizePayment(session_id=name)
                | LogAction(session_id=name)
                | RevealSecret(session_id=name)
            ):
                for session in (sessions[link] for link in (name, *sessions[name].lineage)):
                    assert not {f"session:{session.id}", f"agent:{session.agent_id}"} & ended
                    assert session.expires_at is None or record.at < session.expires_at
            case _:
                pass


def assert_rates_are_upper_bounds(sessions: dict[str, Session], log: Sequence[tuple[Record, AnyCommand]]) -> None:
    calls = defaultdict[tuple[str, str], list[Micros]](list)
    for record, command in log:
        if not (record.allowed and isinstance(command, Admit)):
            continue
        for pending in command.judgement.pending:
            rate = pending.when
            assert isinstance(rate, RateAbove)
            session = sessions[command.session_id]
            holder = {"session": session.id, "agent": session.agent_id, "tenant": ""}[rate.holder]
            calls[rate.policy_id, holder].append(record.at)
    for (policy_id, _), times in calls.items():
        most = RATES[policy_id].max_per_minute
        for first, last in zip(times, times[most:], strict=False):
            assert last - first >= MINUTE
