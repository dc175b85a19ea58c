"""The command by which an agent's own report enters the log: it must come out of a living session."""

from collections.abc import Iterable

from haldir.gate.liveness import chain_needs, foreign_refusal, session_refusal
from haldir.gate.model import Session
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.storage.rows import Find
from haldir.watch.spend import Report, total_needs, totals_after


class LogAction(Command, frozen=True, tag="action.log"):
    """Record what a session says it did. `cost_micros` is a report: it adds to totals, and no budget feels it."""

    LISTED = True

    session_id: str
    action: str
    tool: str = ""
    cost_micros: int = 0
    details_digest: str = ""

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from chain_needs(rows, self.session_id)
        if session := rows.peek(Session, self.session_id):
            yield from total_needs(Report(session.id, session.agent_id, self.tool))

    def subject(self) -> Subject:
        return Subject(self.session_id, tool=self.tool)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        if refusal := session_refusal(rows, self.session_id, now):
            return deny(*refusal, self.subject())
        session = rows.the(Session, self.session_id)
        if refusal := foreign_refusal(self.asked_by, session):
            return deny(*refusal, self.subject())
        report = Report(session.id, session.agent_id, self.tool)
        totals = totals_after(rows, report, self.cost_micros)
        return allow(*totals, about=Subject(session.id, session.agent_id, tool=self.tool))
