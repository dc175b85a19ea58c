"""What reported actions have cost: totals that every report adds to, so that no question scans the log. Pure."""

from collections.abc import Iterator
from typing import NamedTuple

from haldir.journal.working_set import WorkingSet
from haldir.storage.rows import Find
from haldir.watch.model import ReportedSpend

TENANT = "tenant"
EVERY_TOOL = ""
TOTAL_MICROS_MAX = 2**63 - 1  # Nine trillion units. Costs are claims: nobody shall stop the log by a large one.


class Report(NamedTuple):
    """Who reported an action of which tool."""

    session_id: str
    agent_id: str
    tool: str

    @property
    def places(self) -> Iterator[tuple[str, str]]:
        """Name the totals that it counts in."""
        for holder in (session_holder(self.session_id), agent_holder(self.agent_id), TENANT):
            yield holder, EVERY_TOOL
            if self.tool:
                yield holder, self.tool


def session_holder(session_id: str) -> str:
    return f"session:{session_id}"


def agent_holder(agent_id: str) -> str:
    return f"agent:{agent_id}"


def total_needs(report: Report) -> Iterator[Find]:
    for place in report.places:
        yield ReportedSpend.at(*place)


def totals_after(rows: WorkingSet, report: Report, cost_micros: int) -> Iterator[ReportedSpend]:
    """Return the totals with one more action of this cost."""
    for place in report.places:
        total = rows.get(ReportedSpend, *place) or ReportedSpend(*place)
        cost = min(total.cost_micros + cost_micros, TOTAL_MICROS_MAX)
        yield total.but(cost_micros=cost, actions=total.actions + 1)
