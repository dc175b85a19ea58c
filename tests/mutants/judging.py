"""The judges: tests run inside this process, in an order of ours, each within bounds."""

import json
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import zip_longest
from types import CodeType, FrameType
from typing import Any

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

from mutants.scope import PACKAGE, ROOT, SLOW, judges

CPU_SECONDS = 2.0  # What a test may use beyond CPU_TIMES what it used before: a loop without an end takes no longer.
CPU_TIMES = 3.0
WAIT_SECONDS = 20.0  # What it may take in all, so that what waits for nobody ends too. Others may need the machine.
WAIT_TIMES = 6.0
MEMORY_BYTES_MAX = 3 << 30  # A list that grows without an end must not take the machine with it.

Seen = dict[str, dict[str, list[int]]]
"""By test, by file: the lines it runs."""


class Survey:
    """Runs every judge once, as it is: what each takes and which lines it runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.seen: Seen = {}
        self.failed: list[str] = []

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for item in session.items:
            lines: dict[str, set[int]] = {}
            started = time.monotonic()
            passed = _traced(lines, item)
            self.seconds[item.nodeid] = time.monotonic() - started
            self.seen[item.nodeid] = {file: sorted(found) for file, found in lines.items()}
            if not passed:
                self.failed.append(item.nodeid)
        return True

    def encoded(self) -> str:
        return json.dumps([self.seconds, self.seen, self.failed])

    @classmethod
    def decoded(cls, text: str) -> "Survey":
        survey = cls()
        survey.seconds, survey.seen, survey.failed = json.loads(text)
        return survey

    def judges_of(self, file: str, lines: Iterable[int]) -> list[str]:
        """Return the tests that run any of these lines, the quickest first."""
        wanted = set(lines)
        found = [test for test, files in self.seen.items() if wanted & set(files.get(file, ()))]
        return sorted(found, key=lambda test: (round(self.seconds[test], 2), test))

    def judges_of_all(self, files: Sequence[str]) -> list[str]:
        """Return the tests that run anything of these files, those of the first before those of the others."""
        found: dict[str, None] = {}
        for file in files:
            every = {line for seen in self.seen.values() for line in seen.get(file, ())}
            found.update(dict.fromkeys(self.judges_of(file, every)))
        return list(found)


class Bench:
    """What waits for the tests to be collected, and then does something with them."""

    def __init__(self, work: Callable[[dict[str, pytest.Item]], None]) -> None:
        self._work = work

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        self._work({item.nodeid: item for item in session.items})
        return True


def convene(plugin: object, files: Sequence[str] = ()) -> None:
    """Collect tests in this process and hand them to the plugin; Hypothesis always thinks of the same examples."""
    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
        print_blob=False,
    )
    hypothesis.settings.load_profile("mutants")
    chosen = [*files] or [str(path) for path in judges()]
    options = ["--rootdir", str(ROOT), "-s", "-o", "timeout=0", "-o", "tmp_path_retention_policy=none"]
    without = ["-p", "no:terminal", "-p", "no:cacheprovider", "-p", "no:xdist"]
    pytest.main([*options, *without, *chosen], [_Sparing(), plugin])


def first_to_fail(items: Sequence[pytest.Item], survey: Survey) -> str | None:
    """Run tests, each within its bounds, until one fails; return which and why. Out of bounds this process ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    for item, following in zip_longest(items, items[1:]):
        seconds = survey.seconds[item.nodeid]
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS + CPU_TIMES * seconds)
        signal.setitimer(signal.ITIMER_REAL, WAIT_SECONDS + WAIT_TIMES * seconds)
        if (reason := _failure(item, following)) is not None:
            return f"{item.nodeid}: {reason}"
    return None


class _Sparing:
    """Leaves out what needs PostgreSQL, and the trouble of quoting sources where a test fails."""

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        config.option.tbstyle = "native"
        items[:] = [item for item in items if not SLOW.search(item.nodeid)]


def _failure(item: pytest.Item, following: pytest.Item | None) -> str | None:
    reports = runtestprotocol(item, log=False, nextitem=following)
    return next((report.longreprtext for report in reports if report.failed), None)


def _traced(lines: dict[str, set[int]], item: pytest.Item) -> bool:
    """Run a test and note the lines of the package that it runs, in whatever thread."""
    prefix = f"{PACKAGE}/"
    unseen: dict[CodeType, set[int]] = {}  # What is left of a function; once that is nothing it runs at full speed.

    def on_call(frame: FrameType, _event: str, _arg: Any) -> Any:
        code = frame.f_code
        if not code.co_filename.startswith(prefix):
            return None
        left = unseen.setdefault(code, {line for *_, line in code.co_lines() if line})
        found = lines.setdefault(code.co_filename.removeprefix(prefix), set())

        def on_line(frame: FrameType, _event: str, _arg: Any) -> Any:
            found.add(frame.f_lineno)
            left.discard(frame.f_lineno)
            return on_line

        return on_line(frame, "call", None) if left else None

    threading.settrace(on_call)
    sys.settrace(on_call)
    try:
        return _failure(item, None) is None
    finally:
        sys.settrace(None)
        threading.settrace(None)
