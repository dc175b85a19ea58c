"""Signing in with an API key. What agents hold is refused, and so is trying one key after another."""

from typing import final

from haldir.faces.minute_counts import MinuteCounts, Who
from haldir.faces.web.visits import Visit, Visitor, Visits
from haldir.gate.visit_commands import BeginVisit, EndVisit
from haldir.kernel.clock import Clock
from haldir.kernel.errors import Forbidden, RateLimited, Unauthenticated
from haldir.kernel.ids import KEY_PREFIX_CHARS
from haldir.operations.authenticate import authorize, identify
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.outcomes import allowed

FAILURES_PER_MINUTE = 10  # With keys of one prefix from one address: who types wrong does so three times.
FAILERS_MAX = 10_000  # Addresses and prefixes that are counted at once.


@final
class SignIn:
    """Turns a key into a visit. `first_verb` is what whoever signs in must be allowed to ask."""

    def __init__(self, ctx: Context, visits: Visits, first_verb: Operation) -> None:
        self._ctx, self._visits, self._first_verb = ctx, visits, first_verb
        self._failures = Failures(ctx.clock)

    async def visit(self, key: str, address: str) -> Visit:
        """Return the visit that a key begins, recorded first. Raises HaldirError, recorded where the key is known."""
        failing = (address, key[:KEY_PREFIX_CHARS])
        self._failures.check(failing)
        try:
            caller = await identify(self._ctx, key)
            if not caller.is_key:
                reason = "A session token or an agent key cannot sign in: agents do not decide about themselves."
                await self._ctx.refusals.record(caller, "sign_in", "insufficient_scope", reason)
                raise Forbidden(reason)
            visit = self._visits.begun(await authorize(self._ctx, caller, self._first_verb))
        except Unauthenticated:
            self._failures.count(failing)
            raise
        begin = BeginVisit(op_id=self._ctx.new_op(), asked_by=caller.credential, visit_id=visit.id)
        await allowed(self._ctx, caller.tenant, begin)
        return visit

    async def end(self, visitor: Visitor) -> None:
        """End a visit, and record it. Raises Unavailable if it could not be recorded; it is over all the same."""
        self._visits.end(visitor.visit)
        caller = visitor.caller
        end = EndVisit(op_id=self._ctx.new_op(), asked_by=caller.credential, visit_id=visitor.visit.id)
        await allowed(self._ctx, caller.tenant, end)


class Failures:
    """Counts failures by address and prefix.

    Whoever guesses is stopped, and cannot keep others out, even from behind the same proxy.
    """

    def __init__(self, clock: Clock) -> None:
        self._counts = MinuteCounts(clock, FAILERS_MAX)

    def check(self, failing: Who) -> None:
        """Raise RateLimited if there were too many failures of this kind in this minute."""
        if self._counts.of(failing) >= FAILURES_PER_MINUTE:
            seconds = self._counts.seconds_left()
            message = f"Too many keys like this one failed. Try again in {seconds} seconds."
            raise RateLimited(message, FAILURES_PER_MINUTE, "minute", seconds)

    def count(self, failing: Who) -> None:
        self._counts.add(failing)
