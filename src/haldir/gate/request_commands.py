"""Commands around a request that may be sent twice: reserve it, keep its answer, let it go, forget it.

A request is reserved before it is carried out, so that of many which are sent at once one is carried out.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from haldir.gate.model import Request
from haldir.journal.command import Command, Decision, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import DAY, SECOND, Micros
from haldir.storage.rows import Find

KEPT: Micros = DAY  # WIRE.md §0: how long a repeated request gets the first one's answer.
LEASE: Micros = 20 * SECOND  # Whoever carries a request out renews it three times in that; silent, it is dead.

State = Literal["run", "held", "answered"]


class Reserved(msgspec.Struct, frozen=True):
    """Who asked is to `run` the request under `op_id`; or somebody has it `held`, or has `answered` it."""

    op_id: str
    state: State


class ReserveRequest(Command, frozen=True, tag="request.reserve"):
    """Take a request, to carry it out under `request_op` or under the op_id it was first taken with.

    One that nobody answered may be taken by whoever holds it already, or once its holder has been silent.
    """

    request: str
    body_digest: str
    request_op: str
    holder: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Request.at(self.request)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        known = rows.get(Request, self.request)
        if known is None or outdated(known, now):
            row = Request(self.request, self.body_digest, self.request_op, now, self.holder, now + LEASE)
            return allow(row, erases=_answer_of(known), result=Reserved(row.op_id, "run"))
        if known.body_digest != self.body_digest:
            return deny("idempotency_key_reused", "This Idempotency-Key was sent before, with another request.")
        if known.answer_digest:
            return allow(result=Reserved(known.op_id, "answered"))
        if known.holder != self.holder and now < known.held_until:
            return allow(result=Reserved(known.op_id, "held"))
        taken = known.but(holder=self.holder, held_until=now + LEASE)
        return allow(taken, result=Reserved(known.op_id, "run"))


class KeepAnswer(Command, frozen=True, tag="request.answer"):
    """Keep what a request was answered with. The first answer stays."""

    request: str
    request_op: str
    answer_digest: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Request.at(self.request)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        known = _open(rows, self.request, self.request_op)
        if known is None:
            return deny("request_closed", "This request is answered, or was let go.")
        return allow(known.but(answer_digest=self.answer_digest))


class ReleaseRequest(Command, frozen=True, tag="request.release"):
    """Hold a request no longer. `forget` frees its name: it was malformed, or nobody may have an answer to it.

    Otherwise it is not known what became of it, so it keeps its op_id for whoever takes it next.
    """

    request: str
    request_op: str
    holder: str
    forget: bool

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Request.at(self.request)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        known = _open(rows, self.request, self.request_op)
        if known is None or known.holder != self.holder:
            return deny("request_closed", "Somebody else holds this request, or it is answered.")
        return allow(drops=(known,)) if self.forget else allow(known.but(held_until=now))


class ForgetRequests(Command, frozen=True, tag="request.forget"):
    """Erase requests, with their answers, of those whose time is over."""

    requests: tuple[str, ...]

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from map(Request.at, self.requests)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        known = [rows.get(Request, digest) for digest in self.requests]
        over = [row for row in known if row is not None and outdated(row, now)]
        return allow(drops=tuple(over), erases=tuple(digest for row in over for digest in _answer_of(row)))


def outdated(request: Request, now: Micros) -> bool:
    """Tell whether the time is over in which this request, sent again, would be the same one."""
    return now >= request.reserved_at + KEPT


def _open(rows: WorkingSet, request: str, op_id: str) -> Request | None:
    """Return a request that is under way under this name."""
    known = rows.get(Request, request)
    return known if known is not None and known.op_id == op_id and not known.answer_digest else None


def _answer_of(known: Request | None) -> tuple[str, ...]:
    return (known.answer_digest,) if known is not None and known.answer_digest else ()
