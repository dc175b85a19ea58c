"""The two streams of the program: standard output for protocol alone, standard error for people."""

import os
import sys
import threading
from typing import final

from haldir.proxy.sse import one_line


@final
class Output:
    """Whole lines, one at a time, from any thread. Once nobody reads on, what is written is dropped."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor, self._lock, self._gone = descriptor, threading.Lock(), False

    def write(self, message: bytes) -> None:
        left = memoryview(one_line(message) + b"\n")
        with self._lock:
            try:
                while left and not self._gone:  # Unbuffered: a thread that waits here must not hold up the exit.
                    left = left[os.write(self._descriptor, left) :]
            except OSError:
                self._gone = True


@final
class Complaints:
    """Says what is wrong once, not at every request; again after it was well."""

    def __init__(self) -> None:
        self._last = ""

    def say(self, text: str) -> None:
        if text != self._last:
            self._last = text
            sys.stderr.write(f"haldir-mcp: {text}\n")

    def all_is_well(self) -> None:
        self._last = ""
