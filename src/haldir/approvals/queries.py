"""Lists and sweeps of approvals."""

from typing import Any

from haldir.approvals.model import Approval
from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader
from haldir.storage.mapping import mapping

PENDING = f"""
SELECT {", ".join(mapping(Approval).names)} FROM approval
WHERE tenant = :tenant AND state = 'pending' AND expires_at > :now
  AND (:agent_id = '' OR agent_id = :agent_id) AND (:before = '' OR id < :before)
ORDER BY id DESC LIMIT :limit
"""
COUNTS = """
SELECT (SELECT count(*) FROM approval WHERE tenant = :tenant),
  (SELECT count(*) FROM approval WHERE tenant = :tenant AND state = 'pending' AND expires_at > :now)
"""
OVERDUE = """
SELECT id FROM approval
WHERE tenant = :tenant AND state IN ('pending', 'approved') AND expires_at <= :now
ORDER BY expires_at LIMIT :limit
"""


async def pending_approvals(
    reader: Reader, tenant: TenantId, *, agent_id: str, before: str, now: Micros, limit: int
) -> list[Approval]:
    """Return up to `limit` approvals that wait, whose id comes before `before` ("" for the newest)."""
    found: list[Any] = await reader.fetch(
        PENDING, tenant=tenant, agent_id=agent_id, before=before, now=now, limit=limit
    )
    rows = map(mapping(Approval).decode, found)
    return [row for row in rows if isinstance(row, Approval)]


async def overdue_approvals(reader: Reader, tenant: TenantId, now: Micros, limit: int) -> list[str]:
    """Return the ids of approvals whose time is over, the longest overdue first."""
    found = await reader.fetch(OVERDUE, tenant=tenant, now=now, limit=limit)
    return [approval_id for (approval_id,) in found]


async def count_approvals(reader: Reader, tenant: TenantId, now: Micros) -> tuple[int, int]:
    """Return how many approvals were ever asked for, and how many still wait for a person."""
    ((total, pending),) = await reader.fetch(COUNTS, tenant=tenant, now=now)
    return int(total), int(pending)
