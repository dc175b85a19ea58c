"""A request that names itself by an Idempotency-Key is carried out once, and answered alike whenever it is sent."""

import asyncio
import json
import socket
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from haldir.kernel.clock import DAY, MINUTE
from haldir.kernel.errors import RateLimited, Unavailable
from haldir.operations.kept_answers import ANSWER_BYTES_MAX
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from named_requests import CALLERS, Bench, Clock, at_once, payment, replayed, spent


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None


@pytest.fixture(scope="module")
def haldir(dsn: str | None, tmp_path_factory: pytest.TempPathFactory, clock: Clock, bench: Bench) -> Iterator[Haldir]:
    data = tmp_path_factory.mktemp("data")
    with running_haldir(data, dsn=dsn, clock=clock, operations=bench.operations) as haldir:
        yield haldir


def test_fifty_retries_at_once_spend_once_and_all_get_the_same_answer(haldir: Haldir) -> None:
    session = haldir.session(spend_limit=100)
    asks = [lambda: haldir.post("/v1/payments/authorize", payment(session), idempotency_key="pay-once")] * CALLERS
    answers = at_once(asks)
    assert {answer.status for answer in answers} == {200}
    assert len({answer.raw for answer in answers}) == 1
    assert Counter(map(replayed, answers)) == {True: CALLERS - 1, False: 1}
    assert spent(haldir, session) == 1
    again = haldir.post("/v1/payments/authorize", payment(session), idempotency_key="pay-once")
    assert (again.status, again.raw, replayed(again)) == (200, answers[0].raw, True)
    assert spent(haldir, session) == 1


def test_a_key_is_made_once_and_is_the_same_in_all_answers(haldir: Haldir) -> None:
    before = haldir.rest("GET", "/v1/keys")["count"]
    asks = [lambda: haldir.post("/v1/keys", {"name": "ci"}, idempotency_key="make-a-key")] * CALLERS
    answers = at_once(asks)
    (raw,) = {answer.raw for answer in answers}
    assert haldir.rest("GET", "/v1/keys")["count"] == before + 1
    assert haldir.post("/v1/keys", {"name": "ci"}, idempotency_key="make-a-key").raw == raw
    assert haldir.get("/v1/audit", key=json.loads(raw)["key"]).status == 200


@pytest.mark.parametrize(
    ("path", "body", "member"),
    [
        ("/v1/agents", {"name": "worker"}, "key"),
        ("/v1/sessions", {"agent_id": "a"}, "token"),
        ("/v1/webhooks", {"url": "http://127.0.0.1:9/hook"}, "secret"),
    ],
)
def test_other_credentials_are_the_same_in_a_retry_too(
    haldir: Haldir, path: str, body: dict[str, Any], member: str
) -> None:
    first, again = (haldir.post(path, body, idempotency_key="mint") for _ in range(2))
    assert (first.status, again.status, replayed(again)) == (201, 201, True)
    assert first.body == again.body
    assert len(first.body[member]) >= 32


def test_who_sends_it_while_it_is_under_way_has_it_carried_out_no_second_time(haldir: Haldir, bench: Bench) -> None:
    before = len(bench.runs)
    answers = at_once([lambda: haldir.post("/v1/trials", {}, idempotency_key="all-at-once")] * CALLERS)
    assert (len({answer.raw for answer in answers}), len(bench.runs)) == (1, before + 1)


def test_another_request_under_the_same_name_is_refused_and_done_by_nobody(haldir: Haldir) -> None:
    session = haldir.session(spend_limit=100)
    path, name = "/v1/payments/authorize", "one-name"
    first = haldir.post(path, payment(session), idempotency_key=name)
    other = haldir.post(path, payment(session, 2), idempotency_key=name)
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    assert other.body["hint"]
    assert spent(haldir, session) == 1
    spelled_otherwise = b'{ "amount": 1, "session_id":\n"%b" }' % session["session_id"].encode()
    assert haldir.post(path, spelled_otherwise, idempotency_key=name).raw == first.raw


def test_another_request_is_refused_while_the_first_is_under_way(haldir: Haldir, bench: Bench) -> None:
    bench.begun.clear()
    bench.may_end.clear()
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(haldir.post, "/v1/trials", {"deed": "a"}, idempotency_key="under-way")
        assert bench.begun.wait(20)
        other = haldir.post("/v1/trials", {"deed": "b"}, idempotency_key="under-way")
        bench.may_end.set()
        assert first.result().status == 200
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")


def test_a_name_means_nothing_to_another_tenant_key_or_path(haldir: Haldir) -> None:
    stranger = haldir.post("/v1/keys", {"bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    sibling = haldir.post("/v1/keys", {"name": "sibling"}).body["key"]
    made = [haldir.post("/v1/keys", {"name": "x"}, key=key, idempotency_key="x") for key in ("", stranger, sibling)]
    assert len({answer.body["key"] for answer in made}) == 3
    assert not any(map(replayed, made))
    elsewhere = haldir.post("/v1/agents", {"name": "x"}, idempotency_key="x")
    assert (elsewhere.status, replayed(elsewhere)) == (201, False)


def test_a_named_session_is_part_of_what_a_request_says(haldir: Haldir) -> None:
    one, other = haldir.session(), haldir.session()
    first = haldir.post("/v1/trials", {}, idempotency_key="in", x_session_id=one["session_id"])
    assert first.status == 200
    assert haldir.post("/v1/trials", {}, idempotency_key="in", x_session_id=other["session_id"]).status == 422
    assert haldir.post("/v1/trials?a=b", {}, idempotency_key="in", x_session_id=one["session_id"]).status == 422


def test_a_refusal_by_decision_is_an_answer(haldir: Haldir) -> None:
    session = haldir.session(spend_limit=1)
    path = "/v1/payments/authorize"
    first, again = (haldir.post(path, payment(session, 5), idempotency_key="too-much") for _ in range(2))
    assert (first.status, first.body["code"], first.body["authorized"]) == (403, "budget_exceeded", False)
    assert (again.status, again.raw, replayed(again)) == (403, first.raw, True)
    assert again.headers["x-request-id"] != again.body["request_id"] == first.headers["x-request-id"]


def test_what_is_malformed_or_not_allowed_to_be_asked_leaves_the_name_free(haldir: Haldir) -> None:
    session = haldir.session(spend_limit=10)
    path, name = "/v1/payments/authorize", "second-try"
    for wrong in (b"{", {"session_id": session["session_id"]}, payment(session, 0)):
        assert haldir.post(path, wrong, idempotency_key=name).status == 400
    assert haldir.post(path, payment({"session_id": "ses_none"}), idempotency_key=name).status == 401
    assert haldir.post(path, payment(session), key="hld_nobody", idempotency_key=name).status == 401
    assert haldir.post(path, payment(session), idempotency_key=name).status == 200
    assert spent(haldir, session) == 1


@pytest.mark.parametrize(
    ("failure", "status"),
    [(Unavailable("Down."), 503), (RuntimeError("A bug."), 500), (RateLimited("", 1, "", 1), 429)],
)
def test_after_a_fault_the_next_retry_is_carried_out(
    haldir: Haldir, bench: Bench, failure: Exception, status: int
) -> None:
    bench.failures.append(failure)
    name = f"fault-{status}"
    first, second, third = (haldir.post("/v1/trials", {"deed": name}, idempotency_key=name) for _ in range(3))
    assert [answer.status for answer in (first, second, third)] == [status, 200, 200]
    assert (replayed(second), replayed(third)) == (False, True)
    assert third.raw == second.raw


def test_what_may_have_been_done_is_done_again_under_the_same_op_ids(haldir: Haldir, bench: Bench) -> None:
    bench.failures.append(Unavailable("It is not known whether this was decided."))
    before = len(bench.runs)
    for _ in range(2):
        haldir.post("/v1/trials", {}, idempotency_key="again")
    haldir.post("/v1/trials", {}, idempotency_key="another")
    once, again, another = bench.runs[before:]
    assert once == again
    assert len({*once, *another}) == 4


def test_an_answer_too_large_to_keep_is_made_again(haldir: Haldir, bench: Bench) -> None:
    before = len(bench.runs)
    asked = {"size": ANSWER_BYTES_MAX}
    answers = [haldir.post("/v1/trials", asked, idempotency_key="large") for _ in range(2)]
    assert answers[0].raw == answers[1].raw
    assert [replayed(answer) for answer in answers] == [False, False]
    assert len(bench.runs) == before + 2
    assert bench.runs[before] == bench.runs[before + 1]


@pytest.mark.parametrize("name", ["", " ", "a b", "x" * 256, "\xe9", "a\tb"])
def test_a_name_that_is_none_is_a_400(haldir: Haldir, name: str) -> None:
    answer = haldir.post("/v1/trials", {}, idempotency_key=name)
    assert (answer.status, answer.body["code"], answer.body["field"]) == (400, "invalid_request", "Idempotency-Key")


def test_the_longest_name_is_a_name(haldir: Haldir) -> None:
    name = "~" * 255
    first, again = (haldir.post("/v1/trials", {}, idempotency_key=name) for _ in range(2))
    assert (first.status, again.raw, replayed(again)) == (200, first.raw, True)


def test_two_names_in_one_request_are_a_400(haldir: Haldir) -> None:
    head = f"POST /v1/trials HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {haldir.key}\r\nContent-Length: 0\r\n"
    with socket.create_connection(("127.0.0.1", haldir.port)) as connection:
        connection.sendall(f"{head}Idempotency-Key: a\r\nIdempotency-Key: b\r\nConnection: close\r\n\r\n".encode())
        assert connection.recv(64).startswith(b"HTTP/1.1 400")


def test_what_only_reads_has_no_use_for_a_name(haldir: Haldir, bench: Bench) -> None:
    before = len(bench.runs)
    answers = [haldir.post("/v1/looks", {}, idempotency_key="n") for _ in range(2)]
    assert not any(map(replayed, answers))
    assert len(bench.runs) == before + 2
    session = haldir.session()["session_id"]
    for scope, allowed in (("read", True), ("spend", False)):
        checked = haldir.post(f"/v1/sessions/{session}/check", {"scope": scope}, idempotency_key="same")
        assert (checked.status, checked.body["allowed"]) == (200, allowed)


def test_a_stranger_with_the_bootstrap_token_makes_one_tenant_under_one_name(haldir: Haldir) -> None:
    asked = {"name": "tenant", "bootstrap_token": BOOTSTRAP_TOKEN}
    made = at_once([lambda: haldir.post("/v1/keys", asked, key=None, idempotency_key="tenant")] * 5)
    assert {answer.status for answer in made} == {201}
    assert len({answer.raw for answer in made}) == 1
    assert haldir.get("/v1/keys", key=made[0].body["key"]).body["count"] == 1
    other = haldir.post("/v1/keys", asked | {"name": "other"}, key=None, idempotency_key="tenant")
    assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")
    wrong = haldir.post("/v1/keys", asked | {"bootstrap_token": "guess"}, key=None, idempotency_key="tenant")
    assert wrong.status == 401


def test_a_revoked_key_gets_no_answer_of_before(haldir: Haldir) -> None:
    key = haldir.post("/v1/keys", {}).body["key"]
    assert haldir.post("/v1/trials", {}, key=key, idempotency_key="mine").status == 200
    haldir.delete(f"/v1/keys/{key[:12]}")
    assert haldir.post("/v1/trials", {}, key=key, idempotency_key="mine").status == 401


def test_names_and_answers_are_forgotten_after_a_day(haldir: Haldir, clock: Clock, bench: Bench) -> None:
    first = haldir.post("/v1/trials", {}, idempotency_key="for-a-day")
    clock.ahead += DAY - MINUTE
    assert haldir.post("/v1/trials", {}, idempotency_key="for-a-day").raw == first.raw
    clock.ahead += MINUTE
    before = len(bench.runs)
    later = haldir.post("/v1/trials", {}, idempotency_key="for-a-day")
    assert (later.status, replayed(later)) == (200, False)
    assert later.raw != first.raw
    assert haldir.post("/v1/trials", {}, idempotency_key="for-a-day").raw == later.raw
    assert len(bench.runs) == before + 1
    clock.ahead += DAY
    another = haldir.post("/v1/trials", {"deed": "another"}, idempotency_key="for-a-day")
    assert (another.status, replayed(another)) == (200, False)
    assert haldir.rest("GET", "/v1/audit/verify")["verified"]


def test_no_stored_byte_is_a_credential_or_a_name(haldir: Haldir, dsn: str | None) -> None:
    name = "a-name-that-nobody-stores"
    made = [
        haldir.post("/v1/keys", {}, idempotency_key=name).body["key"],
        haldir.post("/v1/agents", {"name": "of-a-name"}, idempotency_key=name).body["key"],
        haldir.post("/v1/sessions", {"agent_id": "a"}, idempotency_key=name).body["token"],
        haldir.post("/v1/webhooks", {"url": "http://127.0.0.1:9/"}, idempotency_key=name).body["secret"],
    ]
    assert haldir.post("/v1/keys", {}, idempotency_key=name).body["key"] == made[0]
    stored = asyncio.run(stored_in_postgres(dsn)) if dsn else stored_in_files(haldir.data)
    assert b"request.reserve" in stored
    assert name.encode() not in stored
    for credential in made:
        assert credential[4:].encode() not in stored


def stored_in_files(data: Path) -> bytes:
    return b"".join(path.read_bytes() for path in data.iterdir() if path.name.startswith("haldir.db"))


async def stored_in_postgres(dsn: str) -> bytes:
    connection = await asyncpg.connect(dsn)
    try:
        tables = await connection.fetch(
            "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        )
        rows = [row for (table,) in tables for row in await connection.fetch(f"SELECT * FROM {table}")]
    finally:
        await connection.close()
    return b"\n".join(value if isinstance(value, bytes) else str(value).encode() for row in rows for value in row)
