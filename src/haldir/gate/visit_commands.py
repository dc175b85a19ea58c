"""That somebody signs in to the pages with a key, and signs out: said in the log, and nothing hangs on it."""

from collections.abc import Iterable

from haldir.journal.command import Command, Decision, allow
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.storage.rows import Find


class BeginVisit(Command, frozen=True, tag="visit.begin"):
    """Record that the key which asks was shown to sign in. The cookie, not this, is what lets its bearer in."""

    visit_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return allow()


class EndVisit(Command, frozen=True, tag="visit.end"):
    """Record that whoever signed in signed out. Visits that are left alone end unrecorded, by their time."""

    visit_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return allow()
