"""Trials in processes of their own: as many at once as there are processors, each told of as it ends."""

import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, Literal, NamedTuple, TypeVar

Verdict = Literal["killed", "survived", "timed out"]
T = TypeVar("T")

PARALLEL = os.cpu_count() or 1
SURVIVED, KILLED, EXHAUSTED, BROKEN = 0, 1, 2, 3
TRIAL_SECONDS_MAX = 300.0  # All tests together take a third of that. What has lost its own alarm ends here.
LOOK_SECONDS = 0.02


class _Running(NamedTuple, Generic[T]):
    subject: T
    ends_at: float


def tried(trials: Iterable[tuple[T, Callable[[], str | None]]]) -> Iterator[tuple[T, Verdict]]:
    """Run each trial in a fork of this process; it returns the test that killed the mutant, or None."""
    running: dict[int, _Running[T]] = {}
    for subject, trial in trials:
        if len(running) >= PARALLEL:
            yield _ended(running)
        running[_forked(trial)] = _Running(subject, time.monotonic() + TRIAL_SECONDS_MAX)
    while running:
        yield _ended(running)


def aside(work: Callable[[], None]) -> None:
    """Do something in a fork of this process, so that nothing of it is left in this one."""

    pid = _forked(work)
    if os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) != SURVIVED:
        raise RuntimeError("the fork failed; its traceback stands above")


def _forked(trial: Callable[[], str | None]) -> int:
    sys.stdout.flush()
    if pid := os.fork():
        return pid
    complaints = os.dup(2)
    try:
        silence = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(silence, descriptor)
        os._exit(SURVIVED if trial() is None else KILLED)
    except (MemoryError, SystemError):  # What Python says where it can no longer say the former.
        os._exit(EXHAUSTED)
    except BaseException:  # noqa: BLE001 - this process must end here, whatever happened.
        os.write(complaints, traceback.format_exc().encode())
    finally:
        os._exit(BROKEN)


def _ended(running: dict[int, _Running[T]]) -> tuple[T, Verdict]:
    pid, status = os.waitpid(-1, os.WNOHANG)
    while pid not in running:  # None has ended yet, or some child that a test left behind.
        _end_the_overdue(running)
        time.sleep(LOOK_SECONDS)
        pid, status = os.waitpid(-1, os.WNOHANG)
    subject, code = running.pop(pid).subject, os.waitstatus_to_exitcode(status)
    if code in {-signal.SIGPROF, -signal.SIGALRM, -signal.SIGKILL, EXHAUSTED}:
        return subject, "timed out"  # Or ran out of memory, which only takes less time.
    if code == BROKEN:
        raise RuntimeError(f"{subject} could not be tried")
    return subject, "survived" if code == SURVIVED else "killed"


def _end_the_overdue(running: dict[int, _Running[T]]) -> None:
    for pid, trial in running.items():
        if time.monotonic() > trial.ends_at:
            os.kill(pid, signal.SIGKILL)
