"""Rows as SQL values: one generic mapping, so that no table's keyed access is written by hand.

Both dialects see the same values: text, integers and bytes as themselves, a bool as 0 or 1, anything else as
JSON text; None is NULL.
"""

import functools
import typing
from collections.abc import Callable, Sequence
from typing import Any, Literal

import msgspec

from haldir.kernel import canonical
from haldir.storage.rows import Row

SqlType = Literal["text", "integer", "bytes"]
Codec = Callable[[Any], Any]


class Column(typing.NamedTuple):
    """One field as a column; `encode` and `decode` are None where the value is stored as it is."""

    name: str
    sql_type: SqlType
    optional: bool
    encode: Codec | None
    decode: Codec | None


class Mapping:
    """A row type's columns, in the order of its fields."""

    def __init__(self, row_type: type[Row]) -> None:
        hints = typing.get_type_hints(row_type)
        fields = typing.cast("msgspec.inspect.StructType", msgspec.inspect.type_info(row_type)).fields
        self.table = row_type.TABLE
        self.columns = tuple(_column(field, hints[field.name]) for field in fields)
        self.names = tuple(column.name for column in self.columns)
        self._row_type = row_type
        self._encoders = [(at, column.encode) for at, column in enumerate(self.columns) if column.encode]
        self._decoders = [(at, column.decode) for at, column in enumerate(self.columns) if column.decode]

    def encode(self, row: Row) -> tuple[Any, ...]:
        values = msgspec.structs.astuple(row)
        if not self._encoders:
            return values
        changed = list(values)
        for at, encode in self._encoders:
            if changed[at] is not None:
                changed[at] = encode(changed[at])
        return tuple(changed)

    def decode(self, values: Sequence[Any]) -> Row:
        if not self._decoders:
            return self._row_type(*values)
        changed = list(values)
        for at, decode in self._decoders:
            if changed[at] is not None:
                changed[at] = decode(changed[at])
        return self._row_type(*changed)

    @functools.cached_property
    def on_conflict(self) -> str:
        """Return how an insert treats a row already there: history refuses, state is replaced."""
        if self.table.append_only:
            return ""
        target = f"ON CONFLICT ({', '.join(('tenant', *self.table.key))})"
        rest = ", ".join(f"{name} = excluded.{name}" for name in self.names if name not in self.table.key)
        return f"{target} DO UPDATE SET {rest}" if rest else f"{target} DO NOTHING"


@functools.cache
def mapping(row_type: type[Row]) -> Mapping:
    return Mapping(row_type)


def _column(field: msgspec.inspect.Field, hint: Any) -> Column:
    kind, optional = _without_none(field.type)
    match kind:
        case msgspec.inspect.StrType():
            return Column(field.name, "text", optional, None, None)
        case msgspec.inspect.LiteralType(values) if all(isinstance(value, str) for value in values):
            return Column(field.name, "text", optional, None, None)
        case msgspec.inspect.IntType():
            return Column(field.name, "integer", optional, None, None)
        case msgspec.inspect.BytesType():
            return Column(field.name, "bytes", optional, None, None)
        case msgspec.inspect.BoolType():
            return Column(field.name, "integer", optional, int, bool)
        case _:
            return Column(field.name, "text", optional, _json, msgspec.json.Decoder(hint).decode)


def _without_none(kind: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, bool]:
    if not isinstance(kind, msgspec.inspect.UnionType):
        return kind, False
    rest = [each for each in kind.types if not isinstance(each, msgspec.inspect.NoneType)]
    return (rest[0] if len(rest) == 1 else kind), len(rest) < len(kind.types)


def _json(value: Any) -> str:
    return canonical.encode(value).decode()
