"""Whose credential is this, and may it ask for that.

Who a credential belongs to never changes, so it is remembered. Whether it still counts is read freshly for
every answer, and decided once more under the log head for every change.
"""

import hmac

import msgspec

from haldir.gate.model import ApiKey
from haldir.gate.scopes import key_covers
from haldir.journal.command import CredentialRef
from haldir.kernel.errors import Forbidden, InsufficientScope, Refused, Unauthenticated
from haldir.kernel.ids import credential_sha256
from haldir.operations.acting import acting_session, in_living_session
from haldir.operations.books import KnownCredential
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.living import require_alive

CREDENTIAL_CHARS_MAX = 256  # Ours have 47; nothing longer is worth hashing.
TOOL_CALL_SCOPE = "proxy:write"


async def authenticate(ctx: Context, bearer: str | None, session_id: str | None) -> Caller:
    """Return who bears this credential. `session_id` is the session an API key names to act in."""
    caller = msgspec.structs.replace(await identify(ctx, bearer), session_id=session_id)
    if caller.is_key:
        return caller
    try:  # Agents and tokens act in their own session and cannot choose another.
        return msgspec.structs.replace(caller, session_id=await acting_session(ctx, caller))
    except Refused as refused:
        raise Unauthenticated(refused.message) from refused


async def identify(ctx: Context, bearer: str | None) -> Caller:
    """Return whose credential this is, in no session. Raises Unauthenticated if it is nobody's."""
    if not bearer:
        raise Unauthenticated("No credential was sent.")
    sha256 = credential_sha256(bearer) if len(bearer) <= CREDENTIAL_CHARS_MAX else ""
    known = ctx.directory.get(sha256) or await _look_up(ctx, sha256)
    if known is None:
        raise Unauthenticated("Invalid or revoked API key.")
    return Caller(known.tenant, known.credential, known.key_scopes)


def may_ask(caller: Caller, operation: Operation) -> bool:
    """Tell whether `authorize` would let a living caller ask this."""
    if not caller.is_key:
        return operation.session
    return operation.scope is None or key_covers(caller.key_scopes, operation.scope)


async def authorize(ctx: Context, caller: Caller, operation: Operation) -> Caller:
    """Return the caller as it is to be served: an agent in a session that lives.

    A dead credential is refused, as is one that may not ask for this; a missing scope is recorded.
    """
    await _alive(ctx, caller, operation.name)
    if caller.is_key:
        ctx.key_uses.saw(caller.tenant, caller.credential.id, ctx.clock())
    if not caller.is_key:
        if not operation.session:
            reason = "A session can act only as itself; this needs an API key."
            await ctx.refusals.record(caller, operation.name, "insufficient_scope", reason)
            raise Forbidden(reason)
    elif operation.scope is not None:
        await require_scope(ctx, caller, operation.scope, operation.name)
    try:
        return await in_living_session(ctx, caller)
    except Refused as refused:
        raise Unauthenticated(_gone(refused)) from refused


async def _alive(ctx: Context, caller: Caller, operation: str) -> None:
    try:
        await require_alive(ctx, caller, operation)
    except Refused as refused:
        raise Unauthenticated(_gone(refused)) from refused


async def require_scope(ctx: Context, caller: Caller, scope: str, operation: str) -> None:
    """Refuse a key that lacks a scope, and record that."""
    if caller.is_key and not key_covers(caller.key_scopes, scope):
        error = InsufficientScope(scope, caller.key_scopes)
        await ctx.refusals.record(caller, operation, error.code, error.message)
        raise error


def _gone(refused: Refused) -> str:
    return "Invalid or revoked API key." if refused.code == "key_revoked" else refused.message


async def _look_up(ctx: Context, sha256: str) -> KnownCredential | None:
    found = await ctx.store.credential(sha256)
    if found is None:
        return None
    tenant, credential = found
    if not hmac.compare_digest(credential.sha256, sha256):
        return None
    scopes: tuple[str, ...] = ()
    if credential.kind == "key":
        for key in await ctx.store.load(tenant, ApiKey, ApiKey.TABLE.key, [(credential.id,)]):
            assert isinstance(key, ApiKey)
            scopes = key.scopes
    known = KnownCredential(tenant, CredentialRef(credential.kind, credential.id), scopes)
    return ctx.directory.put(sha256, known)
