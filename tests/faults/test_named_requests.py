"""kill -9 between the lines of a request with an Idempotency-Key: its retry finds it done once, or does it once."""

import http.client
import socket
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from faults.server_victim import MortalServer, settings_of
from faults.victim import Plan
from haldir.app import check, wall_clock
from haldir.gate.request_commands import LEASE
from haldir.kernel.clock import SECOND, Micros
from harness.answers import Answer
from harness.haldir import Haldir
from harness.threads import running_haldir
from upstreams import raw
from upstreams.raw import raw_upstream

NAME = "the-one"
RESERVED, CARRIED_OUT, KEPT = 1, 2, 3  # The commits of a request that is one command.
ADMITTED, SETTLED, CALL_KEPT = 2, 3, 4  # Those of a tool call, after its reservation.


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("fresh_postgres_dsn") if request.param == "postgres" else None


def after_the_lease() -> Micros:
    """Tell the time at which a replica that was killed just now no longer holds anything."""
    return wall_clock() + LEASE + SECOND


@contextmanager
def living_again(plan: Plan) -> Iterator[Haldir]:
    """Start on what the dead process left. Only on PostgreSQL might it be alive, so there time passes."""
    settings = settings_of(plan)
    clock = after_the_lease if plan.dsn else wall_clock
    with running_haldir(plan.data, *settings.upstreams, dsn=plan.dsn, clock=clock) as haldir:
        yield haldir
    assert check(settings).ok


def killed(plan: Plan, prepare: Callable[[Haldir], Any], ask: Callable[[Haldir, Any], Answer]) -> Any:
    """Send a request to a server that dies of it; return what was prepared before."""
    with MortalServer(plan) as server:
        prepared = prepare(server.haldir)
        server.arm()
        with pytest.raises((http.client.HTTPException, OSError)):
            ask(server.haldir, prepared)
        server.until_dead()
    return prepared


@pytest.mark.parametrize("commit", [RESERVED, CARRIED_OUT, KEPT])
@pytest.mark.parametrize("step", ["commit.asked", "commit.done"])
def test_a_payment_is_made_once_whenever_the_process_dies(
    tmp_path: Path, dsn: str | None, step: str, commit: int
) -> None:
    def pay(haldir: Haldir, session: str) -> Answer:
        asked = {"session_id": session, "amount": 1, "description": "once"}
        return haldir.post("/v1/payments/authorize", asked, idempotency_key=NAME)

    plan = Plan(tmp_path, dsn, "", "", step, commit, from_start=False)
    session = killed(plan, lambda haldir: haldir.session(spend_limit=10)["session_id"], pay)
    with living_again(plan) as haldir:
        first, again = pay(haldir, session), pay(haldir, session)
        assert (first.status, again.status) == (200, 200)
        assert first.raw == again.raw
        assert haldir.rest("GET", f"/v1/sessions/{session}")["spent"] == 1


@pytest.mark.parametrize("commit", [RESERVED, CARRIED_OUT, KEPT])
def test_the_key_that_was_made_before_the_process_died_is_the_one_that_is_told(
    tmp_path: Path, dsn: str | None, commit: int
) -> None:
    def make(haldir: Haldir, _prepared: object) -> Answer:
        return haldir.post("/v1/keys", {"name": "once"}, idempotency_key=NAME)

    plan = Plan(tmp_path, dsn, "", "", "commit.done", commit, from_start=False)
    killed(plan, lambda _haldir: None, make)
    with living_again(plan) as haldir:
        made = make(haldir, None)
        assert (made.status, make(haldir, None).raw) == (201, made.raw)
        assert [key["name"] for key in haldir.rest("GET", "/v1/keys")["keys"]].count("once") == 1
        assert haldir.get("/v1/keys", key=made.body["key"]).status == 200


class Death(NamedTuple):
    """At which step of a call to die; how often the upstream did it, and what is told, once all is over."""

    step: str
    nth: int
    executions: int
    told: int


@pytest.mark.parametrize(
    "death",
    [
        Death("commit.done", RESERVED, 1, 200),
        Death("commit.asked", ADMITTED, 1, 200),
        Death("commit.done", ADMITTED, 0, 503),
        Death("forward.begun", 1, 0, 503),
        Death("forward.answered", 1, 1, 503),
        Death("commit.asked", SETTLED, 1, 503),
        Death("commit.done", SETTLED, 1, 409),
        Death("commit.asked", CALL_KEPT, 1, 409),
        Death("commit.done", CALL_KEPT, 1, 200),
    ],
)
def test_a_call_is_never_made_twice_whenever_the_process_dies(tmp_path: Path, dsn: str | None, death: Death) -> None:
    """Admitted, it may have been made; so who asks again is told its id, and that nobody knows."""
    executed = Counter[str]()

    def execute(connection: socket.socket, message: dict[str, Any]) -> None:
        executed[message["params"]["arguments"]["name"]] += 1
        raw.honest(connection, message)

    def session(haldir: Haldir) -> str:
        haldir.rest("GET", "/v1/proxy/tools")
        found: str = haldir.session("execute")["session_id"]
        return found

    def call(haldir: Haldir, session: str) -> Answer:
        asked = {"tool": "up.do", "arguments": {"name": "n"}, "session_id": session}
        return haldir.post("/v1/proxy/call", asked, idempotency_key=NAME)

    with raw_upstream(execute) as upstream:
        plan = Plan(tmp_path, dsn, upstream.url, "", death.step, death.nth, from_start=False)
        prepared = killed(plan, session, call)
        with living_again(plan) as haldir:
            rule = {"type": "block_tool", "tool": "another"}  # So that the same call is not judged by the same rules.
            assert haldir.post("/v1/proxy/policies", rule).status == 201
            for _ in range(3):
                answer = call(haldir, prepared)
                assert answer.status == death.told
                assert answer.body.get("code") == {200: None, 503: "outcome_unknown", 409: "answer_lost"}[death.told]
                if death.told != 200:
                    assert haldir.rest("GET", f"/v1/calls/{answer.body['call_id']}")["tool"] == "do"
            assert executed["n"] == death.executions
