"""Waiting for a change of what is pending, on both engines, and from another replica."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir

LONG = 30  # Seconds that no test takes: what answers before did not wait for their end.


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def replicas(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Haldir]]:
    """Haldirs that serve the same tenant: one on SQLite, two on PostgreSQL."""
    with ExitStack() as running:
        if request.param == "sqlite":
            yield [running.enter_context(running_haldir(tmp_path_factory.mktemp("data")))]
            return
        dsn, data = fresh_database(request.getfixturevalue("postgres_dsn")), tmp_path_factory.mktemp("data")
        one = running.enter_context(running_haldir(data, dsn=dsn))
        other_data = tmp_path_factory.mktemp("other")
        for name in ("root.key", "admin.key"):
            (other_data / name).write_bytes((data / name).read_bytes())
        yield [one, running.enter_context(running_haldir(other_data, dsn=dsn))]


@pytest.fixture
def asked(replicas: list[Haldir]) -> Callable[[], str]:
    """Ask for an approval on the first replica; return its id."""
    session = replicas[0].session()["session_id"]

    def ask() -> str:
        return str(replicas[0].rest("POST", "/v1/approvals/request", {"session_id": session})["request_id"])

    return ask


def pending(haldir: Haldir, since: int, wait: int, **filters: str) -> Any:
    named = "".join(f"&{name}={value}" for name, value in filters.items())
    return haldir.rest("GET", f"/v1/approvals/pending?since={since}&wait={wait}{named}")


def test_whoever_waits_hears_of_what_is_asked_decided_and_expired_on_every_replica(
    replicas: list[Haldir], asked: Callable[[], str]
) -> None:
    watching = replicas[-1]
    version = watching.rest("GET", "/v1/approvals/pending")["version"]
    with ThreadPoolExecutor() as pool:
        waiting = [pool.submit(pending, watching, version, LONG) for _ in range(3)]
        approval_id = asked()
        for answer in (each.result() for each in waiting):
            assert [each["request_id"] for each in answer["requests"]] == [approval_id]
            version = answer["version"]
        later = pool.submit(pending, watching, version, LONG)
        replicas[0].rest("POST", f"/v1/approvals/{approval_id}/approve")
        assert (later.result()["requests"], later.result()["version"]) == ([], version + 1)


def test_who_is_behind_is_answered_at_once_and_who_is_not_when_the_time_is_over(
    replicas: list[Haldir], asked: Callable[[], str]
) -> None:
    watching = replicas[-1]
    behind = watching.rest("GET", "/v1/approvals/pending")["version"]
    approval_id = asked()
    begun = time.monotonic()
    answer = pending(watching, behind, LONG, agent_id="nobody")
    assert time.monotonic() - begun < LONG
    assert (answer["requests"], answer["version"]) == ([], behind + 1)
    same = pending(watching, behind + 1, 1)
    assert (same["version"], [each["request_id"] for each in same["requests"]]) == (behind + 1, [approval_id])
    replicas[0].rest("POST", f"/v1/approvals/{approval_id}/deny")


def test_who_waits_with_a_key_that_is_revoked_meanwhile_sees_nothing(
    replicas: list[Haldir], asked: Callable[[], str]
) -> None:
    haldir = replicas[0]
    key = haldir.rest("POST", "/v1/keys", {"scopes": ["approvals:read"]})["key"]
    version = haldir.rest("GET", "/v1/approvals/pending")["version"]
    with ThreadPoolExecutor() as pool:
        waiting = pool.submit(haldir.get, f"/v1/approvals/pending?since={version}&wait={LONG}", key=key)
        haldir.rest("DELETE", f"/v1/keys/{key[:12]}")
        approval_id = asked()
        assert waiting.result().status == 401
    haldir.rest("POST", f"/v1/approvals/{approval_id}/deny")


def test_a_wait_has_bounds(replicas: list[Haldir]) -> None:
    for wait in (-1, 31):
        answer = replicas[0].get(f"/v1/approvals/pending?wait={wait}&since=0")
        assert (answer.status, answer.body["field"]) == (400, "wait")


def test_a_session_that_waits_for_too_much_is_told_so_and_may_go_on_once_somebody_decided(
    replicas: list[Haldir], asked: Callable[[], str]
) -> None:
    haldir = replicas[0]
    for _ in range(100):
        approval_id = asked()
    session = haldir.get(f"/v1/approvals/{approval_id}").body["session_id"]
    refused = haldir.post("/v1/approvals/request", {"session_id": session})
    assert (refused.status, refused.body["code"]) == (429, "too_many_pending")
    assert "GET /v1/approvals/pending" in refused.body["hint"]
    haldir.rest("POST", f"/v1/approvals/{approval_id}/deny")
    assert haldir.post("/v1/approvals/request", {"session_id": session}).status == 201
