"""The commands about payloads, which are what calls came with and were answered: record who reads one, erase some.

A payload is named by its call and by which of the two it is. So these can erase nothing but payloads, and need to
know nothing of their bytes.
"""

from collections.abc import Iterable
from typing import Literal

from haldir.journal.command import Command, Decision, Subject, allow
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.operations.call_ending_commands import subject_of
from haldir.proxy.model import Call
from haldir.storage.rows import Find

PayloadKind = Literal["arguments", "result"]
KINDS: tuple[PayloadKind, ...] = ("arguments", "result")


class ReadPayload(Command, frozen=True, tag="payload.read"):
    """Let somebody see what a call came with and was answered."""

    call_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Call.at(self.call_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return allow(about=about_call(rows, self.call_id))


class ReplayPolicies(Command, frozen=True, tag="payload.replay"):
    """Let somebody hold policies of his own against what calls came with, from index `first` of the log up to `end`.

    `candidate_digest` names these policies, as a whole.
    """

    first: int
    end: int
    candidate_digest: str = ""

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return allow()


class ErasePayload(Command, frozen=True, tag="payload.erase"):
    """Erase what one call came with and was answered, because somebody wants it gone."""

    call_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Call.at(self.call_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return allow(erases=tuple(parts_of(self.call_id)), about=about_call(rows, self.call_id))


class ExpirePayloads(Command, frozen=True, tag="payload.expire"):
    """Erase what calls came with and were answered, because it was kept long enough."""

    calls: tuple[str, ...]

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return allow(erases=tuple(part for call_id in self.calls for part in parts_of(call_id)))


def part_name(call_id: str, kind: PayloadKind) -> str:
    """Return the name of the part that a payload is sealed in."""
    return f"{call_id}.{kind}"


def call_of(part: str) -> str:
    """Return the call that a payload's part belongs to."""
    return part.partition(".")[0]


def is_payload(part: str) -> bool:
    """Tell whether a part is a payload: all others go by digests."""
    return "." in part


def parts_of(call_id: str) -> Iterable[str]:
    return (part_name(call_id, kind) for kind in KINDS)


def about_call(rows: WorkingSet, call_id: str) -> Subject:
    """Return what an admitted call is about; of one that was refused only its own entry tells."""
    call = rows.get(Call, call_id)
    return subject_of(call) if call else Subject()
