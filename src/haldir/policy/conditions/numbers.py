"""Numbers of arguments as exact decimals, from their text: never a float, nothing rounded."""

import re
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, Inexact
from typing import Any

from haldir.kernel.strict_json import Number

NUMBER_CHARS_MAX = 64  # More digits than any honest quantity has.
EXPONENT_MAX = 400  # Beyond what a float holds; within it, sums of many numbers stay exact in little space.

_PARTS = re.compile(r"-?[0-9]+(?:\.[0-9]+)?(?:[eE]([+-]?[0-9]{1,4}))?")
_EXACT = Context(prec=1200, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact])


def decimal_of(value: Any) -> Decimal | None:
    """Return the number exactly; None for what is no number, or one too long or too far off to be compared."""
    if not isinstance(value, Number) or len(value.text) > NUMBER_CHARS_MAX:
        return None
    found = _PARTS.fullmatch(value.text)
    if found is None or abs(int(found[1] or 0)) > EXPONENT_MAX:
        return None
    return Decimal(value.text)


def exact_sum(numbers: list[Decimal]) -> Decimal:
    """Return the sum, exactly."""
    total = Decimal(0)
    for number in numbers:
        total = _EXACT.add(total, number)
    return total
