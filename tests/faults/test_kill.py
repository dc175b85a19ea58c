"""kill -9 at every step of a batch and of a call: nothing acknowledged is lost, and nothing is executed twice."""

import os
import random
import signal
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from faults.autopsy import Autopsy
from faults.life import Life
from faults.victim import Plan, Told
from upstreams import raw
from upstreams.raw import raw_upstream

# How often a step may be taken before the one that kills: some ten batches' worth.
STEPS = {
    "head.locked": 20,
    "rows.loaded": 60,
    "rows.saved": 100,
    "commit.asked": 20,
    "commit.done": 20,
    "apply.asked": 60,
    "apply.answered": 60,
    "forward.begun": 20,
    "forward.executed": 20,  # The upstream kills it, having done its work and before it answers.
    "forward.answered": 20,
    "file.renamed": 2,  # A checkpoint is kept at once, and then every second.
}
SQLITE_STEPS = STEPS | {"file.write": 300, "file.sync": 20}
STARTING_STEPS = {"head.locked": 2, "rows.saved": 8, "commit.asked": 2, "commit.done": 2}
SQLITE_STARTING_STEPS = STARTING_STEPS | {"file.write": 4_500, "file.sync": 12}
FROM_START = frozenset({"file.renamed"})


@pytest.fixture(params=["sqlite", "postgres"])
def dsn(request: pytest.FixtureRequest) -> str | None:
    return request.getfixturevalue("fresh_postgres_dsn") if request.param == "postgres" else None


def test_a_process_killed_at_any_step_loses_nothing_and_does_nothing_twice(
    tmp_path: Path, dsn: str | None, store: int, deaths: int
) -> None:
    """The first death on each store is while it starts; the next process goes on where the last one died."""
    chance = random.Random(f"{'postgres' if dsn else 'sqlite'} {store}")
    executioner = Executioner()
    autopsy = Autopsy(executioner.executions)
    with raw_upstream(executioner.execute) as upstream:
        for death, (step, nth, from_start) in enumerate(planned_deaths(chance, deaths, on_postgres=bool(dsn))):
            plan = Plan(tmp_path, dsn, upstream.url, f"{store}-{death}", step, nth, from_start)
            autopsy.examine(plan, live_and_die(plan, executioner))


def planned_deaths(chance: random.Random, count: int, *, on_postgres: bool) -> Iterator[tuple[str, int, bool]]:
    """Yield a step, at which time of it to die, and whether counting begins with the process or with its load."""
    starting, loaded = (STARTING_STEPS, STEPS) if on_postgres else (SQLITE_STARTING_STEPS, SQLITE_STEPS)
    step = chance.choice(list(starting))
    yield step, chance.randint(1, starting[step]), True
    for step in chance.sample(list(loaded), count - 1):
        yield step, chance.randint(1, loaded[step]), step in FROM_START


class Executioner:
    """What the upstream executed, by the name that each call bears; and it may kill whoever calls it."""

    def __init__(self) -> None:
        self.executions = Counter[str]()
        self._victim_pid, self._kill_at = 0, 0
        self._counting = threading.Lock()

    def kill(self, victim_pid: int, at: int) -> None:
        """Kill a process in the middle of the so-manieth call from now on."""
        with self._counting:
            self._victim_pid, self._kill_at = victim_pid, at

    def execute(self, connection: socket.socket, message: dict[str, Any]) -> None:
        with self._counting:
            self.executions[message["params"]["arguments"]["name"]] += 1
            self._kill_at -= 1
            if self._kill_at == 0:
                os.kill(self._victim_pid, signal.SIGKILL)
        raw.honest(connection, message)


def live_and_die(plan: Plan, executioner: Executioner) -> list[Told]:
    """Run a victim until it is dead; return what its callers were told."""
    life = Life(plan)
    if plan.step == "forward.executed":
        executioner.kill(life.pid, plan.nth)
    return life.until_dead()
