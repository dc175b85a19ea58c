"""How many approvals wait for a person: counted with each decision, so that nobody counts them, and bounded. Pure."""

from collections.abc import Iterable, Iterator

from haldir.approvals.model import TENANT_WIDE, Approval, PendingCount
from haldir.journal.working_set import WorkingSet
from haldir.kernel.errors import Refusal
from haldir.storage.rows import Find

PENDING_PER_SESSION_MAX = 100  # An agent with more open questions has run wild; nobody reads that many.
PENDING_PER_TENANT_MAX = 10_000  # More than all people of a tenant decide within an approval's life.


def pending_needs(session_id: str) -> Iterator[Find]:
    """Name the rows that say how many approvals wait."""
    yield PendingCount.at(TENANT_WIDE)
    yield PendingCount.at(session_id)


def pending_refusal(rows: WorkingSet, session_id: str) -> Refusal | None:
    """Return why a session may not begin to wait for one more approval, or None.

    An approval past its time takes its place until that is recorded: some seconds.
    """
    if _counted(rows, session_id).pending >= PENDING_PER_SESSION_MAX:
        return "too_many_pending", f"The session {session_id} waits for {PENDING_PER_SESSION_MAX} approvals already."
    if _counted(rows, TENANT_WIDE).pending >= PENDING_PER_TENANT_MAX:
        return "too_many_pending", f"{PENDING_PER_TENANT_MAX} approvals of this tenant wait already."
    return None


def recounted(rows: WorkingSet, approvals: Iterable[Approval]) -> list[PendingCount]:
    """Return the counts as they stand after a decision that puts these approvals; none where none was pending."""
    counts: dict[str, PendingCount] = {}
    for approval in (each for each in approvals if has_begun(each) or _was_pending(rows, each)):
        begins = has_begun(approval)
        change = int(begins) if approval.state == "pending" else -1
        for holder in (TENANT_WIDE, approval.session_id):
            before = counts.get(holder) or _counted(rows, holder)
            counts[holder] = PendingCount(
                holder, before.pending + change, before.asked + begins, _counted(rows, holder).version + 1
            )
    return list(counts.values())


def has_begun(approval: Approval) -> bool:
    """Tell whether an approval that is put begins to wait with that: one that waits already is put with votes only."""
    return approval.state == "pending" and not approval.votes


def _was_pending(rows: WorkingSet, approval: Approval) -> bool:
    return rows.the(Approval, approval.id).state == "pending"


def _counted(rows: WorkingSet, holder: str) -> PendingCount:
    return rows.get(PendingCount, holder) or PendingCount(holder)
