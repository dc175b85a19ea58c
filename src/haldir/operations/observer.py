"""What is remarkable in a decision, whatever its command: the journal's observer.

It sees each decision over the rows as they were before it, and what it says stands in the entry.
"""

from collections.abc import Iterator

from haldir.journal.command import NOTHING_SEEN, SYSTEM, Command, Decision, Notice, Observation
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.ledger.model import Budget
from haldir.ledger.thresholds import crossed_percent
from haldir.operations.audit_commands import LogAction
from haldir.operations.call_commands import Admit
from haldir.operations.payment_commands import AuthorizePayment
from haldir.watch.anomalies import Deed, examine

BUDGET_THRESHOLD = "budget_threshold"
BUDGET_EXHAUSTED = "budget_exhausted"
WHOLE_PERCENT = 100
ACTS = (Admit, LogAction, AuthorizePayment)


def observe(rows: WorkingSet, command: Command, decision: Decision, now: Micros) -> Observation:
    """Return what is to be told of a decision, and what anomaly rules remember of it."""
    notices = tuple(_budget_notices(rows, decision))
    deed = _deed(rows, command, decision)
    seen = examine(rows, deed, now) if deed else NOTHING_SEEN
    return Observation((*notices, *seen.notices), seen.puts) if notices else seen


def _deed(rows: WorkingSet, command: Command, decision: Decision) -> Deed | None:
    """Return what a decision tells anomaly rules; None for what Haldir did by itself, or an administrator may do."""
    about, acts = decision.about, isinstance(command, ACTS)
    if not about.agent_id and (decision.allowed or command.asked_by == SYSTEM):
        return None
    tool = f"{about.upstream}.{about.tool}" if about.upstream else about.tool
    holder = f"agent:{about.agent_id}" if about.agent_id else str(command.asked_by)
    return Deed(holder, about.agent_id, acts, decision.allowed, tool, _spent_micros(rows, command, decision))


def _spent_micros(rows: WorkingSet, command: Command, decision: Decision) -> int:
    """Return what a decision took from the budget of the session it is about, or what was reported as spent."""
    if not decision.allowed:
        return 0
    if isinstance(command, LogAction):
        return command.cost_micros
    for row in decision.puts:
        if isinstance(row, Budget) and row.holder == decision.about.session_id and row.spent_micros:
            return row.spent_micros - rows.the(Budget, row.holder).spent_micros
    return 0


def _budget_notices(rows: WorkingSet, decision: Decision) -> Iterator[Notice]:
    for row in decision.puts:
        if not isinstance(row, Budget) or not row.spent_micros:
            continue  # A new budget: nobody loaded what was there before it, for that was nothing.
        percent = crossed_percent(rows.the(Budget, row.holder), row)
        if percent == WHOLE_PERCENT:
            yield Notice(BUDGET_EXHAUSTED, row.holder, f"The budget of {row.holder} is spent.")
        elif percent is not None:
            yield Notice(BUDGET_THRESHOLD, row.holder, f"{percent} % of the budget of {row.holder} is spent.")
