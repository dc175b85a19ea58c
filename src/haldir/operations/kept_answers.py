"""The answer to a request, kept for its retries: sealed with what only whoever sent the request knows.

The key comes out of the tenant's keys and the Idempotency-Key, which is stored nowhere: without the client not even
a backup with its root key opens an answer. Minted credentials are left out, and derived again from their op_id.
"""

import itertools
import secrets
from collections.abc import Iterator

import msgspec

from haldir.kernel import canonical
from haldir.kernel.ids import OpId, TenantId, later_op
from haldir.kernel.secret import Secret
from haldir.operations.context import Context
from haldir.storage.rows import Part
from haldir.vault.seal import SealBroken, binding, seal, unseal
from haldir.webhooks.signing import secret_from

ANSWER_BYTES_MAX = 4 << 20  # Half of what one commit writes; a larger answer is given once and not kept.
WEBHOOK_SECRET = "whsec"  # noqa: S105 - a kind of credential, no credential.
MINTED_KINDS = ("hld", "hla", "hst", WEBHOOK_SECRET)
OPS_SEARCHED_MAX = 4  # Op_ids of one request that a credential is looked for by; no verb mints with a later one.

Header = tuple[bytes, bytes]


class Answer(msgspec.Struct, frozen=True):
    """What a request is answered with. The headers are for the first time only: none of them is kept.

    One that is not `final` is kept for nobody: the same request waits for a person, and may be answered otherwise.
    """

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()
    final: bool = True


async def seal_answer(ctx: Context, tenant: TenantId, op_id: OpId, name: str, answer: Answer) -> Part | None:
    """Return an answer as a part that `open_answer` opens with the same name, or None if it is too large."""
    if len(answer.body) > ANSWER_BYTES_MAX:
        return None
    body = answer.body
    for place, credential in _minted(ctx, op_id):
        body = body.replace(credential, place)
    keys = await ctx.keyring.tenant(tenant)
    key = Secret(bytes.fromhex(keys.digest("request.seal", _key_of(op_id, name))))
    sealed = seal(key, msgspec.msgpack.encode((answer.status, body)), _bound_to(tenant, op_id), secrets.token_bytes)
    return keys.seal(sealed, "request.answer")


async def open_answer(ctx: Context, tenant: TenantId, op_id: OpId, name: str, part: Part) -> Answer:
    """Return what was sealed. Raises SealBroken."""
    keys = await ctx.keyring.opening(tenant, [part])
    key = Secret(bytes.fromhex(keys.digest("request.seal", _key_of(op_id, name))))
    opened = unseal(key, keys.open(part), _bound_to(tenant, op_id))
    try:
        status, body = msgspec.msgpack.decode(opened, type=tuple[int, bytes])
    except msgspec.DecodeError:
        raise SealBroken("A kept answer cannot be read.") from None
    for place, credential in _minted(ctx, op_id):
        body = body.replace(place, credential)
    return Answer(status, body)


def _minted(ctx: Context, op_id: OpId) -> Iterator[tuple[bytes, bytes]]:
    """Yield each credential that this request may have minted, after what stands for it: no JSON text has a NUL."""
    for kind, number in itertools.product(MINTED_KINDS, range(OPS_SEARCHED_MAX)):
        minted = ctx.keyring.mint(kind, later_op(op_id, number))
        credential = secret_from(minted) if kind == WEBHOOK_SECRET else minted
        yield f"\0{kind} {number}\0".encode(), credential.reveal().encode()


def _key_of(op_id: OpId, name: str) -> bytes:
    return canonical.encode((op_id, name))


def _bound_to(tenant: TenantId, op_id: OpId) -> bytes:
    return binding("answer", tenant, op_id)
