"""A program at a terminal, as a person sits before it: what is seen, and keys that are pressed."""

import contextlib
import os
import pty
import select
import subprocess
import time
from types import TracebackType
from typing import Self

SEEN_SECONDS_MAX = 60  # Far above what anything takes; a machine may be busy.


class Terminal:
    """Use as a context manager; leaving it kills the program if it still runs."""

    def __init__(self, *command: str) -> None:
        self._screen, inside = pty.openpty()
        self.process = subprocess.Popen(command, stdin=inside, stdout=inside, stderr=inside, start_new_session=True)
        os.close(inside)
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._screen)

    def press(self, keys: str) -> None:
        os.write(self._screen, keys.encode())

    def until(self, text: str) -> str:
        """Return what is seen up to this text, once it is there; it counts as read then."""
        until = time.monotonic() + SEEN_SECONDS_MAX
        while text not in self.seen:
            ready, _, _ = select.select([self._screen], [], [], max(0, until - time.monotonic()))
            assert ready, f"{text!r} is not in {self.seen!r}"
            self.seen += self._read()
        before, _, self.seen = self.seen.partition(text)
        return before + text

    def end(self) -> int:
        """Return the program's exit code once it ended, having read what it still said."""
        with contextlib.suppress(OSError):  # As Linux says that nobody holds the other side any more.
            while chunk := self._read():
                self.seen += chunk
        return self.process.wait(SEEN_SECONDS_MAX)

    def _read(self) -> str:
        return os.read(self._screen, 1 << 16).decode(errors="replace")
