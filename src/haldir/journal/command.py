"""What a command is: a request that decides itself, given rows and the time, and touches nothing.

The log keeps each command beside its verdict, so whoever has the log can decide it all again: `decide`
may therefore depend only on the command, the rows and `now`.
"""

from collections.abc import Callable, Iterable
from typing import ClassVar

import msgspec

from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.storage.rows import Find, Row

RULES_VERSION = 1  # Raised whenever `decide` of any command would answer differently; replay uses the old one.


class CredentialRef(msgspec.Struct, frozen=True):
    """Which credential asks: `key` by prefix, `agent` by name, `session` by id, `system` for Haldir itself."""

    kind: str
    id: str

    def __str__(self) -> str:
        return f"{self.kind}:{self.id}"


SYSTEM = CredentialRef("system", "")


class Subject(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an entry is about, for those who search the log."""

    session_id: str = ""
    agent_id: str = ""
    upstream: str = ""
    tool: str = ""


class Decision(msgspec.Struct, frozen=True):
    """The verdict on a command and the rows it changes; a refusal changes none, unless it is a `hold`.

    What came along is kept with what is allowed or held, and with a refusal that `keeps_parts`. `erases` names
    parts whose bytes are to go, before those that came along with the command are kept. `result` is what the asker
    is told beyond yes: a small struct, kept in the entry, so that a retry gets the same. `stale` means that the
    command was made from rules that changed meanwhile: it leaves no entry, and its op_id stays unused.
    `remarks` stand in the entry, and nobody is told of them unasked.
    """

    allowed: bool
    code: str = ""
    reason: str = ""
    puts: tuple[Row, ...] = ()
    drops: tuple[Row, ...] = ()
    erases: tuple[str, ...] = ()
    about: Subject = Subject()
    result: msgspec.Struct | None = None
    stale: bool = False
    keeps_parts: bool = False
    remarks: tuple["Notice", ...] = ()


def allow(
    *puts: Row,
    drops: tuple[Row, ...] = (),
    erases: tuple[str, ...] = (),
    about: Subject = Subject(),
    result: msgspec.Struct | None = None,
) -> Decision:
    return Decision(allowed=True, puts=puts, drops=drops, erases=erases, about=about, result=result)


def deny(code: str, reason: str, about: Subject = Subject(), *, keeps_parts: bool = False) -> Decision:
    """Refuse with a code out of `kernel.errors.REFUSALS` and a sentence that the caller will read."""
    return Decision(allowed=False, code=code, reason=reason, about=about, keeps_parts=keeps_parts)


def hold(code: str, reason: str, *puts: Row, about: Subject, result: msgspec.Struct | None) -> Decision:
    """Refuse for now, and keep what the refusal waits for. Where that stands already, there is nothing to put."""
    return Decision(allowed=False, code=code, reason=reason, puts=puts, about=about, result=result)


STALE = Decision(allowed=False, code="stale", stale=True)
DETAILS_WANTED = Decision(allowed=False, code="details_wanted", stale=True)
"""The command must come again with its details: they are kept only where a person will have to see them."""


class Command(
    msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", forbid_unknown_fields=True, omit_defaults=True
):
    """A change asked for. `op_id` is made by the asker: the same one gets the same outcome.

    The journal lets nothing be decided for a credential that is revoked: `asked_by` is checked under the head.
    Fields are only ever added, with defaults: the log is read for years.
    """

    LISTED: ClassVar[bool] = False  # Whether GET /v1/audit shows it unless asked for everything.

    op_id: str
    asked_by: CredentialRef = SYSTEM

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        """Name the rows worth loading, as far as the loaded ones tell; asked until nothing is new.

        Only speed depends on it: a decision that misses a row is made again once it is loaded.
        """
        raise NotImplementedError

    def subject(self) -> Subject:
        """Return what the command is about as far as it says so itself."""
        return Subject()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        """Judge the command at `now` (microseconds). Pure: no clock, no chance, no I/O."""
        raise NotImplementedError


Authority = Callable[[WorkingSet, CredentialRef, Micros], tuple[str, str] | None]


def anyone(_rows: WorkingSet, _asked_by: CredentialRef, _now: Micros) -> None:
    """Refuse nobody: the authority of a journal whose commands are all its own."""


class Notice(msgspec.Struct, frozen=True):
    """Something worth telling people about an entry: of which kind, of whom or what, and why."""

    kind: str
    about: str
    reason: str


ANOMALY = "anomaly"  # The kind of notice by which an entry counts as flagged.


class Observation(msgspec.Struct, frozen=True):
    """What an observer saw in a decision: notices for its entry, and what it remembers for the next ones."""

    notices: tuple[Notice, ...] = ()
    puts: tuple[Row, ...] = ()


NOTHING_SEEN = Observation()


class Observer:
    """Looks at decisions, allowed or not. This one sees nothing: nobody wants to hear of it."""

    def needs(self, rows: WorkingSet, command: Command) -> Iterable[Find]:
        """Name the rows worth loading to observe the command: a hint, as `Command.needs` is."""
        del self, rows, command
        return ()

    def see(self, rows: WorkingSet, command: Command, decision: Decision, now: Micros) -> Observation:
        """Return what is to be told of a decision, over the rows as they were before it. Pure, as `decide` is."""
        del self, rows, command, decision, now
        return NOTHING_SEEN


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One leaf of the log, encoded canonically: what was asked, when, by which rules, and what was decided."""

    at: Micros
    rules: int
    command: msgspec.Raw
    allowed: bool
    code: str = ""
    reason: str = ""
    about: Subject = Subject()
    result: msgspec.Raw = msgspec.Raw(b"null")
    notices: tuple[Notice, ...] = ()
    remarks: tuple[Notice, ...] = ()

    @property
    def flags(self) -> tuple[str, ...]:
        """Why this entry is flagged; empty if it is not."""
        return _flags(self.notices)


class Outcome(msgspec.Struct, frozen=True):
    """What the asker learns once the entry is durable: the verdict, and where the log keeps it.

    `recalled` means that it was decided before: whoever asked then may be carrying it out.
    """

    index: int
    at: Micros
    allowed: bool
    code: str
    reason: str
    result: msgspec.Raw
    stale: bool = False
    notices: tuple[Notice, ...] = ()
    recalled: bool = False

    @property
    def flags(self) -> tuple[str, ...]:
        """Why the entry is flagged; empty if it is not."""
        return _flags(self.notices)


def _flags(notices: tuple[Notice, ...]) -> tuple[str, ...]:
    return tuple(notice.reason for notice in notices if notice.kind == ANOMALY)
