"""A request that its client named by an Idempotency-Key is carried out once, and every time answered alike.

It is reserved before anything happens and carried out under op_ids that stay its own. So a crash at any line leaves
either its answer, or a reservation: then the next retry carries it out again, and the journal recalls what was done.
"""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import msgspec

from haldir.gate.model import Request
from haldir.gate.request_commands import LEASE, KeepAnswer, ReleaseRequest, Reserved, ReserveRequest, outdated
from haldir.journal.command import SYSTEM, CredentialRef
from haldir.kernel import canonical
from haldir.kernel.clock import SECOND
from haldir.kernel.errors import AnswerLost, Conflict, HaldirError, Refused, RequestInProgress, Unavailable
from haldir.kernel.ids import OpId, TenantId
from haldir.operations.caller import Caller
from haldir.operations.context import Context, RequestOps, new_op
from haldir.operations.kept_answers import Answer, open_answer, seal_answer
from haldir.operations.living import find_row
from haldir.operations.outcomes import allowed, allowed_result
from haldir.storage.rows import Part

WAIT_SECONDS_MAX = 60.0  # For an answer that another request will bring; clients seldom wait longer themselves.
LOOK_SECONDS, LOOK_SECONDS_MAX = 0.05, 1.0  # Between looks at what another replica does, doubling.
RENEW_SECONDS = LEASE / SECOND / 3
FAULTS_FROM = 500  # It is not known what became of such a request: it may be sent again.
NO_ANSWERS = frozenset({400, 401, 408, 413, 429})  # Nothing was decided, or for nobody: the name stays free.

_log = logging.getLogger(__name__)


class Named(msgspec.Struct, frozen=True):
    """A request as its client named it: `name` is the Idempotency-Key, `says` the request's canonical bytes."""

    path: str
    name: str
    says: bytes


class Reservation(msgspec.Struct, frozen=True):
    """A named request in the book of a tenant, and who asks."""

    tenant: TenantId
    asked_by: CredentialRef
    name: str
    digest: str
    body_digest: str


class Work(msgspec.Struct, frozen=True):
    """How a request is carried out, and how an answer is made of an error."""

    run: Callable[[Context], Awaitable[Answer]]
    refuse: Callable[[HaldirError], Answer]


Answered = tuple[Answer, bool]  # Whether it is the answer of another time comes second.


async def answered_once(ctx: Context, caller: Caller, named: Named, work: Work) -> Answered:
    """Return the answer to a request, by carrying it out or from another time that it was sent in these 24 hours.

    Raises Refused if another request was sent under this name, and RequestInProgress if one under way does not end.
    """
    keys = await ctx.keyring.tenant(caller.tenant)
    asked = canonical.encode((str(caller.credential), named.path, named.name))
    digest, body_digest = keys.digest("request", asked), keys.digest("request.body", named.says)
    running = ctx.requests.running.get((caller.tenant, digest, body_digest))
    if running is None:
        reservation = Reservation(caller.tenant, caller.credential, named.name, digest, body_digest)
        return await asyncio.shield(_begun(ctx, reservation, work))
    try:
        answer, _ = await asyncio.wait_for(asyncio.shield(running), WAIT_SECONDS_MAX)
    except TimeoutError:
        raise RequestInProgress("The same request is still under way.") from None
    return answer, True


async def answered_alike(ctx: Context, named: Named, work: Work) -> Answer:
    """Answer a stranger, who has no log to reserve in: by the name alone the op_ids are the same each time, for ever.

    Raises HaldirError, among them Refused if another request was sent under this name.
    """
    ops = RequestOps(ctx.keyring.op_named(canonical.encode((named.path, named.name))))
    try:
        return await work.run(msgspec.structs.replace(ctx, ops=ops))
    except Conflict:
        raise Refused("idempotency_key_reused", "This Idempotency-Key was sent before, with another request.") from None


def _begun(ctx: Context, reservation: Reservation, work: Work) -> "asyncio.Task[Answered]":
    """Begin to answer a request, to the end even if its client goes away; others who send it wait for this."""
    task = asyncio.create_task(_answered(ctx, reservation, work))
    place = (reservation.tenant, reservation.digest, reservation.body_digest)
    ctx.requests.running[place] = task
    ctx.in_flight.add(task)

    def ended(task: "asyncio.Task[Answered]") -> None:
        ctx.in_flight.discard(task)
        del ctx.requests.running[place]
        if not task.cancelled():
            task.exception()  # Whoever waits for it hears of it; if nobody does, it is no loose end.

    task.add_done_callback(ended)
    return task


async def _answered(ctx: Context, reservation: Reservation, work: Work) -> Answered:
    """Take the request and carry it out, or wait for the answer of the replica that has it."""
    look_seconds, waited_seconds = LOOK_SECONDS, 0.0
    while waited_seconds < WAIT_SECONDS_MAX:
        row = await find_row(ctx, reservation.tenant, Request, reservation.digest)
        if answer := await _kept(ctx, reservation, row):
            return answer, True
        if row is None or not _is_held(ctx, row) or row.body_digest != reservation.body_digest:
            reserved = await _reserve(ctx, reservation)
            if reserved.state == "run":
                return await _carried_out(ctx, reservation, OpId(reserved.op_id), work)
        await asyncio.sleep(look_seconds)
        waited_seconds += look_seconds
        look_seconds = min(2 * look_seconds, LOOK_SECONDS_MAX)
    raise RequestInProgress("The same request is still under way, on another replica.")


def _is_held(ctx: Context, row: Request) -> bool:
    """Tell whether to leave a request to its holder, as far as this clock tells; the head's clock decides."""
    now = ctx.clock()
    return row.holder != ctx.requests.holder and now < row.held_until and not outdated(row, now)


async def _kept(ctx: Context, reservation: Reservation, row: Request | None) -> Answer | None:
    """Return the answer that stands in a row, if it is one to this request: a read, which leaves no entry."""
    if row is None or not row.answer_digest or row.body_digest != reservation.body_digest:
        return None
    if outdated(row, ctx.clock()):
        return None
    part = await find_row(ctx, reservation.tenant, Part, row.answer_digest)
    if part is None:
        return None  # Erased between two looks.
    return await open_answer(ctx, reservation.tenant, OpId(row.op_id), reservation.name, part)


async def _reserve(ctx: Context, reservation: Reservation) -> Reserved:
    command = ReserveRequest(
        op_id=new_op(ctx.clock),
        asked_by=reservation.asked_by,
        request=reservation.digest,
        body_digest=reservation.body_digest,
        request_op=new_op(ctx.clock),
        holder=ctx.requests.holder,
    )
    return await allowed_result(ctx, reservation.tenant, command, Reserved)


async def _carried_out(ctx: Context, reservation: Reservation, op_id: OpId, work: Work) -> Answered:
    """Carry a request out under its own op_ids, and keep the answer if it is one."""
    try:
        async with _lease(ctx, reservation):
            answer = await work.run(msgspec.structs.replace(ctx, ops=RequestOps(op_id)))
    except Conflict:  # Done before a crash, and the world has changed: it cannot be asked again alike.
        answer = work.refuse(AnswerLost("This request was carried out before, and its answer was lost."))
    except HaldirError as error:
        answer = work.refuse(error)
    except Exception:
        await _release(ctx, reservation, op_id, forget=False)
        raise
    if answer.final and answer.status < FAULTS_FROM and answer.status not in NO_ANSWERS:
        return await _keep(ctx, reservation, op_id, answer)
    await _release(ctx, reservation, op_id, forget=answer.status < FAULTS_FROM)
    return answer, False


async def _keep(ctx: Context, reservation: Reservation, op_id: OpId, answer: Answer) -> Answered:
    """Keep an answer and return it; or return the one that another replica was faster to keep."""
    part = await seal_answer(ctx, reservation.tenant, op_id, reservation.name, answer)
    if part is None:
        await _release(ctx, reservation, op_id, forget=False)
        return answer, False
    command = KeepAnswer(
        op_id=f"{op_id}.answer", request=reservation.digest, request_op=op_id, answer_digest=part.digest
    )
    try:
        await allowed(ctx, reservation.tenant, command, [part])
    except Unavailable as error:  # It is done, and this is its answer; a retry will find out as after a crash.
        _log.warning("answer_not_kept", extra={"event": {"tenant": reservation.tenant, "code": error.code}})
    except (Refused, Conflict):
        row = await find_row(ctx, reservation.tenant, Request, reservation.digest)
        if row is not None and row.op_id == op_id and (kept := await _kept(ctx, reservation, row)):
            return kept, True
    return answer, False


async def _release(ctx: Context, reservation: Reservation, op_id: OpId, *, forget: bool) -> None:
    """Let a request go, at best: while the store is away it stays held until the lease is over."""
    command = ReleaseRequest(
        op_id=new_op(ctx.clock),
        request=reservation.digest,
        request_op=op_id,
        holder=ctx.requests.holder,
        forget=forget,
    )
    with contextlib.suppress(Unavailable):
        await ctx.journal.apply(reservation.tenant, command)


@contextlib.asynccontextmanager
async def _lease(ctx: Context, reservation: Reservation) -> AsyncIterator[None]:
    """Tell other replicas, for as long as the block lasts, that this one is alive."""
    if not ctx.store.shared:
        yield
        return
    renewing = asyncio.create_task(_renew(ctx, reservation))
    try:
        yield
    finally:
        renewing.cancel()


async def _renew(ctx: Context, reservation: Reservation) -> None:
    held = msgspec.structs.replace(reservation, asked_by=SYSTEM)  # Even if who asked was revoked meanwhile.
    while True:
        await asyncio.sleep(RENEW_SECONDS)
        with contextlib.suppress(Unavailable, Refused):
            await _reserve(ctx, held)
