"""Numbers of arguments as exact decimals, from their text: never a float, nothing rounded."""

from collections.abc import Iterable
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact
from typing import Any

from haldir.kernel.strict_json import Number

NUMBER_CHARS_MAX = 64  # More digits than any honest quantity has.
EXPONENT_MAX = 400  # Beyond what a float holds; within it, sums of many numbers stay exact in little space.

_EXACT = Context(prec=1200, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])


def decimal_of(value: Any) -> Decimal | None:
    """Return the number exactly; None for what is no number, or one too long or too far off to be compared."""
    if type(value) is not Number:
        return None
    text = value.text
    if len(text) > NUMBER_CHARS_MAX:
        return None
    _, exponent_follows, exponent = text.lower().partition("e")
    if exponent_follows and abs(int(exponent)) > EXPONENT_MAX:
        return None
    return Decimal(text)


def exact_sum(numbers: Iterable[Decimal | None]) -> Decimal | None:
    """Return the sum, exactly; None if one of the numbers is."""
    total = Decimal(0)
    for number in numbers:
        if number is None:
            return None
        total = _EXACT.add(total, number)
    return total
