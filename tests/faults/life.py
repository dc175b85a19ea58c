"""The process of a victim, and what it told before it died."""

import multiprocessing
import os
import signal

import msgspec

from faults.victim import Plan, Told, run

LIFE_SECONDS_MAX = 60  # Far above what any plan takes; a machine may be busy.
PRELOADED = ["haldir.app", "haldir.storage.postgres_connections"]  # Forked with these, a victim lives at once.


class Life:
    """A victim that runs from now on."""

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._plan = plan
        self._hearing, telling = context.Pipe(duplex=False)
        self._process = context.Process(target=run, args=(plan, telling), daemon=True)
        self._process.start()
        telling.close()
        self._told: list[Told] = []

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    def until_planned_step(self) -> None:
        """Return once the victim says that it is dying, or that it is stopping."""
        while not (self._told and self._told[-1].kind == "dying"):
            self._hear()

    def until_told(self, kind: str, count: int) -> None:
        """Return once so many more of one kind were told."""
        wanted = count + self._count(kind)
        while self._count(kind) < wanted:
            self._hear()

    def until_dead(self) -> list[Told]:
        """Return all it told before it was killed."""
        try:
            while True:
                self._hear()
        except EOFError:
            self._process.join(LIFE_SECONDS_MAX)
        assert self._process.exitcode == -signal.SIGKILL, (self._plan, self._process.exitcode)
        return self._told

    def signal(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def _hear(self) -> None:
        assert self._hearing.poll(LIFE_SECONDS_MAX), self._plan
        self._told.append(msgspec.json.decode(self._hearing.recv_bytes(), type=Told))

    def _count(self, kind: str) -> int:
        return sum(told.kind == kind for told in self._told)
