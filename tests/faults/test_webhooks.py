"""kill -9 anywhere between an event and its delivery: every event arrives under its one id, in order."""

import http.client
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from faults.server_victim import MortalServer, settings_of
from faults.victim import ANY_STEP, Plan
from haldir.app import check, wall_clock
from haldir.kernel.clock import SECOND, Micros
from haldir.webhooks.outbox import LEASE_SECONDS
from harness.eventually import eventually
from harness.haldir import Haldir
from harness.threads import running_haldir
from receiver import Receiver, receiving

STEPS = 80  # Of logging an event, or of delivering it: some ten events' worth.
PILED_UP = 20  # Delivering these takes as many steps, nearly always.
EVENTS_MAX = 500  # Logging these does always.
AFTERWARDS = 3


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("fresh_postgres_dsn") if request.param == "postgres" else None


def test_deliveries_survive_the_death_of_the_process_at_any_step(tmp_path: Path, dsn: str | None, moment: int) -> None:
    chance = random.Random(f"{'postgres' if dsn else 'sqlite'} {moment}")
    plan = Plan(tmp_path, dsn, "", "", ANY_STEP, chance.randint(1, STEPS), from_start=False)
    with receiving() as receiver:
        with MortalServer(plan) as server:
            server.haldir.rest("POST", "/v1/webhooks", {"url": receiver.url, "events": ["anomaly"]})
            told = [trigger(server.haldir) for _ in range(chance.choice((0, PILED_UP)))]
            server.arm()
            if told:  # What takes steps from now on is the worker.
                eventually(lambda: not server.is_alive or receiver.event_ids[-1:] == told[-1:])
            told += events_until_it_dies(server.haldir)
            server.until_dead()
        with living_again(plan) as haldir:
            later = [trigger(haldir) for _ in range(AFTERWARDS)]
            eventually(lambda: receiver.event_ids[-1:] == later[-1:])
            settled = haldir.rest("GET", "/v1/webhooks")["webhooks"][0]
    assert_all_came(receiver, told, later)
    assert settled["fail_count"] == 0


def events_until_it_dies(haldir: Haldir) -> list[str]:
    """Log one event after another; return the ids of those that were acknowledged."""
    told: list[str] = []
    try:
        while len(told) < EVENTS_MAX:
            told.append(trigger(haldir))
    except (http.client.HTTPException, OSError):
        return told
    raise AssertionError


def assert_all_came(receiver: Receiver, told: list[str], later: list[str]) -> None:
    """What was acknowledged came, once or more often, in order; besides it one at most: what the death cut short."""
    first_times = list(dict.fromkeys(receiver.event_ids))
    cut_short = [each for each in first_times if each not in {*told, *later}]
    assert [each for each in first_times if each not in cut_short] == [*told, *later]
    assert len(cut_short) <= 1
    assert first_times.index(later[0]) == len(told) + len(cut_short)
    twice = len(receiver.event_ids) - len(first_times)
    assert twice <= 1  # Only one was under way.


def trigger(haldir: Haldir) -> str:
    return str(haldir.rest("POST", "/v1/webhooks/trigger", {"event": "anomaly"})["event_id"])


def after_the_lease() -> Micros:
    """Tell the time at which what the dead process held is anybody's."""
    return wall_clock() + (LEASE_SECONDS + 1) * SECOND


@contextmanager
def living_again(plan: Plan) -> Iterator[Haldir]:
    settings = settings_of(plan)
    with running_haldir(plan.data, dsn=plan.dsn, clock=after_the_lease) as haldir:
        yield haldir
    assert check(settings).ok
