"""Tables as frozen structs: what is stored, free of any driver, so that every layer may name it.

A row never names its tenant: engines add it to every statement, so that no command can reach across.
"""

import functools
import operator
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple, Self

import msgspec

Scalar = str | int | bytes | None
Key = tuple[Scalar, ...]

BUNDLE = 256  # Entries in a C2SP entry bundle, and hashes in a tile (tlog-tiles).


class Table(msgspec.Struct, frozen=True):
    """How a row is stored. Every key and index starts with the tenant, which engines supply.

    `shredded`: what is dropped is overwritten, as far as the engine can.
    """

    name: str
    key: tuple[str, ...]
    index: tuple[str, ...] = ()
    unique: tuple[str, ...] = ()
    append_only: bool = False
    shredded: bool = False


class Row(msgspec.Struct, frozen=True):
    """One row. Changing it means putting another one with the same key."""

    TABLE: ClassVar[Table]

    @classmethod
    def at(cls, *key: Scalar) -> "Find":
        return Find(cls, cls.TABLE.key, key)

    @classmethod
    def where(cls, column: str, value: Scalar) -> "Find":
        return Find(cls, (column,), (value,))

    @classmethod
    def everywhere(cls) -> "Find":
        """Find all rows of a table: one that is small by nature."""
        return Find(cls, (), ())

    def but(self, **changes: Any) -> Self:
        return msgspec.structs.replace(self, **changes)


class Find(NamedTuple):
    """Rows that equal `values` in `columns`: a whole key, or one indexed column."""

    row_type: type[Row]
    columns: tuple[str, ...]
    values: Key


@functools.cache
def reader(columns: tuple[str, ...]) -> Callable[[Row], Key]:
    """Return the function that reads `columns` of a row as a tuple."""
    if not columns:
        return lambda _row: ()
    get: Callable[[Row], Any] = operator.attrgetter(*columns)
    return get if len(columns) > 1 else lambda row: (get(row),)


def name_of(row: Row) -> tuple[type[Row], Key]:
    """Return what tells a row from all others of its tenant."""
    return type(row), reader(row.TABLE.key)(row)


class Head(Row, frozen=True):
    """The tenant's log head: its row lock is the one order of all changes."""

    TABLE: ClassVar[Table] = Table("head", key=())

    size: int = 0
    written_at: int = 0
    checkpoint: str = ""


class Entry(Row, frozen=True):
    """The leaf at index bundle * 256 + slot. `body` is its record; the columns after it only help to find it.

    Only `body` is under the tree. `kind` to `code` repeat what it says, and `verify` compares them.
    """

    TABLE: ClassVar[Table] = Table(
        "entry", key=("bundle", "slot"), index=("bundle",), unique=("op_id",), append_only=True
    )

    bundle: int
    slot: int
    op_id: str
    leaf: bytes
    body: bytes
    kind: str
    session_id: str = ""
    agent_id: str = ""
    tool: str = ""
    flagged: bool = False
    noticed: bool = False
    code: str = ""

    @property
    def index(self) -> int:
        return self.bundle * BUNDLE + self.slot


class Tile(Row, frozen=True):
    """Up to 256 hashes of one level (C2SP tlog-tiles); above level 0 the last one is kept while it grows."""

    TABLE: ClassVar[Table] = Table("tile", key=("level", "n"))

    level: int
    n: int
    hashes: bytes


class Part(Row, frozen=True):
    """Bytes that travelled beside a command, sealed. `key_version` 0 is the root key, else the tenant's key of it.

    `digest` names them: mostly their keyed digest, for what a call came with and was answered the call and which of
    both. `kept_since` (microseconds): when those were sealed, which are erased once they are old enough; None is
    for as long as something names them.
    """

    TABLE: ClassVar[Table] = Table("part", key=("digest",), shredded=True)

    digest: str
    key_version: int
    sealed: bytes
    kept_since: int | None = None


class Credential(Row, frozen=True):
    """Whose credential this is: the one table that is also read above tenants.

    It never says whether the credential still counts; that is decided in the journal.
    """

    TABLE: ClassVar[Table] = Table("credential", key=("sha256",))

    sha256: str
    kind: str
    id: str
