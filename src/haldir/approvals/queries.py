"""Lists and sweeps of approvals."""

from typing import Any

import msgspec

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
_BEFORE = """
FROM call WHERE tenant = :tenant AND agent_id = asked.agent_id AND upstream = asked.upstream AND tool = asked.tool
  AND admitted_at < asked.created_at
"""
_PREVIOUS = f"""
SELECT asked.id,
  (SELECT id {_BEFORE} ORDER BY admitted_at DESC LIMIT 1), (SELECT max(admitted_at) {_BEFORE})
FROM approval AS asked WHERE asked.tenant = :tenant AND asked.effect = 'call'
"""
PREVIOUS_OF_ONE = f"{_PREVIOUS} AND asked.id = :id"
PREVIOUS_OF_PAGE = f"""{_PREVIOUS} AND asked.state = 'pending' AND asked.id BETWEEN :oldest AND :newest
  AND (:agent_id = '' OR asked.agent_id = :agent_id)
"""
AFTER_ALL_IDS = "~"  # Ids are letters, digits, `-` and `_`.
OVERDUE = """
SELECT id FROM approval
WHERE tenant = :tenant AND state IN ('pending', 'approved') AND expires_at <= :now
ORDER BY expires_at LIMIT :limit
"""


class PreviousCall(msgspec.Struct, frozen=True):
    """A call that an agent made before it asked for another one of the same tool."""

    id: str
    admitted_at: Micros


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


async def previous_call(reader: Reader, tenant: TenantId, approval_id: str) -> dict[str, PreviousCall]:
    """Return by approval the last call that its agent made of the tool it asks for; nothing where there is none."""
    found = await reader.fetch(PREVIOUS_OF_ONE, tenant=tenant, id=approval_id)
    return _by_approval(found)


async def previous_calls_of_page(
    reader: Reader, tenant: TenantId, newest: str, oldest: str, *, agent_id: str
) -> dict[str, PreviousCall]:
    """Return the same of what waits from `newest` to `oldest`: of one agent, or of all ("")."""
    found = await reader.fetch(PREVIOUS_OF_PAGE, tenant=tenant, newest=newest, oldest=oldest, agent_id=agent_id)
    return _by_approval(found)


def _by_approval(found: list[Any]) -> dict[str, PreviousCall]:
    return {approval: PreviousCall(call_id, at) for approval, call_id, at in found if call_id is not None}
