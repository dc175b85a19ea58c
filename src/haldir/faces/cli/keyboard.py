"""A keyboard on which each key counts at once, for as long as somebody sits before it."""

import os
import select
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

KEY_BYTES = 32  # A key and what belongs to it: arrows and the like come as several bytes.
ENDED = "\x04"  # As Ctrl-D: nobody is there any more.


class Keyboard:
    """The terminal behind standard input. Keys are not echoed, Ctrl-C still interrupts."""

    def __init__(self, handle: int, shown: list[Any]) -> None:
        self._handle, self._shown = handle, shown

    def key(self, wait_seconds: float | None = None) -> str:
        """Return the next key, or "" if none comes in time; None waits for one.

        Of several that come at once, as from an arrow, a paste or a cat, only the first counts.
        """
        ready, _, _ = select.select([self._handle], [], [], wait_seconds)
        if not ready:
            return ""
        return os.read(self._handle, KEY_BYTES).decode(errors="replace")[:1] or ENDED

    def forget(self) -> None:
        """Forget what was pressed until now: it was no answer to what nobody had seen yet."""
        termios.tcflush(self._handle, termios.TCIFLUSH)

    @contextmanager
    def lines(self) -> Iterator[None]:
        """Read whole lines for a while, echoed and mended as usual."""
        termios.tcsetattr(self._handle, termios.TCSADRAIN, self._shown)
        try:
            yield
        finally:
            tty.setcbreak(self._handle)


def has_person() -> bool:
    """Tell whether somebody reads what is printed, and can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty()


@contextmanager
def keyboard() -> Iterator[Keyboard]:
    """Take each key at once; on the way out the terminal is as it was."""
    handle = sys.stdin.fileno()
    before = termios.tcgetattr(handle)
    tty.setcbreak(handle)
    try:
        yield Keyboard(handle, before)
    finally:
        termios.tcsetattr(handle, termios.TCSADRAIN, before)
