"""What the command line needs from above and may not import: handed in by __main__."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:  # Only names here: `haldir --help` must not load a server.
    from haldir.operations.fsck import Report
    from haldir.settings import Settings


class Ready(NamedTuple):
    """A server that listens. `stop` ends it as SIGTERM does, from any thread."""

    url: str
    data: Path
    admin_key_file: Path
    stop: Callable[[], None]


class Doors(NamedTuple):
    """`serve` runs until SIGTERM and returns the exit code; `check` looks through a database that stands still."""

    serve: "Callable[[Settings, Callable[[Ready], None]], int]"
    check: "Callable[[Settings], Report]"
