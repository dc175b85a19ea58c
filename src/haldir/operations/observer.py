"""What is remarkable in a decision, whatever its command: the journal's observer.

It sees each decision over the rows as they were before it, and what it says stands in the entry.
"""

from collections.abc import Iterator

from haldir.journal.command import NOTHING_SEEN, Command, Decision, Notice, Observation
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.ledger.model import Budget
from haldir.ledger.thresholds import crossed_percent

BUDGET_THRESHOLD = "budget_threshold"
BUDGET_EXHAUSTED = "budget_exhausted"
WHOLE_PERCENT = 100


def observe(rows: WorkingSet, _command: Command, decision: Decision, _now: Micros) -> Observation:
    """Return what is to be told of a decision."""
    notices = tuple(_budget_notices(rows, decision))
    return Observation(notices) if notices else NOTHING_SEEN


def _budget_notices(rows: WorkingSet, decision: Decision) -> Iterator[Notice]:
    for row in decision.puts:
        if not isinstance(row, Budget) or not row.spent_micros:
            continue  # A new budget: nobody loaded what was there before it, for that was nothing.
        percent = crossed_percent(rows.the(Budget, row.holder), row)
        if percent == WHOLE_PERCENT:
            yield Notice(BUDGET_EXHAUSTED, row.holder, f"The budget of {row.holder} is spent.")
        elif percent is not None:
            yield Notice(BUDGET_THRESHOLD, row.holder, f"{percent} % of the budget of {row.holder} is spent.")
