"""Secrets: store, get, list, delete."""

from typing import Literal

import msgspec

from haldir.gate.scopes import check_session_scope
from haldir.kernel.clock import unix_seconds
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.ids import UPSTREAM_NAME_CHARS_MAX, is_upstream_name
from haldir.kernel.scopes import covers
from haldir.kernel.secret import Secret
from haldir.operations.caller import Caller
from haldir.operations.catalogue import McpTool, Operation
from haldir.operations.context import Context
from haldir.operations.living import living_session
from haldir.operations.secrets import delete_secret as erase
from haldir.operations.secrets import show_secret, store_secret
from haldir.vault.model import Exposure, StoredSecret
from haldir.vault.queries import list_secrets as read_secrets
from haldir.vault.reference import is_secret_name

VALUE_BYTES_MAX = 64 << 10  # A certificate chain with its key has some 10 KB.
UPSTREAMS_MAX = 64  # Their names stand in the entry.
PAGE_DEFAULT = PAGE_MAX = 10_000  # Published clients know of no pages: who has fewer gets all.
SCOPE_REQUIRED = "read"  # WIRE.md §3: what a secret asks of a session when nobody says.


class StoreSecretRequest(msgspec.Struct, frozen=True):
    """`value` replaces the one that stands under this name.

    `exposure`: `reveal` shows it to sessions that have the scope, `inject` shows them `${secret:NAME}` instead.
    `upstreams`: the only ones it may be filled in for.
    """

    name: str
    value: Secret[str]
    scope_required: str = SCOPE_REQUIRED
    exposure: Literal["inject", "reveal"] = "reveal"
    upstreams: list[str] = []


class SecretStored(msgspec.Struct, frozen=True):
    """`version` counts the values that this name has had."""

    stored: bool
    name: str
    version: int
    scope_required: str
    exposure: Exposure
    upstreams: list[str]


class GetSecretRequest(msgspec.Struct, frozen=True):
    """An API key names the session that is to see the secret here, or in the header X-Session-ID, which wins."""

    name: str
    session_id: str = ""


class SecretRead(msgspec.Struct, frozen=True):
    """`value` of a secret whose exposure is `inject` is the reference that stands for it."""

    name: str
    value: str
    version: int
    exposure: Exposure


class ListSecretsRequest(msgspec.Struct, frozen=True):
    limit: int = PAGE_DEFAULT
    cursor: str = ""


class SecretListed(msgspec.Struct, frozen=True):
    name: str
    version: int
    scope_required: str
    exposure: Exposure
    upstreams: tuple[str, ...]
    created_at: float


class SecretsListed(msgspec.Struct, frozen=True):
    """Names, and in `details` what is known of each; never values."""

    secrets: list[str]
    count: int
    details: list[SecretListed]
    next_cursor: str | None


class DeleteSecretRequest(msgspec.Struct, frozen=True):
    name: str


class SecretDeleted(msgspec.Struct, frozen=True):
    deleted: bool
    name: str


async def add_secret(ctx: Context, caller: Caller, request: StoreSecretRequest) -> SecretStored:
    """Store a value under a name. It is sealed here; no log, entry or error ever has it."""
    _check(request)
    upstreams = sorted(set(request.upstreams))
    version = await store_secret(
        ctx,
        caller,
        request.name,
        request.value,
        scope_required=request.scope_required,
        upstreams=tuple(upstreams),
        exposure=request.exposure,
    )
    return SecretStored(
        stored=True,
        name=request.name,
        version=version,
        scope_required=request.scope_required,
        exposure=request.exposure,
        upstreams=upstreams,
    )


async def get_secret(ctx: Context, caller: Caller, request: GetSecretRequest) -> SecretRead:
    """Show a secret to a session that has its scope; recorded before it is opened."""
    named = (caller.session_id, request.session_id) if caller.is_key else (request.session_id, caller.session_id)
    shown = await show_secret(ctx, caller, request.name, named[0] or named[1] or None)
    return SecretRead(request.name, shown.value.reveal(), shown.version, shown.exposure)


async def list_secrets(ctx: Context, caller: Caller, request: ListSecretsRequest) -> SecretsListed:
    """List secrets by name: all of them to a key, to a session those that its scopes let it use."""
    if not 1 <= request.limit <= PAGE_MAX:
        raise InvalidRequest(f"`limit` is 1 to {PAGE_MAX}", "limit")
    page = await read_secrets(ctx.store, caller.tenant, request.cursor, request.limit + 1)
    rows = await _visible(ctx, caller, page[: request.limit])
    next_cursor = page[request.limit - 1].name if len(page) > request.limit else None
    return SecretsListed([row.name for row in rows], len(rows), [_listed(row) for row in rows], next_cursor)


async def delete_secret(ctx: Context, caller: Caller, request: DeleteSecretRequest) -> SecretDeleted:
    """Erase a secret, value and key. Its entries stay."""
    await erase(ctx, caller, request.name)
    return SecretDeleted(deleted=True, name=request.name)


def _check(request: StoreSecretRequest) -> None:
    if not is_secret_name(request.name):
        raise InvalidRequest(
            "a name is 1 to 128 letters, digits and _ . : @ -, of which the last four begin none", "name"
        )
    size = len(request.value.reveal().encode())
    if not 1 <= size <= VALUE_BYTES_MAX:
        raise InvalidRequest(f"a value is 1 to {VALUE_BYTES_MAX} bytes", "value")
    check_session_scope(request.scope_required, "scope_required")
    if len(request.upstreams) > UPSTREAMS_MAX:
        raise InvalidRequest(f"a secret is bound to at most {UPSTREAMS_MAX} upstreams", "upstreams")
    if not all(is_upstream_name(name) for name in request.upstreams):
        raise InvalidRequest(
            f"the name of an upstream is 1 to {UPSTREAM_NAME_CHARS_MAX} letters, digits, dashes and underscores",
            "upstreams",
        )


async def _visible(ctx: Context, caller: Caller, rows: list[StoredSecret]) -> list[StoredSecret]:
    if caller.is_key or caller.session_id is None:
        return rows
    session = await living_session(ctx, caller, caller.session_id)
    return [row for row in rows if covers(session.scopes, row.scope_required)]


def _listed(row: StoredSecret) -> SecretListed:
    return SecretListed(
        row.name, row.version, row.scope_required, row.exposure, row.upstreams, unix_seconds(row.created_at)
    )


OPERATIONS = (
    Operation(
        name="store_secret",
        method="POST",
        path="/v1/secrets",
        summary="Store a secret",
        scope="vault:write",
        request=StoreSecretRequest,
        response=SecretStored,
        run=add_secret,
        status=201,
        tag="vault",
        mcp=McpTool(name="storeSecret", effect="adds", aliases=("haldir_store_secret",)),
    ),
    Operation(
        name="get_secret",
        method="GET",
        path="/v1/secrets/{name}",
        summary="Show a secret to a session",
        scope="vault:read",
        request=GetSecretRequest,
        response=SecretRead,
        run=get_secret,
        session=True,
        refusals=(
            "secret_not_found",
            "session_not_found",
            "session_expired",
            "session_revoked",
            "agent_revoked",
            "scope_missing",
        ),
        tag="vault",
        mcp=McpTool(name="getSecret", effect="reads", aliases=("haldir_get_secret",)),
    ),
    Operation(
        name="list_secrets",
        method="GET",
        path="/v1/secrets",
        summary="List secrets by name",
        scope="vault:read",
        request=ListSecretsRequest,
        response=SecretsListed,
        run=list_secrets,
        session=True,
        tag="vault",
        mcp=McpTool(name="haldir_list_secrets", effect="reads", aliases=("list_secrets",), stdio_only=True),
    ),
    Operation(
        name="delete_secret",
        method="DELETE",
        path="/v1/secrets/{name}",
        summary="Delete a secret",
        scope="vault:write",
        request=DeleteSecretRequest,
        response=SecretDeleted,
        run=delete_secret,
        refusals=("secret_not_found",),
        tag="vault",
    ),
)
