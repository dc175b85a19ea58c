"""How a tenant comes to be: with its first key and its data key, by one command. Never for a stranger."""

import msgspec

from haldir.gate.commands import CreateTenant
from haldir.kernel import ids
from haldir.kernel.ids import OpId, TenantId
from haldir.kernel.secret import Secret
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed


class NewTenant(msgspec.Struct, frozen=True):
    tenant: TenantId
    key: Secret[str]


FIRST_TENANT = "first_tenant_op"


async def create_tenant(
    ctx: Context, op_id: OpId, name: str, key_name: str, key_scopes: tuple[str, ...] = ("*",)
) -> NewTenant:
    """Make a tenant and return its first key. The same op_id makes the same tenant and key, once."""
    key = ctx.keyring.mint("hld", op_id)
    tenant = ids.tenant_id(key.reveal())
    data_key = ctx.keyring.new_data_key(op_id, tenant)
    command = CreateTenant(
        op_id=op_id,
        name=name,
        data_key_digest=data_key.digest,
        key_prefix=key.reveal()[: ids.KEY_PREFIX_CHARS],
        key_sha256=ids.credential_sha256(key.reveal()),
        key_name=key_name,
        key_scopes=key_scopes,
    )
    await allowed(ctx, tenant, command, [data_key])
    return NewTenant(tenant, key)


async def first_tenant(ctx: Context) -> NewTenant:
    """Make the operator's own tenant unless it stands, and return it with its first key.

    Its op_id is stored before anything else, so that a crash at any line makes neither two tenants nor a lost key.
    """
    op_id = OpId((await ctx.store.put_setting_once(FIRST_TENANT, ctx.new_op().encode())).decode())
    return await create_tenant(ctx, op_id, "default", "admin")
