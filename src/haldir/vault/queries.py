"""The vault's reads."""

from haldir.kernel.ids import TenantId
from haldir.storage.engine import Reader

DATA_KEY_DIGEST = "SELECT data_key_digest FROM tenant WHERE tenant = :tenant"


async def data_key_digest(reader: Reader, tenant: TenantId) -> str | None:
    """Return the name of the part that holds the tenant's data key; None if there is no such tenant."""
    found = await reader.fetch(DATA_KEY_DIGEST, tenant=tenant)
    return str(found[0][0]) if found else None
