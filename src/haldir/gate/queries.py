"""Lists of sessions, newest first."""

from typing import Any

from haldir.gate.model import Session
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader
from haldir.storage.mapping import mapping

SESSIONS = f"""
SELECT {", ".join(mapping(Session).names)} FROM session
WHERE tenant = :tenant AND (:agent_id = '' OR agent_id = :agent_id) AND (:before = '' OR id < :before)
ORDER BY id DESC LIMIT :limit
"""


async def list_sessions(reader: Reader, tenant: TenantId, agent_id: str, before: str, limit: int) -> list[Session]:
    """Return up to `limit` sessions whose id comes before `before` ("" for the newest), revoked ones too."""
    found: list[Any] = await reader.fetch(SESSIONS, tenant=tenant, agent_id=agent_id, before=before, limit=limit)
    rows = map(mapping(Session).decode, found)
    return [row for row in rows if isinstance(row, Session)]
