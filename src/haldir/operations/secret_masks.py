"""All secrets of a tenant, opened for one purpose: to take them out of what somebody is to see. They go no further."""

import asyncio
from collections.abc import Mapping
from typing import final

from haldir.kernel.errors import Unavailable
from haldir.kernel.ids import TenantId
from haldir.kernel.secret import Secret
from haldir.operations.context import Context
from haldir.storage.rows import Part
from haldir.vault.envelope import open_value
from haldir.vault.masking import masked
from haldir.vault.model import SecretVersion, StoredSecret
from haldir.vault.queries import list_secrets
from haldir.vault.seal import SealBroken

OPENED_AT_ONCE = 256  # Some milliseconds' work, between which others are served.
TRIES = 5  # A secret is replaced by hand: that often while it is opened is rare.


@final
class SecretMasks:
    """Shows references where values of a tenant's secrets stand, as they are when it is first asked."""

    def __init__(self, ctx: Context, tenant: TenantId) -> None:
        self._ctx, self._tenant = ctx, tenant
        self._secrets: dict[str, Secret[str]] | None = None

    async def over(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        """Return what may be JSON, by the same names, as somebody may see it: surely JSON. Raises Unavailable."""
        if not contents:
            return {}
        secrets = await self._opened()
        return await asyncio.to_thread(lambda: {name: masked(content, secrets) for name, content in contents.items()})

    async def over_json(self, contents: Mapping[str, bytes]) -> dict[str, bytes]:
        """Do the same with what surely is JSON: where there are no secrets, that costs nothing."""
        return await self.over(contents) if contents and await self._opened() else dict(contents)

    async def _opened(self) -> dict[str, Secret[str]]:
        if self._secrets is None:
            self._secrets = await _opened(self._ctx, self._tenant)
        return self._secrets


async def _opened(ctx: Context, tenant: TenantId) -> dict[str, Secret[str]]:
    opened: dict[str, Secret[str]] = {}
    after = ""
    while page := await list_secrets(ctx.store, tenant, after, OPENED_AT_ONCE):
        opened |= await _values(ctx, tenant, page)
        after = page[-1].name
        if len(page) < OPENED_AT_ONCE:
            break
    return opened


async def _values(ctx: Context, tenant: TenantId, secrets: list[StoredSecret]) -> dict[str, Secret[str]]:
    """Return the values of secrets by name, without those that cannot be opened or are deleted meanwhile."""
    for _ in range(TRIES):
        keys = [(secret.name, secret.version) for secret in secrets]
        versions = [
            row
            for row in await ctx.store.load(tenant, SecretVersion, SecretVersion.TABLE.key, keys)
            if isinstance(row, SecretVersion)
        ]
        digests = [(version.digest,) for version in versions]
        found = await ctx.store.load(tenant, Part, Part.TABLE.key, digests)
        parts = {part.digest: part for part in found if isinstance(part, Part)}
        if all(version.digest in parts for version in versions):
            return await _open(ctx, tenant, versions, parts)
        standing = await ctx.store.load(tenant, StoredSecret, StoredSecret.TABLE.key, [(name,) for name, _ in keys])
        secrets = [row for row in standing if isinstance(row, StoredSecret) and row.deleted_at is None]
    raise Unavailable("The secrets kept changing while they were taken out of what was asked for.")


async def _open(
    ctx: Context, tenant: TenantId, versions: list[SecretVersion], parts: dict[str, Part]
) -> dict[str, Secret[str]]:
    keys = await ctx.keyring.opening(tenant, parts.values())
    opened = {}
    for version in versions:
        try:
            opened[version.name] = open_value(keys, version.name, parts[version.digest])
        except SealBroken:
            continue
    return opened
