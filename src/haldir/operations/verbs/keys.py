"""API keys: create, list, revoke."""

import hmac

import msgspec

from haldir.gate.commands import CreateKey, RevokeKey, SetKeyHeld
from haldir.gate.model import ApiKey, HeldSetting, KeyUse
from haldir.gate.scopes import ADMINISTERING, parse_key_scopes
from haldir.kernel import ids, strict_json
from haldir.kernel.clock import Micros, unix_seconds
from haldir.kernel.errors import InvalidPrefix, InvalidRequest, InvalidScope, NotFound, Refused, Unauthenticated
from haldir.operations.authenticate import require_scope
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import all_rows
from haldir.operations.outcomes import allowed
from haldir.operations.tenants import create_tenant

NAME_CHARS_MAX = 128
TIER = "free"  # WIRE.md §1: published clients read it; self-hosted Haldir has no plans.
SHOWN_ONCE = "Store this key now: it is shown once."


class CreateKeyRequest(msgspec.Struct, frozen=True):
    """`scopes`: a list, a comma-separated string or a JSON list in a string; absent means everything.

    `held`: how a call by MCP that waits for a person comes back to its bearer, and to the sessions it opens.
    """

    name: str = "default"
    scopes: list[str] | str | None = None
    bootstrap_token: str | None = None
    held: HeldSetting = "auto"


class KeyCreated(msgspec.Struct, frozen=True):
    key: str
    prefix: str
    name: str
    tier: str
    scopes: tuple[str, ...]
    message: str


class ListKeysRequest(msgspec.Struct, frozen=True):
    pass


class KeyShown(msgspec.Struct, frozen=True):
    """`last_used` is right to the minute; null is never."""

    prefix: str
    name: str
    tier: str
    scopes: tuple[str, ...]
    created_at: float
    revoked: bool
    last_used: float | None = None
    held: HeldSetting = "auto"
    created_by: str = ""


class KeysListed(msgspec.Struct, frozen=True):
    keys: list[KeyShown]
    count: int


class SetKeyHeldRequest(msgspec.Struct, frozen=True):
    """`auto`: as the client can; `input` and `stream` where it can, else `plain`."""

    prefix: str
    held: HeldSetting


class KeyHeldSet(msgspec.Struct, frozen=True):
    prefix: str
    held: HeldSetting


class RevokeKeyRequest(msgspec.Struct, frozen=True):
    prefix: str


class KeyRevoked(msgspec.Struct, frozen=True):
    revoked: bool
    prefix: str


async def create_key(ctx: Context, caller: Caller | None, request: CreateKeyRequest) -> KeyCreated:
    """Make a key in the caller's tenant; with the bootstrap token, a new tenant with its first key."""
    scopes = _scopes(request.scopes)
    if not request.name or len(request.name) > NAME_CHARS_MAX:
        raise InvalidRequest(f"a name is 1 to {NAME_CHARS_MAX} characters", "name")
    if caller is None:
        _require_bootstrap(ctx, request.bootstrap_token)
        if request.held != "auto":
            raise InvalidRequest("the first key of a tenant is made without `held`; set it with the key", "held")
        made = await create_tenant(ctx, ctx.new_op(), request.name, request.name, scopes)
        return _created(made.key.reveal(), request.name, scopes)
    await require_scope(ctx, caller, ADMINISTERING, "create_key")
    op_id = ctx.new_op()
    key = ctx.keyring.mint("hld", op_id).reveal()
    command = CreateKey(
        op_id=op_id,
        asked_by=caller.credential,
        prefix=key[: ids.KEY_PREFIX_CHARS],
        sha256=ids.credential_sha256(key),
        name=request.name,
        scopes=scopes,
        held=request.held,
    )
    await allowed(ctx, caller.tenant, command)
    return _created(key, request.name, scopes)


async def list_keys(ctx: Context, caller: Caller, _request: ListKeysRequest) -> KeysListed:
    """List the tenant's keys by prefix, newest first; never the keys themselves."""
    rows = sorted(await all_rows(ctx, caller.tenant, ApiKey), key=lambda row: row.created_at, reverse=True)
    used = {row.prefix: row.last_used_at for row in await all_rows(ctx, caller.tenant, KeyUse)}
    keys = [_shown(row, max(used.get(row.prefix, 0), ctx.key_uses.last(caller.tenant, row.prefix))) for row in rows]
    return KeysListed(keys, len(keys))


async def revoke_key(ctx: Context, caller: Caller, request: RevokeKeyRequest) -> KeyRevoked:
    """End a key, from the next decision on, on every replica."""
    _check_prefix(request.prefix)
    await _changed(ctx, caller, RevokeKey(op_id=ctx.new_op(), asked_by=caller.credential, prefix=request.prefix))
    return KeyRevoked(revoked=True, prefix=request.prefix)


async def set_key_held(ctx: Context, caller: Caller, request: SetKeyHeldRequest) -> KeyHeldSet:
    """Say how a call by MCP that waits for a person comes back to a key, and to the sessions it opened."""
    _check_prefix(request.prefix)
    command = SetKeyHeld(op_id=ctx.new_op(), asked_by=caller.credential, prefix=request.prefix, held=request.held)
    await _changed(ctx, caller, command)
    return KeyHeldSet(request.prefix, request.held)


def _check_prefix(prefix: str) -> None:
    if len(prefix) != ids.KEY_PREFIX_CHARS:
        raise InvalidPrefix(f"a prefix is the first {ids.KEY_PREFIX_CHARS} characters of a key", "prefix")


async def _changed(ctx: Context, caller: Caller, command: RevokeKey | SetKeyHeld) -> None:
    try:
        await allowed(ctx, caller.tenant, command)
    except Refused as refused:
        if refused.code == "key_not_found":
            raise NotFound(refused.message) from refused
        raise


def _shown(row: ApiKey, last_used_at: Micros) -> KeyShown:
    return KeyShown(
        row.prefix,
        row.name,
        TIER,
        row.scopes,
        unix_seconds(row.created_at),
        row.revoked_at is not None,
        unix_seconds(last_used_at) if last_used_at else None,
        row.held,
        row.created_by,
    )


def _require_bootstrap(ctx: Context, token: str | None) -> None:
    expected = ctx.bootstrap_token
    if expected is None or token is None or not hmac.compare_digest(token.encode(), expected.reveal().encode()):
        raise Unauthenticated("A key is needed to make a key; a new tenant needs the operator's bootstrap token.")


def _scopes(given: list[str] | str | None) -> tuple[str, ...]:
    if given is None:
        return ("*",)
    if isinstance(given, str):
        given = _listed(given) if given.lstrip().startswith("[") else given.split(",")
    return parse_key_scopes(given)


def _listed(text: str) -> list[str]:
    try:
        found = strict_json.decode(text.encode())
    except strict_json.Malformed as error:
        raise InvalidScope(f"scopes hold a list that cannot be read: {error.reason}", "scopes") from None
    if not all(isinstance(scope, str) for scope in found):
        raise InvalidScope("scopes must be texts", "scopes")
    return list(found)


def _created(key: str, name: str, scopes: tuple[str, ...]) -> KeyCreated:
    return KeyCreated(key, key[: ids.KEY_PREFIX_CHARS], name, TIER, scopes, SHOWN_ONCE)


OPERATIONS = (
    Operation(
        name="create_key",
        method="POST",
        path="/v1/keys",
        summary="Create an API key",
        scope=None,  # Asked for inside: the bootstrap token comes without any.
        request=CreateKeyRequest,
        response=KeyCreated,
        run=create_key,
        status=201,
        refusals=("insufficient_scope", "exists"),
        anonymous=True,
        tag="keys",
    ),
    Operation(
        name="list_keys",
        method="GET",
        path="/v1/keys",
        summary="List API keys",
        scope="admin:read",
        request=ListKeysRequest,
        response=KeysListed,
        run=list_keys,
        tag="keys",
    ),
    Operation(
        name="revoke_key",
        method="DELETE",
        path="/v1/keys/{prefix}",
        summary="Revoke an API key",
        scope="admin:write",
        request=RevokeKeyRequest,
        response=KeyRevoked,
        run=revoke_key,
        refusals=("last_admin",),
        tag="keys",
    ),
    Operation(
        name="set_key_held",
        method="PUT",
        path="/v1/keys/{prefix}/held",
        summary="Say how held calls come back to a key",
        scope="admin:write",
        request=SetKeyHeldRequest,
        response=KeyHeldSet,
        run=set_key_held,
        tag="keys",
    ),
)
