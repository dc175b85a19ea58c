"""What tests of the Idempotency-Key share: an operation that counts how often it is carried out, and many askers."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec

from haldir.app import wall_clock
from haldir.kernel.clock import Micros
from haldir.kernel.secret import Secret
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.everything import OPERATIONS
from harness.answers import Answer
from harness.haldir import Haldir

CALLERS = 50
ROOT_KEY = Secret("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=")
WAIT_SECONDS_MAX = 30

Ask = Callable[[], Answer]


class Trial(msgspec.Struct, frozen=True):
    """What an operation of these tests is to do, each time it is carried out."""

    deed: str = ""
    size: int = 0


class Tried(msgspec.Struct, frozen=True):
    op_id: str
    later_op_id: str
    padding: str = ""


class Bench:
    """An operation that counts how often it is carried out, and fails or waits as it is told."""

    def __init__(self) -> None:
        self.runs: list[tuple[str, str]] = []
        self.failures: list[Exception] = []
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.may_end.set()

    async def run(self, ctx: Context, _caller: Caller, trial: Trial) -> Tried:
        self.runs.append((ctx.new_op(), ctx.new_op()))
        self.begun.set()
        if self.failures:
            raise self.failures.pop(0)
        if not self.may_end.is_set():
            await asyncio.to_thread(self.may_end.wait, WAIT_SECONDS_MAX)
        return Tried(*self.runs[-1], "x" * trial.size)

    @property
    def operations(self) -> tuple[Operation, ...]:
        verb: dict[str, Any] = {"request": Trial, "response": Tried, "run": self.run, "summary": "Try", "scope": None}
        return (
            *OPERATIONS,
            Operation(name="try", method="POST", path="/v1/trials", **verb),
            Operation(name="look", method="POST", path="/v1/looks", read_only=True, **verb),
        )


class Clock:
    """The wall clock, and what the test adds to it."""

    def __init__(self) -> None:
        self.ahead: Micros = 0

    def __call__(self) -> Micros:
        return wall_clock() + self.ahead


def at_once(asks: Sequence[Ask]) -> list[Answer]:
    with ThreadPoolExecutor(len(asks)) as pool:
        return [each.result() for each in [pool.submit(ask) for ask in asks]]


def spent(haldir: Haldir, session: Any) -> Any:
    return haldir.rest("GET", f"/v1/sessions/{session['session_id']}")["spent"]


def payment(session: Any, amount: float = 1) -> dict[str, Any]:
    return {"session_id": session["session_id"], "amount": amount}


def replayed(answer: Answer) -> bool:
    return answer.headers.get("idempotency-replayed") == "true"
