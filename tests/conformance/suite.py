"""One run of the suite, and what it found."""

import json
import subprocess
from pathlib import Path
from typing import NamedTuple

from outside.places import CONFORMANCE_SUITE

REVISIONS = ("2025-11-25", "2026-07-28")
RUN_SECONDS_MAX = 300  # Twenty times what it takes; a machine may be busy.
TRAFFIC = "INFO"  # Some scenarios also note each request and event; how many there are is chance, and no check.
STAMP_CHARS = len("-2026-07-28T00-00-00-000Z")  # The suite adds the time to the name of each result.


class Check(NamedTuple):
    """A question the suite asks; some scenarios ask one several times."""

    scenario: str
    id: str


class Findings(NamedTuple):
    """The statuses of every check, and whether the suite says that the server conforms."""

    conforms: bool
    statuses: dict[Check, list[str]]
    said: str

    @property
    def scenarios(self) -> set[str]:
        return {check.scenario for check in self.statuses}


def run(url: str, revision: str, results: Path) -> Findings:
    """Have a server examined by the requirement set of a revision."""
    command = (*CONFORMANCE_SUITE, "server", "--url", url, "--requirements", revision, "--output-dir", str(results))
    ended = subprocess.run(command, capture_output=True, text=True, timeout=RUN_SECONDS_MAX, check=False)
    return Findings(ended.returncode == 0, _read(results), ended.stdout + ended.stderr)


def _read(results: Path) -> dict[Check, list[str]]:
    found: dict[Check, list[str]] = {}
    for file in sorted(results.glob("server-*/checks.json")):
        scenario = file.parent.name.removeprefix("server-")[:-STAMP_CHARS]
        for check in json.loads(file.read_text(encoding="utf-8")):
            if check["status"] == TRAFFIC:
                continue
            found.setdefault(Check(scenario, check["id"]), []).append(check["status"])
    return found
