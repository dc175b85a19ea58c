"""What a log holds keeps its meaning: a tag that changed is not found any more, a default that changed says other things.

`python tests/test_stored_commands.py` writes the list anew. Once 0.1.0 is out a line that stands may not change.
"""

import types
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import msgspec

from haldir.journal.command import Record
from haldir.operations.commands import ROW_TYPES, AnyCommand
from haldir.storage.rows import Row

STORED = Path(__file__).with_name("stored_commands.txt")


def spelled() -> str:
    """Return every struct that an entry or a row may hold: its tag or its table, its fields, what those mean that are left out."""
    found: dict[type[msgspec.Struct], None] = {}
    for struct in (Record, *get_args(AnyCommand), *ROW_TYPES):
        _gather(struct, found)
    blocks = sorted("\n".join(_lines_of(struct)) for struct in found)
    return "\n".join(blocks) + "\n"


def _gather(struct: type[msgspec.Struct], found: dict[type[msgspec.Struct], None]) -> None:
    if struct in found:
        return
    found[struct] = None
    hints = get_type_hints(struct)
    for field in struct.__struct_fields__:
        for inner in _structs_in(hints[field]):
            _gather(inner, found)


def _structs_in(hint: Any) -> Iterator[type[msgspec.Struct]]:
    if isinstance(hint, type) and not isinstance(hint, types.GenericAlias) and issubclass(hint, msgspec.Struct):
        yield hint
    for argument in get_args(hint) if get_origin(hint) is not Annotated else get_args(hint)[:1]:
        yield from _structs_in(argument)


def _lines_of(struct: type[msgspec.Struct]) -> Iterator[str]:
    tag = struct.__struct_config__.tag
    listed = " listed" if getattr(struct, "LISTED", False) else ""
    sparing = " without defaults" if struct.__struct_config__.omit_defaults else ""
    strict = " strict" if struct.__struct_config__.forbid_unknown_fields else ""
    bare = " as a list" if struct.__struct_config__.array_like else ""
    yield f"{tag or struct.__name__}{_table_of(struct)}{listed}{sparing}{strict}{bare}"
    for field in msgspec.structs.fields(struct):
        if field.default is not msgspec.NODEFAULT:
            default = field.default
            yield f"    {field.name} = {bytes(default) if isinstance(default, msgspec.Raw) else default!r}"
        elif field.default_factory is not msgspec.NODEFAULT:
            yield f"    {field.name} = {field.default_factory()!r}"
        else:
            yield f"    {field.name}"


def _table_of(struct: type[msgspec.Struct]) -> str:
    if not issubclass(struct, Row):
        return ""
    table = struct.TABLE
    found = "".join(f", by {column}" for column in table.index) + "".join(f", one {column}" for column in table.unique)
    return f" in {table.name}({' '.join(table.key)}){found}{', shredded' if table.shredded else ''}"


def test_what_is_stored_keeps_its_names_and_its_defaults() -> None:
    assert spelled() == STORED.read_text(encoding="utf-8")


if __name__ == "__main__":
    STORED.write_text(spelled(), encoding="utf-8")
