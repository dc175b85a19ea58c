"""Payments in two steps by REST, on SQLite and on PostgreSQL, and case by case at the journal's door."""

import asyncio
from collections.abc import Iterator

import pytest

from court import Court, told
from haldir.gate.commands import CreateAgent, CreateKey, RevokeAgent, RevokeSession
from haldir.journal.command import Command, CredentialRef
from haldir.kernel.clock import MINUTE
from haldir.ledger.model import Budget, Reservation
from haldir.operations.payment_commands import PaymentResolved
from harness.answers import Answer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir

KEY = CredentialRef("key", "k")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    court = Court(runner)
    court.apply(CreateKey(op_id=court.op(), prefix="k", sha256="k", name="k", scopes=("*",)))
    return court


def reserve(haldir: Haldir, session_id: str, amount: float, **members: object) -> str:
    answer = haldir.post(
        "/v1/payments/authorize", {"session_id": session_id, "amount": amount, "capture": False, **members}
    )
    assert (answer.status, answer.body["authorized"], answer.body["state"]) == (200, True, "reserved"), answer
    return str(answer.body["authorization_id"])


def refused(answer: Answer, status: int, code: str) -> bool:
    return (answer.status, answer.body["code"]) == (status, code)


def money_of(haldir: Haldir, session_id: str) -> tuple[float, float]:
    shown = haldir.get(f"/v1/sessions/{session_id}").body
    return shown["spent"], shown["remaining_budget"]


def test_a_reserved_payment_is_captured_in_part_once_and_the_rest_is_given_back(haldir: Haldir) -> None:
    session_id = haldir.session(spend_limit=10, agent_id="payer")["session_id"]
    payment = reserve(haldir, session_id, 6.5, description="shoes, size 43")
    assert money_of(haldir, session_id) == (0.0, 3.5)
    shown = haldir.get(f"/v1/payments/{payment}").body
    assert (shown["state"], shown["amount"], shown["posted"], shown["resolved_at"]) == ("reserved", 6.5, 0.0, None)
    assert (shown["agent_id"], shown["currency"], shown["description"]) == ("payer", "USD", "shoes, size 43")
    where = f"/v1/payments/{payment}/capture"
    assert refused(haldir.post(where, {"amount": 6.51}), 409, "amount_exceeds_reserved")
    assert refused(haldir.post(where, {"amount": 0}), 400, "invalid_request")
    taken = haldir.post(where, {"amount": 4}).body
    assert (taken["state"], taken["amount"], taken["posted"], taken["remaining_budget"]) == ("posted", 6.5, 4.0, 6.0)
    assert money_of(haldir, session_id) == (4.0, 6.0)
    assert refused(haldir.post(where), 409, "payment_not_open")
    assert refused(haldir.post(f"/v1/payments/{payment}/void"), 409, "payment_not_open")
    assert haldir.get(f"/v1/payments/{payment}").body["resolved_at"] >= shown["created_at"]


def test_a_voided_payment_spent_nothing_and_cannot_be_captured(haldir: Haldir) -> None:
    session_id = haldir.session(spend_limit=10)["session_id"]
    payment = reserve(haldir, session_id, 10)
    assert refused(
        haldir.post("/v1/payments/authorize", {"session_id": session_id, "amount": 0.01}), 403, "budget_exceeded"
    )
    voided = haldir.post(f"/v1/payments/{payment}/void").body
    assert (voided["state"], voided["posted"], voided["remaining_budget"]) == ("voided", 0.0, 10.0)
    assert refused(haldir.post(f"/v1/payments/{payment}/capture"), 409, "payment_not_open")
    assert money_of(haldir, session_id) == (0.0, 10.0)


def test_payments_are_listed_newest_first_page_by_page(haldir: Haldir) -> None:
    session_id = haldir.session(spend_limit=10)["session_id"]
    made = [reserve(haldir, session_id, 1) for _ in range(3)]
    haldir.post(f"/v1/payments/{made[1]}/capture")
    found, cursor = [], ""
    while cursor is not None:
        page = haldir.get(f"/v1/payments?session_id={session_id}&limit=2&cursor={cursor}").body
        found += [(each["authorization_id"], each["state"]) for each in page["payments"]]
        cursor = page["next_cursor"]
    assert found == [(made[2], "reserved"), (made[1], "posted"), (made[0], "reserved")]
    posted = haldir.get(f"/v1/payments?session_id={session_id}&state=posted").body
    assert [each["authorization_id"] for each in posted["payments"]] == [made[1]]
    assert haldir.get("/v1/payments?limit=501").status == 400
    assert haldir.get("/v1/payments?state=gone").status == 400


def test_another_session_and_an_unknown_id_get_the_same_answers(haldir: Haldir) -> None:
    mine, other = haldir.session(spend_limit=5), haldir.session(spend_limit=5)
    payment = reserve(haldir, mine["session_id"], 1)
    for name in (payment, "auth_unknown"):
        where = f"/v1/payments/{name}"
        assert refused(haldir.get(where, key=other["token"]), 404, "not_found")
        assert refused(haldir.post(f"{where}/capture", key=other["token"]), 404, "payment_not_found")
        assert refused(haldir.post(f"{where}/void", key=other["token"]), 404, "payment_not_found")
    assert haldir.get(f"/v1/payments/{payment}", key=mine["token"]).status == 200
    assert haldir.post(f"/v1/payments/{payment}/capture", key=mine["token"]).status == 200
    reader = haldir.post("/v1/keys", {"scopes": ["payments:read"]}).body["key"]
    assert haldir.get(f"/v1/payments/{payment}", key=reader).status == 200
    assert refused(haldir.post(f"/v1/payments/{payment}/void", key=reader), 403, "insufficient_scope")


def test_what_was_captured_and_what_was_voided_is_worked_out_on_the_whole_chain(court: Court) -> None:
    court.session("p", limit_micros=100)
    court.session("c", parent="p", limit_micros=50)
    for payment in ("a", "b"):
        assert court.pay("c", 20, payment_id=payment, capture=False).allowed
    assert {(row.reserved_micros, row.spent_micros) for row in court.rows(Budget)} == {(40, 0)}
    assert told(court.capture("a", 5), PaymentResolved).remaining_micros == 50 - 20 - 5
    assert told(court.void("b"), PaymentResolved).remaining_micros == 50 - 5
    assert {(row.reserved_micros, row.spent_micros) for row in court.rows(Budget)} == {(0, 5)}
    ends = [(row.id, row.state, row.posted_micros, row.resolved_at) for row in court.rows(Reservation)]
    assert sorted(ends) == [("a", "posted", 5, court.now), ("b", "voided", 0, court.now)]


@pytest.mark.parametrize(
    ("asked_by", "after_expiry"),
    [
        (KEY, "allowed"),
        (CredentialRef("session", "s"), "session_expired"),
        (CredentialRef("agent", "agent-of-s"), "agent_not_found"),
    ],
)
def test_an_expired_session_captures_by_a_key_alone(court: Court, asked_by: CredentialRef, after_expiry: str) -> None:
    court.session("s", limit_micros=10, ttl_seconds=60)
    court.pay("s", 5, payment_id="a", capture=False)
    court.now += MINUTE
    outcome = court.capture("a", asked_by=asked_by)
    assert (outcome.code or "allowed") == after_expiry


@pytest.mark.parametrize(
    ("revoke", "code"),
    [
        (RevokeSession(op_id="1" * 32, session_id="s"), "session_revoked"),
        (RevokeSession(op_id="1" * 32, session_id="p"), "session_revoked"),
        (RevokeAgent(op_id="1" * 32, name="bot"), "agent_revoked"),
    ],
)
def test_that_a_session_expired_hides_no_revocation_from_a_capture(court: Court, revoke: Command, code: str) -> None:
    create_agent = CreateAgent(op_id=court.op(), name="bot", sha256="b", scopes=(), limit_micros=None, ttl_seconds=0)
    assert court.apply(create_agent).allowed
    court.session("p", "execute", limit_micros=10)
    court.session("s", "execute", parent="p", agent_id="bot", limit_micros=10, ttl_seconds=60)
    assert court.pay("s", 5, payment_id="a", capture=False).allowed
    court.now += MINUTE
    assert court.apply(revoke).allowed
    assert court.capture("a", asked_by=KEY).code == code


def test_a_revoked_session_captures_nothing_but_its_money_can_be_given_back(court: Court) -> None:
    court.session("s", limit_micros=10)
    court.pay("s", 5, payment_id="a", capture=False)
    court.apply(RevokeSession(op_id=court.op(), session_id="s"))
    assert court.capture("a", asked_by=KEY).code == "session_revoked"
    assert court.void("a", asked_by=KEY).allowed


def test_a_refused_end_says_what_stands_against_it(court: Court) -> None:
    court.session("s", limit_micros=10_000_000)
    court.pay("s", 5_000_000, payment_id="a", capture=False)
    assert court.capture("x").reason == "There is no payment x."
    assert court.capture("a", 5_000_001).reason == "Only 5.00 was reserved for this payment."
    court.void("a")
    assert court.capture("a").reason == "The payment a is voided already."
    assert court.void("a").reason == "The payment a is voided already."
