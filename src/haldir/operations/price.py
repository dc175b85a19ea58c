"""What a call costs, read from its arguments: by the operator's price rule, else its top-level `amount`. Pure."""

from typing import Any

from haldir.kernel.money import AMOUNT_MICROS_MAX, MICROS, BadAmount, parse_amount
from haldir.kernel.strict_json import Number
from haldir.operations.call_commands import Charge
from haldir.proxy.model import Price, ToolRule

INDEX_DIGITS_MAX = 9
ABSENT = object()


def charge_of(rule: ToolRule | None, arguments: dict[str, Any]) -> Charge:
    """Return the charge of one call; a price that cannot be read is a fault in it, not an error here."""
    if rule is not None and rule.price is not None:
        return _ruled(rule.price, arguments)
    amount = arguments.get("amount", ABSENT)
    if amount is ABSENT:
        return Charge()
    try:
        return Charge(_amount(amount))
    except BadAmount as error:
        return Charge(fault=f"The argument 'amount' {error}.")


def _ruled(price: Price, arguments: dict[str, Any]) -> Charge:
    if price.fixed_micros is not None:
        return Charge(price.fixed_micros, price.currency, ruled=True)
    pointer = price.pointer or ""
    value = resolve_pointer(arguments, pointer)
    if value is ABSENT:
        return Charge(currency=price.currency, ruled=True, fault=f"The price argument {pointer!r} is missing.")
    try:
        micros = _in_units(_amount(value), price.unit_micros)
    except BadAmount as error:
        return Charge(currency=price.currency, ruled=True, fault=f"The price argument {pointer!r} {error}.")
    return Charge(micros, price.currency, ruled=True)


def resolve_pointer(value: Any, pointer: str) -> Any:
    """Return what a JSON pointer (RFC 6901) points at, or `ABSENT`."""
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        if isinstance(value, dict) and name in value:
            value = value[name]
        elif isinstance(value, list) and _is_index(name) and int(name) < len(value):
            value = value[int(name)]
        else:
            return ABSENT
    return value


def _is_index(step: str) -> bool:
    """Tell whether a step is an array index as RFC 6901 §4 writes it, of a length that any array can have."""
    plain = step.isascii() and step.isdecimal() and len(step) <= INDEX_DIGITS_MAX
    return plain and (step == "0" or step[0] != "0")


def _amount(value: Any) -> int:
    if not isinstance(value, Number):
        raise BadAmount("must be a JSON number")
    return parse_amount(value.text)


def _in_units(number_micros: int, unit_micros: int) -> int:
    micros, rest = divmod(number_micros * unit_micros, MICROS)
    if rest:
        raise BadAmount("is finer than a millionth of the currency")
    if micros > AMOUNT_MICROS_MAX:
        raise BadAmount("is larger than any amount may be")
    return micros
