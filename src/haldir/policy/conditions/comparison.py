"""What is asked of one value: how it compares, what it holds, how long it is. None where its kind gives no answer."""

import functools
import operator
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from haldir.kernel.strict_json import Number
from haldir.policy.conditions.numbers import decimal_of
from haldir.policy.conditions.pattern import BadPattern, compiled_pattern
from haldir.policy.conditions.pointers import ITEMS_MAX
from haldir.policy.fields import TEXT_CHARS_MAX, Fields, InvalidPolicy, kind_of

Ask = Callable[[Any], bool | None]
Order = Callable[[Any, Any], bool]

IN_MAX = 1000
ORDERS: dict[str, Order] = {"gt": operator.gt, "ge": operator.ge, "lt": operator.lt, "le": operator.le}
EQUALITIES: dict[str, Order] = {"eq": operator.eq, "ne": operator.ne}
COUNTS = (*ORDERS, *EQUALITIES)  # What may be asked of a number, a sum or a length.
ASKED = (*COUNTS, "in", "matches", "contains", "length")
LENGTH_MAX = 10**9


class Comparison(msgspec.Struct, frozen=True):
    """One operator and what it compares with: a scalar, a tuple of them, or (length) comparisons."""

    op: str
    operand: Any

    def definition(self) -> Any:
        match self.operand:
            case tuple() if self.op == "length":
                return {each.op: each.operand for each in self.operand}
            case tuple():
                return list(self.operand)
        return self.operand

    def asked_of_number(self) -> Callable[[Decimal], bool]:
        """Return the function that asks an exact number."""
        order, bound = (ORDERS | EQUALITIES)[self.op], Decimal(self.operand.text)
        return lambda number: order(number, bound)

    def asked(self) -> Ask:
        """Return the function that asks a value."""
        operand = self.operand
        match self.op:
            case "in":
                return _one_of(operand)
            case "matches":
                return _matching(operand)
            case "contains":
                return _containing(operand)
            case "length":
                return _long(operand)
            case "eq" | "ne" if not isinstance(operand, Number):
                return _same(operand, wanted=self.op == "eq")
        return _ordered(self.asked_of_number())


def read_comparisons(fields: Fields, names: tuple[str, ...]) -> tuple[Comparison, ...]:
    """Read the operators that stand in one object, of those that may."""
    found = tuple(Comparison(name, _operand(fields, name)) for name in names if name in fields)
    if not found:
        raise InvalidPolicy(f"Nothing is asked of it: give one of {', '.join(names)}.", fields.pointer())
    return found


def every(asks: list[Ask]) -> Ask:
    """Return whether all say yes: no if one says no, else None if one cannot tell."""
    return functools.reduce(_both, asks)


def _both(one: Ask, other: Ask) -> Ask:
    def ask(value: Any) -> bool | None:
        found = one(value)
        if found is False:
            return False
        also = other(value)
        return also if found or also is False else None

    return ask


def number_operand(fields: Fields, name: str) -> Number:
    """Take a number that can be compared exactly."""
    value = fields.value(name)
    if not isinstance(value, Number):
        raise InvalidPolicy(f"{name!r} must be a number, not {kind_of(value)}.", fields.pointer(name))
    if decimal_of(value) is None:
        raise InvalidPolicy(f"{name!r} has more digits than can be compared.", fields.pointer(name))
    return value


def _operand(fields: Fields, name: str) -> Any:
    if name in ORDERS:
        return number_operand(fields, name)
    match name:
        case "in":
            items = fields.items(name, IN_MAX)
            return tuple(_scalar(item, fields.pointer(name, at), name) for at, item in enumerate(items))
        case "matches":
            return _read_pattern(fields, name)
        case "length":
            return _read_length(fields)
    return _scalar(fields.value(name), fields.pointer(name), name)


def _read_pattern(fields: Fields, name: str) -> str:
    pattern = fields.text(name)
    try:
        compiled_pattern(pattern)
    except BadPattern as fault:
        raise InvalidPolicy(
            f"The pattern is refused: {fault}. Patterns are RE2's, without backreferences and lookaround.",
            fields.pointer(name),
        ) from None
    return pattern


def _read_length(fields: Fields) -> tuple[Comparison, ...]:
    members = fields.value("length")
    if not isinstance(members, dict):
        raise InvalidPolicy(
            f"'length' must be an object such as {{\"gt\": 5}}, not {kind_of(members)}.", fields.pointer("length")
        )
    inner = Fields("length", COUNTS, members, fields.path("length"))
    for name in members:
        inner.whole(name, 0, LENGTH_MAX)
    return read_comparisons(inner, COUNTS)


def _scalar(value: Any, at: str, name: str) -> Any:
    match value:
        case bool():
            return value
        case str():
            if len(value) > TEXT_CHARS_MAX:
                raise InvalidPolicy(f"{name!r} has {len(value)} characters; {TEXT_CHARS_MAX} are the most.", at)
            return value
        case Number() if decimal_of(value) is not None:
            return value
        case Number():
            raise InvalidPolicy(f"{name!r} has more digits than can be compared.", at)
    raise InvalidPolicy(f"{name!r} compares with a string, a number or a boolean, not with {kind_of(value)}.", at)


def same(value: Any, operand: Any) -> bool | None:
    """Tell whether a value is the operand; None if it is of another kind, or a number that cannot be compared."""
    if isinstance(operand, Number):
        number = decimal_of(value)
        return None if number is None else number == Decimal(operand.text)
    return value == operand if type(value) is type(operand) else None


def _same(operand: Any, *, wanted: bool) -> Ask:
    def ask(value: Any) -> bool | None:
        found = same(value, operand)
        return None if found is None else found is wanted

    return ask


def _ordered(asked: Callable[[Decimal], bool]) -> Ask:
    def ask(value: Any) -> bool | None:
        number = decimal_of(value)
        return None if number is None else asked(number)

    return ask


def _one_of(operands: tuple[Any, ...]) -> Ask:
    of_kind: dict[type, frozenset[Any]] = {
        kind: frozenset(each for each in operands if type(each) is kind) for kind in (str, bool)
    }
    of_kind[Decimal] = frozenset(Decimal(each.text) for each in operands if isinstance(each, Number))

    def ask(value: Any) -> bool | None:
        known = decimal_of(value) if isinstance(value, Number) else value
        alike = of_kind.get(type(known))
        return known in alike if alike else None

    return ask


def _matching(pattern: str) -> Ask:
    found = compiled_pattern(pattern)
    return lambda value: found(value) if isinstance(value, str) else None


def _containing(operand: Any) -> Ask:
    def ask(value: Any) -> bool | None:
        if isinstance(value, str):
            return operand in value if isinstance(operand, str) else None
        if not isinstance(value, list) or len(value) > ITEMS_MAX:
            return None
        answers = [same(item, operand) for item in value]
        return True if True in answers else None if None in answers else False

    return ask


def _long(comparisons: tuple[Comparison, ...]) -> Ask:
    asks = [((ORDERS | EQUALITIES)[each.op], int(each.operand.text)) for each in comparisons]

    def length(value: Any) -> bool | None:
        if not isinstance(value, str | list | dict):
            return None
        return all(order(len(value), bound) for order, bound in asks)

    return length
