"""An entry as its readers see it: taken from the bytes under the tree, never from the columns beside them."""

import msgspec

from haldir.journal.command import Record
from haldir.kernel.clock import Micros
from haldir.storage.rows import BUNDLE


class Judged(msgspec.Struct, frozen=True):
    """By which version of the policies a call was judged."""

    epoch: int


class Asked(msgspec.Struct, frozen=True):
    """What readers are told of a command; its other members stay in the record."""

    kind: str
    op_id: str
    action: str = ""
    cost_micros: int = 0
    details_digest: str = ""
    call_id: str = ""
    arguments_digest: str = ""
    judgement: Judged | None = None

    @property
    def policy_version(self) -> int | None:
        """Return the version of the policies that judged it; None where none did."""
        return self.judgement.epoch if self.judgement else None


class LoggedEntry(msgspec.Struct, frozen=True):
    """One entry. `previous_leaf` is empty for the first."""

    index: int
    leaf: bytes
    previous_leaf: bytes
    record: Record
    asked: Asked
    body: bytes


class Unreadable(ValueError):
    """The bytes are no entry of ours."""


def logged_entry(bundle: int, slot: int, leaf: bytes, previous_leaf: bytes | None, body: bytes) -> LoggedEntry:
    """Return the entry whose row this is. Raises Unreadable."""
    record, asked = read_body(body)
    return LoggedEntry(bundle * BUNDLE + slot, leaf, previous_leaf or b"", record, asked, body)


def read_body(body: bytes) -> tuple[Record, Asked]:
    """Return what a leaf says. Raises Unreadable."""
    try:
        record = msgspec.json.decode(body, type=Record)
        return record, msgspec.json.decode(record.command, type=Asked)
    except msgspec.DecodeError as error:
        raise Unreadable(str(error)) from error


def read_time(body: bytes) -> Micros:
    """Return when the entry was decided. Raises Unreadable."""
    try:
        return msgspec.json.decode(body, type=_Dated).at
    except msgspec.DecodeError as error:
        raise Unreadable(str(error)) from error


class _Dated(msgspec.Struct, frozen=True):
    at: Micros
