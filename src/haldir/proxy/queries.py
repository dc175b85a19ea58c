"""Lists and sweeps of calls, of what is kept of them, and the versions of policies."""

from typing import Any

from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.proxy.model import Call, PastPolicy, PolicyVersion
from haldir.storage.engine import Reader
from haldir.storage.mapping import mapping

CALLS = f"""
SELECT {", ".join(mapping(Call).names)} FROM call
WHERE tenant = :tenant AND state = :state AND (:before = '' OR id < :before)
ORDER BY id DESC LIMIT :limit
"""
OVERDUE = """
SELECT id FROM call
WHERE tenant = :tenant AND state = 'open' AND deadline_at < :deadline_before
ORDER BY deadline_at LIMIT :limit
"""
KEPT_LONG_ENOUGH = """
SELECT digest FROM part
WHERE tenant = :tenant AND kept_since <= :kept_until
ORDER BY kept_since LIMIT :limit
"""
PAST_POLICIES = f"""
SELECT {", ".join(mapping(PastPolicy).names)} FROM past_policy
WHERE tenant = :tenant AND since_epoch <= :epoch AND until_epoch > :epoch
"""
POLICY_VERSIONS = f"""
SELECT {", ".join(mapping(PolicyVersion).names)} FROM policy_version
WHERE tenant = :tenant AND epoch < :before ORDER BY epoch DESC LIMIT :limit
"""


async def list_calls(reader: Reader, tenant: TenantId, state: str, before: str, limit: int) -> list[Call]:
    """Return up to `limit` calls in this state whose id comes before `before` ("" for the newest)."""
    found: list[Any] = await reader.fetch(CALLS, tenant=tenant, state=state, before=before, limit=limit)
    rows = map(mapping(Call).decode, found)
    return [row for row in rows if isinstance(row, Call)]


async def overdue_calls(reader: Reader, tenant: TenantId, deadline_before: Micros, limit: int) -> list[str]:
    """Return the ids of open calls whose deadline passed before an instant, the longest overdue first."""
    found = await reader.fetch(OVERDUE, tenant=tenant, deadline_before=deadline_before, limit=limit)
    return [call_id for (call_id,) in found]


async def parts_kept_since(reader: Reader, tenant: TenantId, kept_until: Micros, limit: int) -> list[str]:
    """Return the names of parts that are kept since an instant or longer, the oldest first."""
    found = await reader.fetch(KEPT_LONG_ENOUGH, tenant=tenant, kept_until=kept_until, limit=limit)
    return [name for (name,) in found]


async def past_policies(reader: Reader, tenant: TenantId, epoch: int) -> list[PastPolicy]:
    """Return the policies of one version that no longer say what they said in it."""
    found: list[Any] = await reader.fetch(PAST_POLICIES, tenant=tenant, epoch=epoch)
    rows = map(mapping(PastPolicy).decode, found)
    return [row for row in rows if isinstance(row, PastPolicy)]


async def policy_versions(reader: Reader, tenant: TenantId, before: int, limit: int) -> list[PolicyVersion]:
    """Return up to `limit` versions below `before`, newest first."""
    found: list[Any] = await reader.fetch(POLICY_VERSIONS, tenant=tenant, before=before, limit=limit)
    rows = map(mapping(PolicyVersion).decode, found)
    return [row for row in rows if isinstance(row, PolicyVersion)]
