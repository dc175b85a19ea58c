"""Secrets kept and shown: values are sealed before a command is asked for, and opened only after it was allowed."""

import msgspec

from haldir.kernel.errors import InvalidRequest, Unavailable
from haldir.kernel.ids import TenantId
from haldir.kernel.secret import Secret
from haldir.operations.caller import Caller
from haldir.operations.context import Context
from haldir.operations.living import find_row
from haldir.operations.outcomes import accepted, allowed
from haldir.operations.secret_commands import RevealSecret, SecretRevealed
from haldir.storage.rows import Part
from haldir.vault.commands import DeleteSecret, SecretStored, StoreSecret
from haldir.vault.envelope import open_value, seal_value, secret_digest
from haldir.vault.model import Exposure, SecretVersion, StoredSecret
from haldir.vault.reference import reference

TRIES = 5  # A key is rotated and a secret replaced by hand: even twice while one request is decided is rare.


class SecretShown(msgspec.Struct, frozen=True):
    """What a session gets to see; for a secret that is only injected, the reference that stands for its value."""

    value: Secret[str]
    version: int
    exposure: Exposure


async def store_secret(
    ctx: Context,
    caller: Caller,
    name: str,
    value: Secret[str],
    *,
    scope_required: str,
    upstreams: tuple[str, ...],
    exposure: Exposure,
) -> int:
    """Seal a value and store it; return its version. Raises Refused."""
    op_id = ctx.new_op()
    for _ in range(TRIES):
        keys = await ctx.keyring.tenant(caller.tenant)
        part = seal_value(keys, name, secret_digest(keys, op_id, name, value), value)
        command = StoreSecret(
            op_id=op_id,
            asked_by=caller.credential,
            name=name,
            value_digest=part.digest,
            key_version=part.key_version,
            scope_required=scope_required,
            upstreams=upstreams,
            exposure=exposure,
        )
        outcome = await ctx.journal.apply(caller.tenant, command, [part])
        if not outcome.stale:
            return msgspec.json.decode(accepted(outcome).result, type=SecretStored).version
        ctx.keyring.forget(caller.tenant)  # Another replica rotated the tenant's key.
    raise Unavailable("The tenant's key kept changing while the secret was sealed; nothing was stored.")


async def show_secret(ctx: Context, caller: Caller, name: str, session_id: str | None) -> SecretShown:
    """Return a secret as a session may see it, once that is recorded. Raises Refused.

    Nobody is told that a session is missing for a name there is not.
    """
    op_id = ctx.new_op()
    for _ in range(TRIES):
        sealed = await _sealed(ctx, caller.tenant, name)
        if sealed is not None and session_id is None:
            raise InvalidRequest("a secret is shown to a session: name it in the header X-Session-ID", "session_id")
        command = RevealSecret(
            op_id=op_id,
            asked_by=caller.credential,
            name=name,
            session_id=session_id or "",
            value_digest=sealed.digest if sealed else "",
        )
        outcome = await ctx.journal.apply(caller.tenant, command)
        if not outcome.stale:
            revealed = msgspec.json.decode(accepted(outcome).result, type=SecretRevealed)
            assert sealed is not None
            return SecretShown(await _told(ctx, caller, name, revealed, sealed), revealed.version, revealed.exposure)
    raise Unavailable("The secret kept changing while it was asked for; nothing was shown.")


async def delete_secret(ctx: Context, caller: Caller, name: str) -> None:
    """Erase a secret. Raises Refused."""
    await allowed(ctx, caller.tenant, DeleteSecret(op_id=ctx.new_op(), asked_by=caller.credential, name=name))


async def _told(ctx: Context, caller: Caller, name: str, revealed: SecretRevealed, sealed: Part) -> Secret[str]:
    if revealed.exposure == "inject":
        return Secret(reference(name))
    return open_value(await ctx.keyring.opening(caller.tenant, [sealed]), name, sealed)


async def _sealed(ctx: Context, tenant: TenantId, name: str) -> Part | None:
    """Return the sealed value of a secret as it is committed now; None if there is no such secret."""
    secret = await find_row(ctx, tenant, StoredSecret, name)
    if secret is None or secret.deleted_at is not None:
        return None
    version = await find_row(ctx, tenant, SecretVersion, name, secret.version)
    return await find_row(ctx, tenant, Part, version.digest) if version else None
