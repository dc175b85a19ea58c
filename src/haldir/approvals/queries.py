"""Lists and sweeps of approvals."""

from typing import Any

from haldir.approvals.model import Approval
from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader
from haldir.storage.mapping import mapping

PENDING = f"""
SELECT {", ".join(mapping(Approval).names)} FROM approval
WHERE tenant = :tenant AND state = 'pending' AND id < :before AND expires_at > :now
ORDER BY id DESC LIMIT :limit
"""
PENDING_OF_AGENT = f"""
SELECT {", ".join(mapping(Approval).names)} FROM approval
WHERE tenant = :tenant AND agent_id = :agent_id AND state = 'pending' AND id < :before AND expires_at > :now
ORDER BY id DESC LIMIT :limit
"""
AFTER_ALL_IDS = "~"  # Ids are letters, digits, `-` and `_`.
OVERDUE = """
SELECT id FROM approval
WHERE tenant = :tenant AND state IN ('pending', 'approved') AND expires_at <= :now
ORDER BY expires_at LIMIT :limit
"""


async def pending_approvals(
    reader: Reader, tenant: TenantId, *, agent_id: str, before: str, now: Micros, limit: int
) -> list[Approval]:
    """Return up to `limit` approvals that wait, whose id comes before `before` ("" for the newest)."""
    asked: dict[str, str | int] = {"tenant": tenant, "before": before or AFTER_ALL_IDS, "now": now, "limit": limit}
    found: list[Any] = (
        await reader.fetch(PENDING_OF_AGENT, agent_id=agent_id, **asked)
        if agent_id
        else await reader.fetch(PENDING, **asked)
    )
    rows = map(mapping(Approval).decode, found)
    return [row for row in rows if isinstance(row, Approval)]


async def overdue_approvals(reader: Reader, tenant: TenantId, now: Micros, limit: int) -> list[str]:
    """Return the ids of approvals whose time is over, the longest overdue first."""
    found = await reader.fetch(OVERDUE, tenant=tenant, now=now, limit=limit)
    return [approval_id for (approval_id,) in found]
