"""The vault's reads: which secrets stand, and by which versions of the tenant's key they open."""

from typing import Any

import msgspec

from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader
from haldir.storage.mapping import mapping
from haldir.vault.model import SecretVersion, StoredSecret

DATA_KEY_DIGEST = "SELECT data_key_digest, created_at FROM tenant WHERE tenant = :tenant"

SECRETS = f"""
SELECT {", ".join(mapping(StoredSecret).names)} FROM secret
WHERE tenant = :tenant AND deleted_at IS NULL AND name > :after ORDER BY name LIMIT :limit
"""

WRAPPED_BEFORE = f"""
SELECT {", ".join(mapping(SecretVersion).names)} FROM secret_version
WHERE tenant = :tenant AND erased_at IS NULL AND key_version < :key_version AND name > :after
ORDER BY name LIMIT :limit
"""

COUNT = "SELECT count(*) FROM secret WHERE tenant = :tenant AND deleted_at IS NULL"

CENSUS = """
SELECT key_version, count(*) FROM secret_version WHERE tenant = :tenant AND erased_at IS NULL
GROUP BY key_version ORDER BY key_version
"""


class FirstKey(msgspec.Struct, frozen=True):
    """The part that holds the data key a tenant was made with, and when that was."""

    digest: str
    created_at: int


async def first_key(reader: Reader, tenant: TenantId) -> FirstKey | None:
    """Return the tenant's first key; None if there is no such tenant."""
    found = await reader.fetch(DATA_KEY_DIGEST, tenant=tenant)
    return FirstKey(str(found[0][0]), int(found[0][1])) if found else None


async def list_secrets(reader: Reader, tenant: TenantId, after: str, limit: int) -> list[StoredSecret]:
    """Return up to `limit` secrets that stand, by name, of those whose name comes after `after`."""
    found: list[Any] = await reader.fetch(SECRETS, tenant=tenant, after=after, limit=limit)
    return [row for row in map(mapping(StoredSecret).decode, found) if isinstance(row, StoredSecret)]


async def wrapped_before(
    reader: Reader, tenant: TenantId, key_version: int, after: str, limit: int
) -> list[SecretVersion]:
    """Return up to `limit` versions, by name after `after`, whose keys an older version of the tenant's key wraps."""
    found: list[Any] = await reader.fetch(
        WRAPPED_BEFORE, tenant=tenant, key_version=key_version, after=after, limit=limit
    )
    return [row for row in map(mapping(SecretVersion).decode, found) if isinstance(row, SecretVersion)]


async def key_census(reader: Reader, tenant: TenantId) -> dict[int, int]:
    """Return how many secrets each version of the tenant's key opens."""
    return {int(version): int(count) for version, count in await reader.fetch(CENSUS, tenant=tenant)}


async def count_secrets(reader: Reader, tenant: TenantId) -> int:
    """Count the secrets that a tenant has."""
    ((count,),) = await reader.fetch(COUNT, tenant=tenant)
    return int(count)
