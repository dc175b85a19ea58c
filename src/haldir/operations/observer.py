"""What is remarkable in a decision, whatever its command: the journal's observer.

It sees each decision over the rows as they were before it, and what it says stands in the entry.
"""

from collections.abc import Iterable, Iterator

from haldir.approvals.commands import ExpireApproval
from haldir.approvals.holds import APPROVAL_REQUIRED
from haldir.approvals.model import Approval
from haldir.approvals.pending import has_begun, pending_needs, recounted
from haldir.gate.model import Session
from haldir.journal.command import NOTHING_SEEN, SYSTEM, Command, Decision, Notice, Observation, Observer, Subject
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.ledger.model import Budget
from haldir.ledger.thresholds import crossed_percent
from haldir.operations.approval_commands import DecideApproval
from haldir.operations.audit_commands import LogAction
from haldir.operations.call_commands import Admit
from haldir.operations.payment_commands import AuthorizePayment
from haldir.storage.rows import Find
from haldir.watch.anomalies import examine
from haldir.watch.deed import Deed
from haldir.watch.model import AnomalyRules
from haldir.watch.tallies import tallied, tally_needs

BUDGET_THRESHOLD = "budget_threshold"
BUDGET_EXHAUSTED = "budget_exhausted"
APPROVAL_REQUESTED = "approval_requested"
APPROVAL_DECIDED = "approval_decided"
APPROVAL_EXPIRED = "approval_expired"
WHOLE_PERCENT = 100
ACTS = (Admit, LogAction, AuthorizePayment)


class Guardian(Observer):
    """Tells of budgets, approvals and anomalies, and keeps the tallies."""

    def needs(self, rows: WorkingSet, command: Command) -> Iterator[Find]:
        about = command.subject()
        session = rows.peek(Session, about.session_id) if about.session_id else None
        agent_id = session.agent_id if session else about.agent_id
        yield AnomalyRules.at()
        if isinstance(command, ACTS):
            yield from tally_needs(agent_id, _tool_of(about))
        if isinstance(command, (DecideApproval, ExpireApproval)):
            approval = rows.peek(Approval, command.approval_id)
            if approval is not None:
                yield from pending_needs(approval.session_id)

    def see(self, rows: WorkingSet, command: Command, decision: Decision, now: Micros) -> Observation:
        approvals = [row for row in decision.puts if isinstance(row, Approval)]
        notices = (*_budget_notices(rows, decision), *_approval_notices(approvals, decision.reason))
        counts = recounted(rows, approvals) if approvals else ()
        deed = _deed(rows, command, decision)
        if deed is None:
            return Observation(notices, (*counts,)) if notices or counts else NOTHING_SEEN
        seen = examine(rows, deed, now)
        tallies = tallied(rows, deed, now, flagged=bool(seen.notices))
        return Observation((*notices, *seen.notices), (*counts, *seen.puts, *tallies))


def _deed(rows: WorkingSet, command: Command, decision: Decision) -> Deed | None:
    """Return what a decision tells anomaly rules; None for what Haldir did by itself, or an administrator may do."""
    if decision.code == APPROVAL_REQUIRED:
        return None  # It waits: it is neither done nor refused.
    about, acts = decision.about, isinstance(command, ACTS)
    if not about.agent_id and (decision.allowed or command.asked_by == SYSTEM):
        return None
    holder = f"agent:{about.agent_id}" if about.agent_id else str(command.asked_by)
    return Deed(holder, about.agent_id, acts, decision.allowed, _tool_of(about), _spent_micros(rows, command, decision))


def _tool_of(about: Subject) -> str:
    return f"{about.upstream}.{about.tool}" if about.upstream else about.tool


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


def _approval_notices(approvals: Iterable[Approval], reason: str) -> Iterator[Notice]:
    """Tell of approvals that begin to wait, that are decided, and whose time is over; not of one vote of several."""
    for row in approvals:
        if has_begun(row):
            yield Notice(APPROVAL_REQUESTED, row.id, reason or "A session asks for it.")
        elif row.state in {"approved", "denied"}:
            yield Notice(APPROVAL_DECIDED, row.id, f"{row.decided_by} decided it: {row.state}.")
        elif row.state == "expired":
            yield Notice(APPROVAL_EXPIRED, row.id, f"Nobody used it in time; it was asked for by {row.asked_by}.")
