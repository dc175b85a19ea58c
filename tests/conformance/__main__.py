"""`make conformance`: no scenario that passes directly fails through Haldir, and no check is lost on the way."""

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from rich.table import Table

from conformance import suite
from conformance.comparison import Loss, counts, losses
from conformance.forwarder import forwarding
from conformance.servers import PATH, haldir_before, official_server
from conformance.suite import Findings

DIRECTLY, WITHOUT_POLICIES, WITH_POLICIES = "directly", "through Haldir", "through Haldir, policies that allow all"
WAYS = (DIRECTLY, WITHOUT_POLICIES, WITH_POLICIES)
COLUMNS = ("requirements", "way", "scenarios", "passed", "warned", "failed", "skipped", "lost", "seconds")
WIDTH_CHARS = 130


class Run(NamedTuple):
    revision: str
    way: str
    findings: Findings
    lost: list[Loss]
    seconds: float


def main() -> int:
    """Run both requirement sets each way; return 0 if nothing was lost and every run conforms."""
    runs = [run for revision in suite.REVISIONS for run in _runs(revision)]
    console = Console(width=WIDTH_CHARS, markup=False, highlight=False, soft_wrap=True)
    console.print(_table(runs))
    for run in runs:
        for fault in _faults(run):
            console.print(fault)
    console.print(f"What fails {DIRECTLY} is not scored: an extension the official server lacks, a pending scenario.")
    return 0 if all(run.findings.conforms and not run.lost for run in runs) else 1


def _runs(revision: str) -> Iterator[Run]:
    direct: Findings | None = None
    for way in WAYS:
        started = time.monotonic()
        with tempfile.TemporaryDirectory() as folder, _served(way, Path(folder) / "data") as url:
            findings = suite.run(url, revision, Path(folder) / "results")
        direct = direct or findings
        yield Run(revision, way, findings, losses(direct, findings), time.monotonic() - started)


@contextmanager
def _served(way: str, data: Path) -> Iterator[str]:
    """Serve what is examined, behind a forwarder that adds the credential, so that both ways are alike in that."""
    with official_server() as port:
        if way == DIRECTLY:
            with forwarding(port, "nobody asks") as front:
                yield f"http://localhost:{front}/mcp"
        else:
            with (
                haldir_before(port, data, with_policies=way == WITH_POLICIES) as (haldir_port, token),
                forwarding(haldir_port, token) as front,
            ):
                yield f"http://localhost:{front}{PATH}"


def _table(runs: list[Run]) -> Table:
    table = Table(*COLUMNS)
    for run in runs:
        found = counts(run.findings)
        passed, warned, failed = found["SUCCESS"], found["WARNING"], found["FAILURE"]
        skipped = found.total() - passed - warned - failed
        numbers = (len(run.findings.scenarios), passed, warned, failed, skipped, len(run.lost))
        table.add_row(run.revision, run.way, *map(str, numbers), f"{run.seconds:.1f}")
    return table


def _faults(run: Run) -> Iterator[str]:
    for check, direct, through in run.lost:
        yield f"{run.revision} {run.way}: {check.scenario}/{check.id}: {direct} became {through}"
    if not run.findings.conforms:
        yield f"{run.revision} {run.way}: the suite says that the server does not conform.\n{run.findings.said}"


if __name__ == "__main__":
    sys.exit(main())
