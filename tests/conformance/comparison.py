"""What was lost on the way: checks that are missing, or that went worse, through Haldir than directly."""

from collections import Counter
from typing import NamedTuple

from conformance.suite import Check, Findings

FAILURE = "FAILURE"
WORST_FIRST = (FAILURE, "WARNING", "SKIPPED", "SUCCESS")


class Loss(NamedTuple):
    check: Check
    direct: list[str]
    through: list[str]


def losses(direct: Findings, through: Findings) -> list[Loss]:
    """Return every check that was asked less often, or answered worse, than directly."""
    found = []
    for check in sorted(direct.statuses.keys() | through.statuses.keys()):
        loss = Loss(check, direct.statuses.get(check, []), through.statuses.get(check, []))
        if _is_worse(loss):
            found.append(loss)
    return found


def counts(findings: Findings) -> Counter[str]:
    """Return how many checks had each status."""
    return Counter(status for statuses in findings.statuses.values() for status in statuses)


def _is_worse(loss: Loss) -> bool:
    """Compare the worst with the worst; a failure of a check that was never asked directly counts too."""
    if len(loss.through) < len(loss.direct) or loss.through.count(FAILURE) > loss.direct.count(FAILURE):
        return True
    return any(there < here for there, here in zip(_ranks(loss.through), _ranks(loss.direct), strict=False))


def _ranks(statuses: list[str]) -> list[int]:
    return sorted(map(WORST_FIRST.index, statuses))
