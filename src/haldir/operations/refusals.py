"""Refusals outside decisions, recorded: an authenticated caller asked for what it may not.

Up to ten of a kind per credential and minute have an entry each; then one entry carries their count, so
that a caller gone mad fills no log.
"""

from collections.abc import Callable, Iterable

import msgspec

from haldir.journal.command import Command, CredentialRef, Decision, Subject, deny
from haldir.journal.journal import Journal
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import MINUTE, Clock, Micros
from haldir.kernel.errors import Unavailable
from haldir.kernel.ids import OpId, TenantId
from haldir.operations.caller import Caller
from haldir.storage.rows import Find

SINGLE_ENTRIES_PER_MINUTE = 10  # DESIGN.md §2: more of the same kind says nothing new.
KINDS_MAX = 10_000  # Credentials and codes remembered at once; the oldest is written out and forgotten.


class RecordRefusal(Command, frozen=True, tag="refusal.record"):
    """Say in the log that a caller was refused `operation`, `count` times."""

    operation: str
    code: str
    reason: str
    session_id: str = ""
    count: int = 1

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return deny(self.code, self.reason, Subject(self.session_id))


class Kind(msgspec.Struct, frozen=True):
    """What is counted together. Nothing in it is of the caller's choosing, or it could make kinds without end."""

    tenant: TenantId
    credential: CredentialRef
    code: str


class Tally(msgspec.Struct):
    """Refusals of a kind within a minute, and what the latest of them was.

    `op_id` is that of the entry with their count: where that could not be stored, it is asked for again.
    """

    since: Micros
    op_id: OpId
    operation: str = ""
    reason: str = ""
    count: int = 0


class RefusalLog:
    """Writes refusals to the log, at a bounded rate."""

    def __init__(self, journal: Journal, clock: Clock, new_op: Callable[[], OpId]) -> None:
        self._journal, self._clock, self._new_op = journal, clock, new_op
        self._tallies: dict[Kind, Tally] = {}

    async def record(self, caller: Caller, operation: str, code: str, reason: str) -> None:
        """Record one refusal. Raises Unavailable if it cannot be stored: then the caller is told that."""
        kind = Kind(caller.tenant, caller.credential, code)
        now = self._clock()
        tally = self._tallies.get(kind)
        if tally is None or now - tally.since >= MINUTE:
            await self._close(kind)
            if len(self._tallies) >= KINDS_MAX:
                await self._close(next(iter(self._tallies)))
            tally = self._tallies[kind] = Tally(now, self._new_op())
        tally.count += 1
        tally.operation, tally.reason = operation, reason
        if tally.count <= SINGLE_ENTRIES_PER_MINUTE:
            await self._write(kind, tally, self._new_op(), 1)

    async def flush(self, *, everything: bool = False) -> None:
        """Write the counts of minutes that are over, or of all of them. Raises Unavailable if one stays unwritten."""
        now, failure = self._clock(), None
        for kind, tally in list(self._tallies.items()):
            if everything or now - tally.since >= MINUTE:
                try:
                    await self._close(kind)
                except Unavailable as error:  # Another tenant's log may be well.
                    failure = error
        if failure is not None:
            raise failure

    async def _close(self, kind: Kind) -> None:
        tally = self._tallies.pop(kind, None)
        if tally is None or tally.count <= SINGLE_ENTRIES_PER_MINUTE:
            return
        try:
            await self._write(kind, tally, tally.op_id, tally.count - SINGLE_ENTRIES_PER_MINUTE)
        except Unavailable:
            self._tallies.setdefault(kind, tally)  # For the next time, unless another minute has begun.
            raise

    async def _write(self, kind: Kind, tally: Tally, op_id: OpId, count: int) -> None:
        command = RecordRefusal(
            op_id=op_id,
            asked_by=kind.credential,
            operation=tally.operation,
            code=kind.code,
            reason=tally.reason,
            session_id=kind.credential.id if kind.credential.kind == "session" else "",
            count=count,
        )
        await self._journal.apply(kind.tenant, command)
