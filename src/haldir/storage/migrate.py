"""Schema changes: numbered SQL files per dialect, checksummed, forward only, one transaction each.

A store whose schema is newer than this Haldir, or was made from other files, is refused and left alone.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence
from importlib.resources import files
from typing import Literal

import msgspec

from haldir.kernel.errors import HaldirError

Dialect = Literal["sqlite", "postgres"]
Applied = tuple[int, str, str]  # Number, name and SHA-256, as the table `migration` has them.

READ_APPLIED = "SELECT number, name, sha256 FROM migration ORDER BY number"
_FILE_NAME = re.compile(r"([0-9]{4})_[a-z0-9_]+\.sql")


class SchemaError(HaldirError):
    """The store's schema is not one that this Haldir may use. Nothing was changed."""

    code = "schema_error"


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    sha256: str
    sql: str


def migrations(dialect: Dialect) -> tuple[Migration, ...]:
    """Return the migrations that this Haldir brings along, in order."""
    found = []
    for file in files("haldir.storage").joinpath("migrations", dialect).iterdir():
        if named := _FILE_NAME.fullmatch(file.name):
            sql = file.read_text(encoding="utf-8")
            found.append(Migration(int(named[1]), file.name, hashlib.sha256(sql.encode()).hexdigest(), sql))
    return tuple(sorted(found, key=lambda migration: migration.number))


def pending(known: Sequence[Migration], applied: Iterable[Applied]) -> list[Migration]:
    """Return what is still to be run, after holding what was run against the files."""
    by_number = {migration.number: migration for migration in known}
    done = set()
    for number, name, sha256 in applied:
        migration = by_number.get(number)
        if migration is None:
            raise SchemaError(
                f"The database has migration {number} ({name}), which this Haldir does not know: "
                "it was written by a newer version. Start that version, or restore a backup."
            )
        if migration.sha256 != sha256:
            raise SchemaError(
                f"Migration {number} of the database ({name}, SHA-256 {sha256}) is not the file {migration.name} "
                f"(SHA-256 {migration.sha256}) of this Haldir. Start the version that wrote the database."
            )
        done.add(number)
    return [migration for migration in known if migration.number not in done]
