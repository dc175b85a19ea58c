"""Lists of sessions: a tenant's, newest first, and those below one; and requests whose time is over."""

from typing import Any

import msgspec

from haldir.gate.model import Session
from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader
from haldir.storage.mapping import mapping

BELOW_MAX = 1000  # Sessions of one tree that are looked at: more is no tree that anybody reads.

COLUMNS = ", ".join(mapping(Session).names)
SESSIONS = f"SELECT {COLUMNS} FROM session WHERE tenant = :tenant"
OF_AGENT = "AND agent_id = :agent_id"
ROOTS = "AND parent_id IS NULL"
NOT_REVOKED = "AND revoked_at IS NULL"
OLDER = "AND id < :before"
NEWEST_FIRST = "ORDER BY id DESC LIMIT :limit"

BELOW = f"""
WITH RECURSIVE below AS (
  SELECT session.* FROM session WHERE session.tenant = :tenant AND session.parent_id = :session_id
  UNION ALL
  SELECT session.* FROM session JOIN below ON session.tenant = below.tenant AND session.parent_id = below.id
)
SELECT {COLUMNS} FROM (SELECT * FROM below LIMIT :limit) AS nearest WHERE tenant = :tenant ORDER BY id
"""
OUTDATED_REQUESTS = """
SELECT digest FROM request WHERE tenant = :tenant AND reserved_at <= :reserved_until
ORDER BY reserved_at LIMIT :limit
"""


COUNTS = """
SELECT (SELECT count(*) FROM session WHERE tenant = :tenant),
  (SELECT count(*) FROM session WHERE tenant = :tenant AND revoked_at IS NULL AND expires_at > :now)
  + (SELECT count(*) FROM session WHERE tenant = :tenant AND revoked_at IS NULL AND expires_at IS NULL),
  (SELECT count(DISTINCT agent_id) FROM session WHERE tenant = :tenant)
"""


class SessionCounts(msgspec.Struct, frozen=True):
    """How many sessions there are and ever were, and of how many agents. `active`: not ended themselves."""

    total: int
    active: int
    agents: int


class SessionFilter(msgspec.Struct, frozen=True):
    """Which sessions are wanted; no agent is any."""

    agent_id: str = ""
    roots_only: bool = False
    include_revoked: bool = False


async def list_sessions(
    reader: Reader, tenant: TenantId, wanted: SessionFilter, before: str, limit: int
) -> list[Session]:
    """Return up to `limit` sessions whose id comes before `before` ("" for the newest)."""
    sql, params = [SESSIONS], {}
    if wanted.agent_id:
        sql.append(OF_AGENT)
        params["agent_id"] = wanted.agent_id
    if wanted.roots_only:
        sql.append(ROOTS)
    if not wanted.include_revoked:
        sql.append(NOT_REVOKED)
    if before:
        sql.append(OLDER)
        params["before"] = before
    return _sessions(await reader.fetch("\n".join([*sql, NEWEST_FIRST]), tenant=tenant, limit=limit, **params))


async def count_sessions(reader: Reader, tenant: TenantId, now: Micros) -> SessionCounts:
    """Count a tenant's sessions."""
    ((total, active, agents),) = await reader.fetch(COUNTS, tenant=tenant, now=now)
    return SessionCounts(total, active, agents)


async def sessions_below(reader: Reader, tenant: TenantId, session_id: str) -> list[Session]:
    """Return all sessions below one, whatever became of them, in the order they were opened; at most BELOW_MAX."""
    return _sessions(await reader.fetch(BELOW, tenant=tenant, session_id=session_id, limit=BELOW_MAX))


def _sessions(found: list[Any]) -> list[Session]:
    rows = map(mapping(Session).decode, found)
    return [row for row in rows if isinstance(row, Session)]


async def outdated_requests(reader: Reader, tenant: TenantId, reserved_until: Micros, limit: int) -> tuple[str, ...]:
    """Return the digests of requests that were reserved up to an instant, the oldest first."""
    found = await reader.fetch(OUTDATED_REQUESTS, tenant=tenant, reserved_until=reserved_until, limit=limit)
    return tuple(digest for (digest,) in found)
