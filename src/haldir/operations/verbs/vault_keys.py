"""The tenant's key, which wraps the keys of its secrets: list its versions, rotate it."""

import msgspec

from haldir.kernel import canonical
from haldir.kernel.clock import unix_seconds
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import all_rows
from haldir.operations.rotation import rehearse, rotate
from haldir.operations.wire import StatusResponse
from haldir.vault.model import FIRST_KEY_VERSION, TenantKey, TenantKeyVersions
from haldir.vault.queries import first_key, key_census

MULTI_STATUS = 207  # WIRE.md §3: some secrets could not be rotated.


class ListVaultKeysRequest(msgspec.Struct, frozen=True):
    pass


class VaultKeyShown(msgspec.Struct, frozen=True):
    """`secrets` is how many secrets this version opens; the `current` one seals whatever is new."""

    version: int
    current: bool
    created_at: float
    secrets: int


class VaultKeysListed(msgspec.Struct, frozen=True):
    keys: list[VaultKeyShown]
    count: int
    total_secrets: int


class RotateVaultKeyRequest(msgspec.Struct, frozen=True):
    """`dry_run` says what would be rotated and changes nothing."""

    dry_run: bool = False


class RotationSummary(msgspec.Struct, frozen=True):
    rotated: int
    failed: int


class VaultKeyRotated(msgspec.Struct, frozen=True):
    """Names of the secrets whose keys are wrapped with the new version; those that `failed` cannot be opened."""

    dry_run: bool
    key_version: int
    rotated: list[str]
    failed: list[str]
    summary: RotationSummary


async def list_vault_keys(ctx: Context, caller: Caller, _request: ListVaultKeysRequest) -> VaultKeysListed:
    """List the versions of the tenant's key, and how many secrets each opens; never the keys."""
    first = await first_key(ctx.store, caller.tenant)
    assert first is not None
    versions = [TenantKey(FIRST_KEY_VERSION, first.digest, first.created_at)]
    for row in await all_rows(ctx, caller.tenant, TenantKeyVersions):
        versions += row.later
    census = await key_census(ctx.store, caller.tenant)
    keys = [
        VaultKeyShown(key.version, key is versions[-1], unix_seconds(key.created_at), census.get(key.version, 0))
        for key in versions
    ]
    return VaultKeysListed(keys, len(keys), sum(census.values()))


async def rotate_vault_key(
    ctx: Context, caller: Caller, request: RotateVaultKeyRequest
) -> VaultKeyRotated | StatusResponse:
    """Make a new version of the tenant's key and wrap the keys of all secrets with it; they stay readable."""
    rotation = await rehearse(ctx, caller.tenant) if request.dry_run else await rotate(ctx, caller)
    summary = RotationSummary(len(rotation.rotated), len(rotation.failed))
    rotated = VaultKeyRotated(request.dry_run, rotation.key_version, rotation.rotated, rotation.failed, summary)
    return StatusResponse(MULTI_STATUS, msgspec.Raw(canonical.encode(rotated))) if rotation.failed else rotated


OPERATIONS = (
    Operation(
        name="list_vault_keys",
        method="GET",
        path="/v1/vault/keys",
        summary="List the versions of the key that wraps the keys of secrets",
        scope="vault:read",
        request=ListVaultKeysRequest,
        response=VaultKeysListed,
        run=list_vault_keys,
        tag="vault",
    ),
    Operation(
        name="rotate_vault_key",
        method="POST",
        path="/v1/vault/rotate",
        summary="Rotate the key that wraps the keys of secrets",
        scope="vault:rotate",
        request=RotateVaultKeyRequest,
        response=VaultKeyRotated,
        run=rotate_vault_key,
        from_query=("dry_run",),
        refusals=("rotations_exhausted",),
        tag="vault",
    ),
)
