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


class Refusal(msgspec.Struct, frozen=True):
    """What tells one kind of refusal from another."""

    tenant: TenantId
    credential: CredentialRef
    operation: str
    code: str
    reason: str


class Tally(msgspec.Struct):
    since: Micros
    count: int = 0


class RefusalLog:
    """Writes refusals to the log, at a bounded rate."""

    def __init__(self, journal: Journal, clock: Clock, new_op: Callable[[], OpId]) -> None:
        self._journal, self._clock, self._new_op = journal, clock, new_op
        self._tallies: dict[Refusal, Tally] = {}

    async def record(self, caller: Caller, operation: str, code: str, reason: str) -> None:
        """Record one refusal. Raises Unavailable if it cannot be stored: then the caller is told that."""
        refusal = Refusal(caller.tenant, caller.credential, operation, code, reason)
        now = self._clock()
        tally = self._tallies.get(refusal)
        if tally is None or now - tally.since >= MINUTE:
            await self._close(refusal)
            if len(self._tallies) >= KINDS_MAX:
                await self._close(next(iter(self._tallies)))
            tally = self._tallies[refusal] = Tally(now)
        tally.count += 1
        if tally.count <= SINGLE_ENTRIES_PER_MINUTE:
            await self._write(refusal, 1)

    async def flush(self, *, everything: bool = False) -> None:
        """Write the counts of minutes that are over, or of all of them."""
        now = self._clock()
        for refusal, tally in list(self._tallies.items()):
            if everything or now - tally.since >= MINUTE:
                await self._close(refusal)

    async def _close(self, refusal: Refusal) -> None:
        tally = self._tallies.pop(refusal, None)
        if tally is not None and tally.count > SINGLE_ENTRIES_PER_MINUTE:
            await self._write(refusal, tally.count - SINGLE_ENTRIES_PER_MINUTE)

    async def _write(self, refusal: Refusal, count: int) -> None:
        command = RecordRefusal(
            op_id=self._new_op(),
            asked_by=refusal.credential,
            operation=refusal.operation,
            code=refusal.code,
            reason=refusal.reason,
            session_id=refusal.credential.id if refusal.credential.kind == "session" else "",
            count=count,
        )
        await self._journal.apply(refusal.tenant, command)
