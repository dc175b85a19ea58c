"""What the caller of a request that is held is told: that it waits for a person, and where it can look."""

from typing import Any

from haldir.approvals.holds import APPROVAL_REQUIRED
from haldir.kernel.errors import Refused

POLL_AFTER_SECONDS = 5  # People take longer; `?wait=` costs less and tells at once.


def waiting_for(approval_id: str) -> dict[str, Any]:
    """Return what a held caller is told of the approval it waits for."""
    return {
        "request_id": approval_id,
        "approval_id": approval_id,
        "url": f"/v1/approvals/{approval_id}",
        "poll_after_seconds": POLL_AFTER_SECONDS,
    }


def told_of_hold(refused: Refused) -> dict[str, Any]:
    """Return what the caller of a held tool reads: as a plain result, for nothing failed (WIRE.md §7)."""
    said = {"status": APPROVAL_REQUIRED, "reason": refused.message, "message": refused.hint}
    return said | waiting_for(refused.approval_id)
