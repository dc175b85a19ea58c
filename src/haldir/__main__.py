"""The commands `haldir` and `haldir-guardian`."""

import importlib
from collections.abc import Callable
from typing import TYPE_CHECKING

from haldir.faces.cli.doors import Doors, Ready
from haldir.faces.cli.main import main as run

if TYPE_CHECKING:  # Only names here: `haldir --help` must not load a server.
    from haldir.operations.fsck import Report
    from haldir.settings import Settings


def main() -> None:
    run(DOORS)


def _serve(settings: "Settings", on_ready: Callable[[Ready], None]) -> int:
    code: int = importlib.import_module("haldir.app").serve(settings, on_ready)
    return code


def _check(settings: "Settings") -> "Report":
    report: Report = importlib.import_module("haldir.app").check(settings)
    return report


DOORS = Doors(serve=_serve, check=_check)

if __name__ == "__main__":
    main()
