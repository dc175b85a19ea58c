"""The laws of identity and money, over histories that Hypothesis invents, held against a plain model.

The model keeps no balances: it adds up the whole history at each question, in Decimal.
"""

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from court import Court
from haldir.gate.commands import CreateAgent, CreateKey, RevokeAgent, RevokeSession
from haldir.journal.command import SYSTEM, CredentialRef, Outcome
from haldir.kernel.clock import SECOND, Micros
from haldir.ledger.model import Budget, Reservation
from haldir.operations.call_ending_commands import Resolve

NAMES = "abcde"
TOOLS = ("buy", "sell")
SCOPES = ("execute", "execute:shop", "execute:shop:buy", "spend", "*", "read")
AGENTS = ("one", "two")

Event = tuple[Any, ...]
name = st.sampled_from(NAMES)
micros = st.integers(0, 12)
events = st.one_of(
    st.tuples(
        st.just("open"),
        name,
        st.sampled_from(AGENTS),
        st.lists(st.sampled_from(SCOPES), unique=True, min_size=1, max_size=3),
        st.none() | st.integers(0, 30),
        st.none() | st.sampled_from([0, 20, 40]),
        st.none() | name,
    ),
    st.tuples(st.just("pay"), name, micros),
    st.tuples(st.just("reserve"), name, micros),
    st.tuples(st.just("capture"), st.integers(0, 9), st.none() | micros, st.sampled_from(["key", "session", "agent"])),
    st.tuples(st.just("void"), st.integers(0, 9)),
    st.tuples(st.just("admit"), name, st.sampled_from(TOOLS), micros),
    st.tuples(st.just("admit"), name, st.just("buy"), micros),
    st.tuples(st.just("settle"), st.integers(0, 9), st.sampled_from(["posted", "voided", "indeterminate"])),
    st.tuples(st.just("resolve"), st.integers(0, 9), st.sampled_from(["posted", "voided"]), st.none() | micros),
    st.tuples(st.just("revoke"), name),
    st.tuples(st.just("revoke_agent"), st.sampled_from(AGENTS)),
    st.tuples(st.just("wait"), st.integers(1, 15)),
)
opening = st.tuples(
    st.just("open"),
    name,
    st.just("one"),
    st.just(["execute", "spend"]),
    st.integers(8, 30),
    st.none(),
    st.none() | name,
)
histories = st.tuples(st.lists(opening, min_size=1, max_size=4), st.lists(events, max_size=40)).map(
    lambda two: two[0] + two[1]
)


class Model:
    """What should happen, said as plainly as can be."""

    def __init__(self, now: Micros) -> None:
        self.now = now
        self.sessions: dict[str, dict[str, Any]] = {}
        self.dead_agents: set[str] = set()
        self.spent: list[tuple[str, Decimal]] = []
        self.calls: dict[int, dict[str, Any]] = {}
        self.payments: dict[int, dict[str, Any]] = {}

    def chain(self, session: str | None) -> list[str]:
        members = []
        while session is not None:
            members.append(session)
            session = self.sessions[session]["parent"]
        return members

    def lives(self, session: str) -> bool:
        return session in self.sessions and not self.revoked(session) and not self.expired(session)

    def revoked(self, session: str) -> bool:
        chain = [self.sessions[each] for each in self.chain(session)]
        return any(each["revoked"] or each["agent"] in self.dead_agents for each in chain)

    def expired(self, session: str) -> bool:
        ends = [self.sessions[each]["expires"] for each in self.chain(session)]
        return any(end is not None and self.now >= end for end in ends)

    def used(self, session: str) -> Decimal:
        spent = sum((amount for payer, amount in self.spent if session in self.chain(payer)), Decimal())
        begun = [*self.calls.values(), *self.payments.values()]
        waiting = [each for each in begun if each["state"] in {"open", "indeterminate", "reserved"}]
        return spent + sum((call["price"] for call in waiting if session in self.chain(call["session"])), Decimal())

    def fits(self, session: str, amount: Decimal) -> bool:
        limits = {each: self.sessions[each]["limit"] for each in self.chain(session)}
        return all(limit is None or self.used(each) + amount <= limit for each, limit in limits.items())

    def grants(self, session: str, scope: str) -> bool:
        parts = scope.split(":")
        above = {":".join(parts[:length]) for length in range(1, len(parts) + 1)} | {"*"}
        return bool(above & set(self.sessions[session]["scopes"]))

    def may_open(self, event: Event) -> bool:
        _, session, agent, scopes, limit, ttl, parent = event
        if session in self.sessions or agent in self.dead_agents:
            return False
        if parent is None:
            return True
        if not self.lives(parent) or not all(self.grants(parent, scope) for scope in scopes):
            return False
        expires, ends = self.expires(ttl, parent), self.sessions[parent]["expires"]
        if ends is not None and (expires is None or expires > ends):
            return False
        return limit is None or (self.grants(parent, "spend") and self.fits(parent, Decimal(limit)))

    def open(self, event: Event) -> None:
        _, session, agent, scopes, limit, ttl, parent = event
        if limit is None and not {"spend", "*"} & set(scopes):
            limit = 0
        elif limit is not None and not {"spend", "*"} & set(scopes):
            scopes = [*scopes, "spend"]
        self.sessions[session] = {
            "agent": agent,
            "parent": parent,
            "scopes": scopes,
            "limit": None if limit is None else Decimal(limit),
            "expires": self.expires(ttl, parent),
            "revoked": False,
        }

    def expires(self, ttl: int | None, parent: str | None) -> Micros | None:
        if ttl is not None:
            return self.now + ttl * SECOND if ttl else None
        latest = self.now + 3600 * SECOND
        ends = self.sessions[parent]["expires"] if parent else None
        return latest if ends is None else min(latest, ends)


Verdict = tuple[bool, Outcome]


def play(court: Court, model: Model, event: Event, number: int) -> None:
    """Do one thing in both worlds; what the court answers must be what the model expects."""
    kind, *rest = event
    if kind == "wait":
        court.now = model.now = court.now + rest[0] * SECOND
        return
    expected, outcome = PLAYS[kind](court, model, event, number)
    assert outcome.allowed == expected, (event, outcome)


def play_open(court: Court, model: Model, event: Event, _number: int) -> Verdict:
    _, session, agent, scopes, limit, ttl, parent = event
    expected = model.may_open(event)
    outcome = court.session(session, *scopes, parent=parent, agent_id=agent, limit_micros=limit, ttl_seconds=ttl)
    if expected:
        model.open(event)
    return expected, outcome


def play_pay(court: Court, model: Model, event: Event, _number: int) -> Verdict:
    _, session, amount = event
    expected = model.lives(session) and model.fits(session, Decimal(amount))
    if expected:
        model.spent.append((session, Decimal(amount)))
    return expected, court.pay(session, amount)


def play_reserve(court: Court, model: Model, event: Event, number: int) -> Verdict:
    _, session, amount = event
    expected = model.lives(session) and model.fits(session, Decimal(amount))
    if expected:
        model.payments[number] = {"session": session, "price": Decimal(amount), "state": "reserved"}
    return expected, court.pay(session, amount, payment_id=f"pay-{number}", capture=False)


def play_capture(court: Court, model: Model, event: Event, _number: int) -> Verdict:
    _, which, amount, asker = event
    number, payment = nth(model.payments, which) or (None, None)
    by, expected = SYSTEM, False
    if payment is not None:
        session = payment["session"]
        by = CredentialRef(asker, {"key": "k", "session": session, "agent": model.sessions[session]["agent"]}[asker])
        living = model.lives(session) or (asker == "key" and not model.revoked(session))
        fits = amount is None or Decimal(amount) <= payment["price"]
        expected = living and fits and payment["state"] == "reserved"
        close(model, payment, "posted", amount, expected=expected)
    return expected, court.capture(f"pay-{number}", amount, asked_by=by)


def play_void(court: Court, model: Model, event: Event, _number: int) -> Verdict:
    number, payment = nth(model.payments, event[1]) or (None, None)
    expected = payment is not None and payment["state"] == "reserved"
    close(model, payment, "voided", None, expected=expected)
    return expected, court.void(f"pay-{number}")


def play_admit(court: Court, model: Model, event: Event, number: int) -> Verdict:
    _, session, tool, price = event
    expected = model.lives(session) and model.grants(session, f"execute:shop:{tool}")
    limited = expected and any(model.sessions[each]["limit"] is not None for each in model.chain(session))
    charged = Decimal(price if limited else 0)
    expected = expected and model.fits(session, charged)
    if expected:
        model.calls[number] = {"session": session, "price": charged, "state": "open"}
    return expected, court.admit(session, tool, call_id=f"call-{number}", micros=price)


def play_settle(court: Court, model: Model, event: Event, _number: int) -> Verdict:
    _, which, state = event
    number, call = nth(model.calls, which) or (None, None)
    expected = call is not None and call["state"] in {"open", "indeterminate"}
    close(model, call, state, None, expected=expected)
    return expected, court.settle(f"call-{number}", state)


def play_resolve(court: Court, model: Model, event: Event, _number: int) -> Verdict:
    _, which, state, amount = event
    number, call = nth(model.calls, which) or (None, None)
    fits = call is not None and (state == "voided" or amount is None or Decimal(amount) <= call["price"])
    expected = call is not None and call["state"] == "indeterminate" and fits
    close(model, call, state, amount, expected=expected)
    call_id = f"call-{number}"
    return expected, court.apply(Resolve(op_id=court.op(), call_id=call_id, state=state, amount_micros=amount))


def play_revoke(court: Court, model: Model, event: Event, _number: int) -> Verdict:
    _, session = event
    expected = session in model.sessions
    if expected:
        model.sessions[session]["revoked"] = True
    return expected, court.apply(RevokeSession(op_id=court.op(), session_id=session))


def play_revoke_agent(court: Court, model: Model, event: Event, _number: int) -> Verdict:
    _, agent = event
    expected = agent not in model.dead_agents
    model.dead_agents.add(agent)
    return expected, court.apply(RevokeAgent(op_id=court.op(), name=agent))


PLAYS: dict[str, Callable[[Court, Model, Event, int], Verdict]] = {
    "open": play_open,
    "pay": play_pay,
    "reserve": play_reserve,
    "capture": play_capture,
    "void": play_void,
    "admit": play_admit,
    "settle": play_settle,
    "resolve": play_resolve,
    "revoke": play_revoke,
    "revoke_agent": play_revoke_agent,
}


def nth(begun: dict[int, dict[str, Any]], which: int) -> tuple[int, dict[str, Any]] | None:
    found = list(begun.items())
    return found[which % len(found)] if found else None


def close(model: Model, begun: dict[str, Any] | None, state: str, amount: int | None, *, expected: bool) -> None:
    if not expected:
        return
    assert begun is not None
    begun["state"] = state
    if state == "posted":
        model.spent.append((begun["session"], begun["price"] if amount is None else Decimal(amount)))


@settings(max_examples=250, deadline=None)
@given(history=histories)
def test_every_decision_and_every_balance_is_what_the_whole_history_says(history: list[Event]) -> None:
    with asyncio.Runner() as runner:
        court = Court(runner)
        court.upstream("shop", *TOOLS)
        court.apply(CreateKey(op_id=court.op(), prefix="k", sha256="k", name="k", scopes=("*",)))
        for agent in AGENTS:
            court.apply(
                CreateAgent(op_id=court.op(), name=agent, sha256=agent, scopes=(), limit_micros=None, ttl_seconds=9)
            )
        model = Model(court.now)
        for number, event in enumerate(history):
            play(court, model, event, number)
        assert_balances(court, model)


def assert_balances(court: Court, model: Model) -> None:
    for budget in court.rows(Budget):
        assert budget.reserved_micros >= 0
        assert budget.limit_micros is None or budget.spent_micros + budget.reserved_micros <= budget.limit_micros
        assert Decimal(budget.spent_micros + budget.reserved_micros) == model.used(budget.holder)
    for reservation in court.rows(Reservation):
        assert 0 <= reservation.posted_micros <= reservation.micros
        assert (reservation.state == "reserved") == (reservation.resolved_at is None)
