"""A call as the log has it: how it was asked for, what was decided, and where its arguments are kept. Pure."""

import msgspec

from haldir.approvals.holds import APPROVAL_DENIED, APPROVAL_REQUIRED, Held
from haldir.approvals.model import Approval
from haldir.journal.command import Record
from haldir.operations.call_commands import POLICY_REFUSALS, Admit
from haldir.operations.call_usage import Usage
from haldir.policy.judgement import Judgement

LET_BY_POLICIES = frozenset({"", APPROVAL_REQUIRED, APPROVAL_DENIED, "too_many_pending"})


class RecordedCall(msgspec.Struct, frozen=True):
    """A call as its entry, at `index` of the log, says it was asked for and decided."""

    index: int
    record: Record
    admit: Admit

    @property
    def is_judged(self) -> bool:
        """Tell whether its policies had their say: other calls were refused for what they were."""
        return self.record.code in LET_BY_POLICIES or self.record.code in POLICY_REFUSALS

    @property
    def approval_id(self) -> str:
        """Return the approval that it was told to wait for, or that was denied; "" for none."""
        held = msgspec.json.decode(self.record.result, type=Held | None)
        return held.approval_id if held else ""

    def arguments_part(self, approval: Approval | None) -> str:
        """Return the part that its arguments are kept in, "" if they never were; `approval` is that of `approval_id`.

        A call that is held is one with its approval and, once that let it through, with the call it became.
        """
        if self.record.allowed or self.record.code in POLICY_REFUSALS:
            return self.admit.details_digest
        return approval.details_digest if approval else ""

    def usage(self, judgement: Judgement) -> Usage:
        """Return the call as a judgement's counters look at it."""
        price = self.admit.charge.comparable_micros
        return Usage(judgement, self.admit.session_id, self.record.about.agent_id, price)


def recorded_call(index: int, record: Record) -> RecordedCall:
    """Return the call of an entry of the kind `call.admit`."""
    return RecordedCall(index, record, msgspec.json.decode(record.command, type=Admit))
