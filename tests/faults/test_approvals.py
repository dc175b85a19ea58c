"""kill -9 between hold, word, forward and settlement: what runs was approved and runs once, and no word is lost."""

import http.client
import itertools
import json
import os
import random
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from faults.server_victim import MortalServer, settings_of
from faults.victim import ANY_STEP, DEADLINE_SECONDS, Plan
from haldir.app import check, wall_clock
from haldir.kernel.clock import SECOND, Micros
from haldir.operations.call_ending_commands import LAPSE_GRACE_SECONDS
from harness.answers import Answer
from harness.eventually import eventually
from harness.haldir import Haldir
from harness.messages import call
from harness.threads import running_haldir
from upstreams import raw
from upstreams.raw import raw_upstream

RETRIES = 3
STEPS_OF_A_STORY = 80  # Of holding one call, approving it, and running it once of three times asked: some 60.
EXECUTIONS = 2  # After so many the upstream kills whoever calls it, before it answers.
GONE = (http.client.HTTPException, OSError)


class Heard(msgspec.Struct):
    """What a caller heard of one held call before the server died: less than what happened."""

    name: str
    approval_id: str = ""
    approved: bool = False
    executed: bool = False


class Shop:
    """An upstream that counts what it did, by the name that each call bears; and it may kill whoever calls it."""

    def __init__(self) -> None:
        self.executions = Counter[str]()
        self._counting = threading.Lock()
        self._kill_at, self._pid = 0, 0

    def kill(self, pid: int, at: int) -> None:
        self._pid, self._kill_at = pid, at

    def execute(self, connection: socket.socket, message: dict[str, Any]) -> None:
        with self._counting:
            self.executions[message["params"]["arguments"]["name"]] += 1
            self._kill_at -= 1
            if self._kill_at == 0:
                os.kill(self._pid, signal.SIGKILL)
        raw.honest(connection, message)


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("fresh_postgres_dsn") if request.param == "postgres" else None


@pytest.fixture
def every_moment(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--every-fault", default=False))


def test_a_process_killed_anywhere_in_the_story_of_held_calls_runs_none_twice_and_loses_no_word(
    tmp_path: Path,
    dsn: str | None,
    moment: int,
    every_moment: bool,  # noqa: FBT001 - pytest hands it over by name.
) -> None:
    """One death at each step of a story; in a sample at some, and each time in another order of what runs beside it."""
    chance = random.Random(f"{'postgres' if dsn else 'sqlite'} {moment}")
    nth = moment + 1 if every_moment else chance.randint(1, STEPS_OF_A_STORY)
    live_die_and_live_again(tmp_path, dsn, ANY_STEP, nth)


def test_a_process_killed_while_the_upstream_does_what_was_approved_does_not_do_it_again(
    tmp_path: Path, dsn: str | None
) -> None:
    live_die_and_live_again(tmp_path, dsn, "forward.executed", EXECUTIONS)


def live_die_and_live_again(data: Path, dsn: str | None, step: str, nth: int) -> None:
    shop = Shop()
    with raw_upstream(shop.execute) as upstream:
        plan = Plan(data, dsn, upstream.url, "", step, nth, from_start=False)
        with MortalServer(plan) as server:
            session = prepared(server.haldir)
            server.arm()
            if step == "forward.executed":
                shop.kill(server.pid, nth)
            heard = stories(server.haldir, session)
            server.until_dead()
        with living_again(plan) as haldir:
            for each in heard:
                assert_stands(haldir, session, each, shop)
            assert_stories_end(haldir, session, heard[-1], shop)


def prepared(haldir: Haldir) -> Any:
    """Hold whatever is called; return the session that calls."""
    haldir.rest("POST", "/v1/approvals/rules", {"type": "tool_blocked", "tools": ["up.do"]})
    return haldir.session("execute")


def stories(haldir: Haldir, session: Any) -> list[Heard]:
    """Have calls held, approved and run, one after another, until the server is gone; return what was heard."""
    heard: list[Heard] = []
    for number in itertools.count():
        heard.append(Heard(f"call-{number}"))
        try:
            story(haldir, session, heard[-1])
        except GONE:
            return heard
    raise AssertionError


def story(haldir: Haldir, session: Any, heard: Heard) -> None:
    heard.approval_id = held(by_rest(haldir, session, heard.name))
    haldir.rest("POST", f"/v1/approvals/{heard.approval_id}/approve")
    heard.approved = True
    with ThreadPoolExecutor(RETRIES) as pool:
        asked = [pool.submit((by_rest, by_mcp)[n % 2], haldir, session, heard.name) for n in range(RETRIES)]
    broken = [future.exception() for future in asked]
    texts = [text(future.result()) for future in asked if future.exception() is None]
    heard.executed = "ok" in texts
    assert texts.count("ok") == 1 or any(broken)
    for error in filter(None, broken):
        raise error


def by_rest(haldir: Haldir, session: Any, name: str) -> Answer:
    asked = {"tool": "up.do", "arguments": {"name": name}, "session_id": session["session_id"]}
    return haldir.post("/v1/proxy/call", asked)


def by_mcp(haldir: Haldir, session: Any, name: str) -> Answer:
    return haldir.rpc("/mcp", call("up__do", name=name), session["token"])


def text(answer: Answer) -> str:
    result = answer.body.get("result", answer.body)
    return str(result["content"][0]["text"])


def held(answer: Answer) -> str:
    """Return the approval that a call waits for."""
    return str(json.loads(text(answer))["approval_id"])


def long_after() -> Micros:
    """Tell the time at which nobody can come back any more for a call that was under way; approvals still count."""
    return wall_clock() + round((DEADLINE_SECONDS + LAPSE_GRACE_SECONDS + 1) * SECOND)


@contextmanager
def living_again(plan: Plan) -> Iterator[Haldir]:
    settings = settings_of(plan)
    with running_haldir(plan.data, *settings.upstreams, dsn=plan.dsn, clock=long_after) as haldir:
        eventually(lambda: not haldir.calls("open"))
        yield haldir
    assert check(settings).ok


def assert_stands(haldir: Haldir, session: Any, heard: Heard, shop: Shop) -> None:
    """What was heard is so; what ran was approved, is accounted for, and does not run again by that word."""
    done = shop.executions[heard.name]
    assert done <= 1
    if not heard.approval_id:
        assert done == 0
        return
    shown = haldir.rest("GET", f"/v1/approvals/{heard.approval_id}")
    if heard.approved:
        assert shown["status"] == "approved"
    if done:
        assert shown["status"] == "approved"
        assert shown["used_by"]
    if shown["used_by"]:
        state = haldir.rest("GET", f"/v1/calls/{shown['used_by']}")["state"]
        assert state == "posted" if heard.executed else state in {"posted", "indeterminate"}
        assert done or state == "indeterminate"
        assert state == "posted" or shown["used_by"] in {each["call_id"] for each in haldir.calls("indeterminate")}
        assert held(by_rest(haldir, session, heard.name)) != heard.approval_id
        assert shop.executions[heard.name] == done


def assert_stories_end(haldir: Haldir, session: Any, last: Heard, shop: Shop) -> None:
    """Nobody used the word that was given last? Then it counts, once. Nobody gave it? Then somebody may."""
    waiting = by_rest(haldir, session, last.name)
    if text(waiting) != "ok":
        approval_id = held(waiting)
        before = shop.executions[last.name]
        haldir.rest("POST", f"/v1/approvals/{approval_id}/approve")
        assert text(by_mcp(haldir, session, last.name)) == "ok"
        assert shop.executions[last.name] == before + 1
    done = shop.executions[last.name]
    assert held(by_rest(haldir, session, last.name)) != last.approval_id
    assert shop.executions[last.name] == done
