"""A new version of the tenant's key, and the keys of all secrets wrapped with it, while everything stays readable.

After a crash at any line each secret opens by the version that its part names; what was not reached is wrapped anew
by the next rotation. Earlier versions of the key stay, for the parts that are sealed with them.
"""

from collections.abc import Sequence

import msgspec

from haldir.kernel.errors import Unavailable
from haldir.kernel.ids import TenantId
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.operations.outcomes import accepted
from haldir.storage.rows import Part
from haldir.vault.commands import RewrapSecrets, RotateTenantKey, WrappedSecret
from haldir.vault.envelope import wrap_anew
from haldir.vault.model import SecretVersion
from haldir.vault.queries import wrapped_before
from haldir.vault.seal import SealBroken
from haldir.vault.tenant_keys import TenantKeys

SECRETS_AT_ONCE = 32  # With values of 64 KiB, 2 MB travel beside one command.
TRIES = 5  # Keys are rotated by hand: even two at once are rare.
REWRAP_TRIES = 20  # Five to come down to a single secret, and then somebody stores that one again and again.
KEPT_CHANGING = "The secrets kept changing while their keys were wrapped; what was done stays, ask again for the rest."


class Rotation(msgspec.Struct):
    """What became of the secrets, by name; those that `failed` could not be opened and are as they were."""

    key_version: int
    rotated: list[str] = []
    failed: list[str] = []


class Wrapped(msgspec.Struct, frozen=True):
    """Versions whose parts were wrapped anew, and those that could not be opened."""

    versions: list[SecretVersion]
    parts: list[Part]
    unopened: list[SecretVersion]


async def rotate(ctx: Context, caller: Caller) -> Rotation:
    """Make the next version of the tenant's key and wrap the keys of all secrets with it. Raises Refused."""
    await _new_version(ctx, caller)
    return await _rewrap_all(ctx, caller)


async def rehearse(ctx: Context, tenant: TenantId) -> Rotation:
    """Return what a rotation would come to, and change nothing."""
    keys = await ctx.keyring.tenant(tenant)
    rotation = Rotation(keys.newest + 1)
    after = ""
    while page := await wrapped_before(ctx.store, tenant, rotation.key_version, after, SECRETS_AT_ONCE):
        after = page[-1].name
        wrapped = await _wrapped(ctx, keys, page)
        rotation.rotated += [version.name for version in wrapped.versions]
        rotation.failed += await _still_unopened(ctx, tenant, wrapped.unopened)
    return rotation


async def _new_version(ctx: Context, caller: Caller) -> None:
    op_id = ctx.new_op()
    part = ctx.keyring.new_data_key(op_id, caller.tenant)
    for _ in range(TRIES):
        ctx.keyring.forget(
            caller.tenant
        )  # Before, for another replica may have rotated; and after, to have the new one.
        version = (await ctx.keyring.tenant(caller.tenant)).newest + 1
        command = RotateTenantKey(op_id=op_id, asked_by=caller.credential, version=version, digest=part.digest)
        outcome = await ctx.journal.apply(caller.tenant, command, [part])
        if not outcome.stale:
            accepted(outcome)
            ctx.keyring.forget(caller.tenant)
            return
    raise Unavailable("The tenant's key is being rotated by others; nothing was changed.")


async def _rewrap_all(ctx: Context, caller: Caller) -> Rotation:
    """Wrap page after page. Where one changed meanwhile, smaller pages: a page of one is stale only if it moved on."""
    tenant, after, at_once, tries = caller.tenant, "", SECRETS_AT_ONCE, 0
    keys = await ctx.keyring.tenant(tenant)
    rotation = Rotation(keys.newest)
    while page := await wrapped_before(ctx.store, tenant, keys.newest, after, at_once):
        wrapped = await _wrapped(ctx, keys, page)
        if await _replaced(ctx, caller, keys.newest, wrapped):
            rotation.rotated += [version.name for version in wrapped.versions]
            rotation.failed += await _still_unopened(ctx, tenant, wrapped.unopened)
            after, at_once, tries = page[-1].name, min(2 * at_once, SECRETS_AT_ONCE), 0
            continue
        at_once, tries = max(1, at_once // 2), tries + 1
        if tries == REWRAP_TRIES:
            raise Unavailable(KEPT_CHANGING)
        ctx.keyring.forget(tenant)  # Another rotation may have begun: then this one goes on with its version.
        keys = await ctx.keyring.tenant(tenant)
        rotation.key_version = keys.newest
    return rotation


async def _wrapped(ctx: Context, keys: TenantKeys, versions: Sequence[SecretVersion]) -> Wrapped:
    found = await ctx.store.load(keys.tenant, Part, Part.TABLE.key, [(version.digest,) for version in versions])
    sealed = {part.digest: part for part in found if isinstance(part, Part)}
    wrapped = Wrapped([], [], [])
    for version in versions:
        try:
            part = wrap_anew(keys, version.name, sealed[version.digest])
        except (SealBroken, KeyError):
            wrapped.unopened.append(version)
        else:
            wrapped.versions.append(version)
            wrapped.parts.append(part)
    return wrapped


async def _replaced(ctx: Context, caller: Caller, key_version: int, wrapped: Wrapped) -> bool:
    """Store what was wrapped anew; tell whether it was still so that it could be."""
    if not wrapped.parts:
        return True
    command = RewrapSecrets(
        op_id=ctx.new_op(),
        asked_by=caller.credential,
        key_version=key_version,
        wrapped=tuple(WrappedSecret(version.name, version.version) for version in wrapped.versions),
    )
    outcome = await ctx.journal.apply(caller.tenant, command, wrapped.parts)
    if not outcome.stale:
        accepted(outcome)
    return not outcome.stale


async def _still_unopened(ctx: Context, tenant: TenantId, versions: Sequence[SecretVersion]) -> list[str]:
    """Return the names without those whose value was replaced or erased meanwhile."""
    return [
        each.name for each in versions if await find_row(ctx, tenant, SecretVersion, each.name, each.version) == each
    ]
