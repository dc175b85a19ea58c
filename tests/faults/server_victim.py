"""A whole server that kills itself at a planned step, once it is told to count: between two lines of one request."""

import multiprocessing
import os
import signal
import threading
from multiprocessing.connection import Connection
from typing import Any, Self

from faults.life import LIFE_SECONDS_MAX, PRELOADED
from faults.mortal import MortalEngine, MortalPool
from faults.victim import DEADLINE_SECONDS, Plan, Reaper
from haldir import app
from haldir.config_file import OperatorUpstream
from haldir.proxy.model import UpstreamConfig
from haldir.proxy.pool import UpstreamPool
from haldir.settings import Settings
from harness.haldir import Haldir

ARM = b"arm"


def settings_of(plan: Plan) -> Settings:
    config = UpstreamConfig(url=plan.upstream_url, deadline_seconds=DEADLINE_SECONDS)
    upstreams = (OperatorUpstream("up", config),) if plan.upstream_url else ()
    database_url = plan.settings.database_url
    return Settings(data=plan.data, port=0, database_url=database_url, upstreams=upstreams, allow_private=True)


def run(plan: Plan, wire: Connection) -> None:
    """Serve until the planned step; the process's main function."""
    reaper = Reaper(plan, lambda _told: None)
    open_store = app._open_store

    async def open_mortal_store(settings: Settings) -> Any:
        return MortalEngine(await open_store(settings), reaper)

    def mortal_pool(*args: Any, **options: Any) -> Any:
        return MortalPool(UpstreamPool(*args, **options), reaper)

    def arm_when_told() -> None:
        assert wire.recv_bytes() == ARM
        reaper.armed = True
        wire.send_bytes(ARM)

    vars(app).update(_open_store=open_mortal_store, UpstreamPool=mortal_pool)
    threading.Thread(target=arm_when_told, daemon=True).start()
    app.serve(settings_of(plan), lambda ready: wire.send_bytes(ready.url.encode()))


class MortalServer:
    """A server in a process of its own. Use as a context manager; leaving it kills what still runs."""

    def __init__(self, plan: Plan) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        self._wire, theirs = context.Pipe()
        self._process = context.Process(target=run, args=(plan, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.haldir = Haldir(self._heard().decode(), plan.data)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.join(LIFE_SECONDS_MAX)

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        return self._process.is_alive()

    def arm(self) -> None:
        """Have it count its steps from now on."""
        self._wire.send_bytes(ARM)
        assert self._heard() == ARM

    def until_dead(self) -> None:
        self._process.join(LIFE_SECONDS_MAX)
        assert self._process.exitcode == -signal.SIGKILL, self._process.exitcode

    def _heard(self) -> bytes:
        assert self._wire.poll(LIFE_SECONDS_MAX), os.getpid()
        return self._wire.recv_bytes()
