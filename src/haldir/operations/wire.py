"""Wire values become request structs: exact numbers, no NUL, null as absence, and a fault that names its field.

Operations name these types in their request structs; every face that takes JSON decodes through here.
"""

import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast, get_origin

import msgspec
from msgspec import inspect

from haldir.kernel.clock import parse_moment
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.money import BadAmount, parse_amount, parse_reported_cost
from haldir.kernel.secret import Secret
from haldir.kernel.strict_json import Number

S = TypeVar("S", bound=msgspec.Struct)
Lower = Callable[[Any, str], Any]  # Takes a value and its field; returns what msgspec may convert.

INT_MAX = 2**63 - 1  # What a database column and every JSON reader in a 64-bit language can hold.
INT_CHARS_MAX = 20
# Names, ids and words; an entry repeats some of them, escaped, and must stay under 64 KiB.
TEXT_CHARS_MAX = 2048
MEMBER_CHARS_MAX = 8192  # Values of maps, such as headers: tokens are long, and are sealed, not logged.

_INT = re.compile(r"-?[0-9]{1,19}")
_FAULT = re.compile(r"(?s)(.*?)(?: - at `\$\.?(.*)`)?")
_MISSING = re.compile(r"Object missing required field `(.*)`")
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


class Amount(int):
    """Micro-units of money to authorize, read from the text of a JSON number: exact, or refused."""


class Cost(int):
    """Micro-units of a cost that is only reported: a JSON number or numeric string, rounded up."""


class Moment(int):
    """An instant in microseconds, read from Unix seconds or from ISO 8601 text; without an offset it is UTC."""


class JsonObject(dict[str, Any]):
    """A JSON object as `kernel.strict_json` read it, numbers by their text. Null is no object."""


class WholeBody(msgspec.Struct, frozen=True):
    """A request that is the JSON body itself: whoever reads it also answers for members it does not know."""

    body: JsonObject


class StatusResponse(msgspec.Struct, frozen=True):
    """A response that chooses its own status, and whose body the operation wrote.

    The face sends `body`, a JSON object, as it stands; to an error (400 and above) it adds the request_id. One that
    is not `final` is given anew to whoever sends the same request again: it waits for a person.
    """

    status: int
    body: msgspec.Raw
    final: bool = True


def require_period(since: Moment | None, until: Moment | None) -> None:
    """Refuse a period that ends before it begins."""
    if since is not None and until is not None and until < since:
        raise InvalidRequest("`since` must not be later than `until`", "since")


def decode_request(request_type: type[S], members: Mapping[str, Any], texts: Mapping[str, str]) -> S:
    """Return the request made of JSON `members` and of `texts` out of path and query, which win.

    Members nobody asked for are ignored, null stands for absence where a field may be absent; everything
    else that does not fit raises InvalidRequest with the field's name.
    """
    if issubclass(request_type, WholeBody):
        return request_type(JsonObject(members))
    found: dict[str, Any] = {}
    for name, field in _fields(request_type).items():
        if name in texts:
            found[name] = field.from_text(texts[name], name)
        elif name in members and not (field.nullable and members[name] is None):
            found[name] = field.from_json(members[name], name)
    try:
        return msgspec.convert(found, request_type, dec_hook=_custom)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None


class _Field(msgspec.Struct, frozen=True):
    """How one field takes its value; `nullable` says that null means the same as nothing."""

    from_json: Lower
    from_text: Lower
    nullable: bool


@functools.cache
def _fields(struct: type[msgspec.Struct]) -> dict[str, _Field]:
    described = cast("inspect.StructType", inspect.type_info(struct))
    return {
        field.encode_name: _Field(
            from_json=_from_json(field.type),
            from_text=_from_text(field.type),
            nullable=not field.required and not _is_object(field.type),
        )
        for field in described.fields
    }


def _from_json(kind: inspect.Type) -> Lower:
    match kind:
        case inspect.AnyType() | inspect.CustomType():
            return _keep
        case inspect.StructType(cls=cls):
            return _struct(cls)
        case inspect.ListType(item_type=item) | inspect.VarTupleType(item_type=item):
            return _items(_from_json(item))
        case inspect.DictType(value_type=values):
            lower = _from_json(values)
            return _members(_member if lower is _scalar else lower)
        case inspect.UnionType(types=kinds):
            return _one_of([_from_json(each) for each in kinds])
        case _:
            return _scalar


def _from_text(kind: inspect.Type) -> Lower:
    match kind:
        case inspect.UnionType(types=kinds):
            lowers = {_from_text(each) for each in kinds}
            return (lowers - {_scalar} or lowers).pop()
        case inspect.IntType():
            return _int_text
        case inspect.BoolType():
            return _bool_text
        case _:
            return _scalar


def _keep(value: Any, _field: str) -> Any:
    return value


def _scalar(value: Any, field: str) -> Any:
    if isinstance(value, Number):
        return _number(value.text, field)
    return _text(value, field, TEXT_CHARS_MAX) if isinstance(value, str) else value


def _member(value: Any, field: str) -> Any:
    return _text(value, field, MEMBER_CHARS_MAX) if isinstance(value, str) else _scalar(value, field)


def _text(text: str, field: str, chars_max: int) -> str:
    if "\0" in text:
        raise InvalidRequest(f"`{field}` contains the character NUL, which no text may", field)
    if len(text) > chars_max:
        raise InvalidRequest(f"`{field}` is longer than {chars_max} characters", field)
    return text


def _number(text: str, field: str) -> int | float:
    """Return a number that is no money, so that only its range matters."""
    whole = not any(mark in text for mark in ".eE")
    value = int(text) if whole and len(text) <= INT_CHARS_MAX else float(text)
    if abs(value) > INT_MAX:
        raise InvalidRequest(f"`{field}` is out of range", field)
    return value


def _struct(struct: type[msgspec.Struct]) -> Lower:
    def lower(value: Any, field: str) -> Any:
        if not isinstance(value, dict):
            return value
        known = _fields(struct)
        return {
            name: known[name].from_json(item, f"{field}.{name}") if name in known else item
            for name, item in value.items()
            if item is not None or name not in known or not known[name].nullable
        }

    return lower


def _one_of(lowers: list[Lower]) -> Lower:
    """Lower a union: its one exact member if it has one, else the one that knows lists or objects."""
    if _keep in lowers:
        return _keep
    inner = [lower for lower in lowers if lower is not _scalar]

    def lower(value: Any, field: str) -> Any:
        for each in inner if isinstance(value, list | dict) else ():
            value = each(value, field)
        return _scalar(value, field)

    return lower


def _items(lower_item: Lower) -> Lower:
    def lower(value: Any, field: str) -> Any:
        if not isinstance(value, list):
            return value
        return [lower_item(item, f"{field}[{at}]") for at, item in enumerate(value)]

    return lower


def _members(lower_value: Lower) -> Lower:
    def lower(value: Any, field: str) -> Any:
        if not isinstance(value, dict):
            return value
        return {_scalar(name, field): lower_value(item, f"{field}.{name}") for name, item in value.items()}

    return lower


def _int_text(text: str, field: str) -> int:
    if not _INT.fullmatch(text) or abs(int(text)) > INT_MAX:
        raise InvalidRequest(f"`{field}` must be a whole number", field)
    return int(text)


def _bool_text(text: str, field: str) -> bool:
    if text.lower() not in _BOOLEANS:
        raise InvalidRequest(f"`{field}` must be true or false", field)
    return _BOOLEANS[text.lower()]


def _is_object(kind: inspect.Type) -> bool:
    return isinstance(kind, inspect.CustomType) and kind.cls is JsonObject


def _custom(kind: type[Any], value: Any) -> Any:
    """Make one of this module's types; msgspec adds the field to whatever it raises."""
    if kind is Amount:
        return Amount(parse_amount(_number_text(value)))
    if kind is Cost:
        return Cost(parse_reported_cost(value if isinstance(value, str) else _number_text(value)))
    if kind is Moment:
        return Moment(parse_moment(value if isinstance(value, str) else _number_text(value)))
    if get_origin(kind) is Secret:
        return _hidden(value)
    if kind is JsonObject and isinstance(value, dict):
        return JsonObject(value)
    raise ValueError("must be an object")


def _hidden(value: Any) -> Secret[str]:
    """Take a value that nobody may see; how long it may be says the operation."""
    if not isinstance(value, str):
        raise ValueError("must be text")  # noqa: TRY004 - msgspec adds the field to a ValueError.
    if "\0" in value:
        raise ValueError("contains the character NUL, which no text may")
    return Secret(value)


def _number_text(value: Any) -> str:
    if not isinstance(value, Number):
        raise BadAmount("must be a JSON number")
    return value.text


def _invalid(fault: str) -> InvalidRequest:
    """Return msgspec's complaint as a sentence that begins with the field."""
    found = _FAULT.fullmatch(fault)
    assert found is not None
    said, inside = found[1], found[2] or ""
    if missing := _MISSING.fullmatch(said):
        field = f"{inside}.{missing[1]}" if inside else missing[1]
        return InvalidRequest(f"`{field}` is required", field)
    said = said.replace("Expected", "must be", 1).replace(", got", ", not", 1).replace("`", "")
    return InvalidRequest(f"`{inside}` {said}", inside)
