"""A named request at several replicas and at upstreams: done once, whoever is asked; and what is kept of its answer."""

import asyncio
import functools
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from haldir.app import open_context
from haldir.gate.request_commands import LEASE
from haldir.journal.command import CredentialRef
from haldir.kernel.clock import Micros
from haldir.kernel.ids import OpId, later_op
from haldir.kernel.secret import Secret
from haldir.operations import requests
from haldir.operations.caller import Caller
from haldir.operations.context import RequestOps
from haldir.operations.kept_answers import Answer, open_answer, seal_answer
from haldir.operations.operator import sync_operator_upstreams
from haldir.operations.tenants import first_tenant
from haldir.operations.verbs.proxy_call import CallToolRequest
from haldir.operations.verbs.proxy_call import call as call_by_rest
from haldir.operations.verbs.sessions import CreateSessionRequest, create_session
from haldir.operations.wire import JsonObject
from haldir.proxy.model import UpstreamConfig
from haldir.settings import Settings
from haldir.vault.seal import SealBroken
from harness.eventually import eventually
from harness.threads import http_upstream, running_haldir
from journal_samples import run_async
from named_requests import CALLERS, ROOT_KEY, Bench, Clock, at_once, payment, replayed, spent
from upstreams import raw
from upstreams.raw import raw_upstream


def test_two_replicas_carry_a_request_out_once(fresh_postgres_dsn: str, tmp_path: Path) -> None:
    with (
        running_haldir(tmp_path / "one", dsn=fresh_postgres_dsn, root_key=ROOT_KEY) as one,
        running_haldir(tmp_path / "other", dsn=fresh_postgres_dsn, root_key=ROOT_KEY) as other,
    ):
        session = one.session(spend_limit=100)
        key = one.key
        for number in range(5):
            path, name = "/v1/payments/authorize", f"both-{number}"
            answers = at_once(
                [
                    functools.partial(where.post, path, payment(session), key=key, idempotency_key=name)
                    for where in (one, other) * (CALLERS // 2)
                ]
            )
            assert {answer.status for answer in answers} == {200}
            assert len({answer.raw for answer in answers}) == 1
            assert Counter(map(replayed, answers)) == {True: CALLERS - 1, False: 1}
            assert spent(one, session) == number + 1
        asks = [functools.partial(where.post, "/v1/keys", {}, key=key, idempotency_key="k") for where in (one, other)]
        assert len({answer.body["key"] for answer in at_once(asks * 10)}) == 1


def test_a_retry_at_another_replica_waits_for_the_first_and_gets_its_answer(
    fresh_postgres_dsn: str, tmp_path: Path
) -> None:
    bench = Bench()
    bench.may_end.clear()
    common: dict[str, Any] = {"dsn": fresh_postgres_dsn, "root_key": ROOT_KEY, "operations": bench.operations}
    with (
        running_haldir(tmp_path / "one", **common) as one,
        running_haldir(tmp_path / "other", **common) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(one.post, "/v1/trials", {}, idempotency_key="slow")
        assert bench.begun.wait(20)
        second = pool.submit(other.post, "/v1/trials", {}, key=one.key, idempotency_key="slow")
        conflicting = other.post("/v1/trials", {"deed": "x"}, key=one.key, idempotency_key="slow")
        assert conflicting.status == 422
        assert not second.done()
        bench.may_end.set()
        assert first.result().raw == second.result().raw
        assert (replayed(first.result()), replayed(second.result())) == (False, True)
        assert len(bench.runs) == 1
        # Waiting only reads: the log has the first reservation, and the refusal.
        reserved = one.rest("GET", "/v1/audit?kind=request.reserve")["entries"]
        assert [entry["allowed"] for entry in reserved] == [False, True]


def test_a_replica_that_works_on_keeps_its_request_however_long_it_takes(
    fresh_postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "RENEW_SECONDS", 0.05)
    bench, clock = Bench(), Clock()
    bench.may_end.clear()
    common: dict[str, Any] = {"root_key": ROOT_KEY, "operations": bench.operations, "clock": clock}
    with (
        running_haldir(tmp_path / "one", dsn=fresh_postgres_dsn, **common) as one,
        running_haldir(tmp_path / "other", dsn=fresh_postgres_dsn, **common) as other,
        ThreadPoolExecutor(2) as pool,
    ):
        first = pool.submit(one.post, "/v1/trials", {}, idempotency_key="long")
        assert bench.begun.wait(20)
        for _ in range(3):
            clock.ahead += LEASE // 2
            eventually(lambda: asyncio.run(held_until(fresh_postgres_dsn)) >= clock() + LEASE // 2)
        second = pool.submit(other.post, "/v1/trials", {}, key=one.key, idempotency_key="long")
        bench.may_end.set()
        assert first.result().raw == second.result().raw
        assert len(bench.runs) == 1


async def held_until(dsn: str) -> Micros:
    connection = await asyncpg.connect(dsn)
    try:
        found: Micros = await connection.fetchval("SELECT held_until FROM request")
    finally:
        await connection.close()
    return found


def test_who_waits_too_long_is_told_to_come_again(
    fresh_postgres_dsn: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "WAIT_SECONDS_MAX", 0.2)
    bench = Bench()
    bench.may_end.clear()
    common: dict[str, Any] = {"root_key": ROOT_KEY, "operations": bench.operations}
    with (
        running_haldir(tmp_path / "one", dsn=fresh_postgres_dsn, **common) as one,
        running_haldir(tmp_path / "other", dsn=fresh_postgres_dsn, **common) as other,
        ThreadPoolExecutor(1) as pool,
    ):
        first = pool.submit(one.post, "/v1/trials", {}, idempotency_key="slow")
        assert bench.begun.wait(20)
        for where in (one, other):
            told = where.post("/v1/trials", {}, key=one.key, idempotency_key="slow")
            assert (told.status, told.body["code"], told.body["retry_after"]) == (409, "request_in_progress", 1)
            assert told.headers["retry-after"] == "1"
        bench.may_end.set()
        assert first.result().status == 200
        assert other.post("/v1/trials", {}, key=one.key, idempotency_key="slow").raw == first.result().raw
        assert len(bench.runs) == 1


@run_async
async def test_of_two_runs_of_one_request_one_calls_and_the_other_is_told_that_nobody_knows(tmp_path: Path) -> None:
    """As when a replica wakes that was silent for so long that another took its request."""
    executed = Counter[str]()

    def execute(connection: socket.socket, message: dict[str, Any]) -> None:
        executed[message["params"]["arguments"]["name"]] += 1
        raw.honest(connection, message)

    with raw_upstream(execute) as upstream:
        async with open_context(Settings(data=tmp_path)) as ctx:
            first = await first_tenant(ctx)
            await sync_operator_upstreams(ctx, first.tenant, [("up", UpstreamConfig(url=upstream.url), ())])
            caller = Caller(first.tenant, CredentialRef("key", first.key.reveal()[:12]), ("*",))
            session = (await create_session(ctx, caller, CreateSessionRequest("agent", ["execute"]))).session_id
            for number in range(10):
                asked = CallToolRequest("up.do", session, JsonObject({"name": f"n{number}"}))
                op_id = ctx.new_op()
                both = [msgspec.structs.replace(ctx, ops=RequestOps(op_id)) for _ in range(2)]
                told = await asyncio.gather(*(call_by_rest(each, caller, asked) for each in both))
                made, other = sorted(each.status for each in told)
                assert made == 200
                assert other in {503, 409}  # Its outcome is unknown while the first runs, and its answer lost after.
            assert executed == {f"n{number}": 1 for number in range(10)}


def test_a_call_sent_many_times_reaches_the_upstream_once(tmp_path: Path) -> None:
    executed = Counter[str]()

    def execute(connection: socket.socket, message: dict[str, Any]) -> None:
        executed[message["params"]["arguments"]["name"]] += 1
        raw.honest(connection, message)

    with raw_upstream(execute) as upstream, running_haldir(tmp_path, http_upstream("up", upstream.url)) as haldir:
        session = haldir.session("execute")["session_id"]
        asked = {"tool": "up.do", "arguments": {"name": "n"}, "session_id": session}
        answers = at_once([lambda: haldir.post("/v1/proxy/call", asked, idempotency_key="call")] * CALLERS)
        assert ({answer.status for answer in answers}, len({answer.raw for answer in answers})) == ({200}, 1)
        assert executed == {"n": 1}


@run_async
async def test_a_kept_answer_opens_by_its_name_alone_and_holds_no_credential(tmp_path: Path) -> None:
    async with open_context(Settings(data=tmp_path)) as ctx:
        tenant, op_id = (await first_tenant(ctx)).tenant, ctx.new_op()
        minted = ctx.keyring.mint("hst", later_op(op_id, 1)).reveal()
        answer = Answer(201, f'{{"token": "{minted}"}}'.encode())
        part = await seal_answer(ctx, tenant, op_id, "name", answer)
        assert part is not None
        assert await open_answer(ctx, tenant, op_id, "name", part) == answer
        for op, name in ((op_id, "other"), (ctx.new_op(), "name")):
            with pytest.raises(SealBroken):
                await open_answer(ctx, tenant, op, name, part)
        shuffled = msgspec.structs.replace(ctx, keyring=_OtherMint(ctx.keyring))
        opened = await open_answer(shuffled, tenant, op_id, "name", part)
        assert opened.body == b'{"token": "other hst"}'  # It was not in there: it is minted anew.


class _OtherMint:
    """A keyring that mints other credentials."""

    def __init__(self, keyring: Any) -> None:
        self._keyring = keyring

    def __getattr__(self, name: str) -> Any:
        return getattr(self._keyring, name)

    def mint(self, kind: str, _op: OpId) -> Secret[str]:
        return Secret(f"other {kind}")
