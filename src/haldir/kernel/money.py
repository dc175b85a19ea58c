"""Money: exact int64 micro-units (millionths) of one currency, read from the text of a JSON number.

Nothing here is ever a float: what cannot be held exactly is refused, never rounded.
"""

import re
from typing import NamedTuple

MICROS = 1_000_000
NUMBER_CHARS_MAX = 32  # More digits than any amount has; no honest client writes more.
WHOLE_DIGITS_MAX = 13
FRACTION_DIGITS_MAX = 6
AMOUNT_MICROS_MAX = 10 ** (WHOLE_DIGITS_MAX + FRACTION_DIGITS_MAX) - 1
CURRENCY = "USD"

_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")  # RFC 8259 §6, to the letter.
_SHIFT_MAX = 64  # Powers of ten beyond this make any 32 characters too large or too small all the same.


class BadAmount(ValueError):
    """The text is not an amount; the message says what is wrong with it, fit for the caller to read."""


def parse_amount(text: str) -> int:
    """Return the micro-units a JSON number stands for; at most 13 digits before and 6 after the point."""
    micros, inexact = _micros(text)
    if inexact:
        raise BadAmount(f"has more than {FRACTION_DIGITS_MAX} digits after the point")
    return micros


def parse_reported_cost(text: str) -> int:
    """Return the micro-units of a cost that is only reported, rounded up: clients send floats like 1.5e-05."""
    micros, inexact = _micros(text)
    return _bounded(micros + inexact)


def format_amount(micros: int) -> str:
    """Return micro-units as a plain decimal with at least two digits after the point."""
    whole, fraction = divmod(abs(micros), MICROS)
    digits = f"{fraction:06d}".rstrip("0").ljust(2, "0")
    return f"{'-' if micros < 0 else ''}{whole}.{digits}"


def wire_amount(micros: int) -> float:
    """Return micro-units as the JSON number of whole units that published clients read (WIRE.md §0).

    Exact for every amount of up to 15 significant digits; only ever written, never read back.
    """
    return micros / MICROS


class _Floor(NamedTuple):
    """Whole micro-units, and whether the number was a little more than them."""

    micros: int
    inexact: bool


def _micros(text: str) -> _Floor:
    if len(text) > NUMBER_CHARS_MAX:
        raise BadAmount(f"is longer than {NUMBER_CHARS_MAX} characters")
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise BadAmount("must be a JSON number")
    sign, whole, fraction, exponent = found.groups("")
    digits = int(whole + fraction)
    if sign and digits:
        raise BadAmount("must not be negative")
    shift = int(exponent or 0) - len(fraction) + FRACTION_DIGITS_MAX
    if shift >= 0:
        return _Floor(_bounded(digits * 10 ** min(shift, _SHIFT_MAX)), inexact=False)
    micros, rest = divmod(digits, 10 ** min(-shift, _SHIFT_MAX))
    return _Floor(_bounded(micros), inexact=rest != 0)


def _bounded(micros: int) -> int:
    if micros > AMOUNT_MICROS_MAX:
        raise BadAmount(f"has more than {WHOLE_DIGITS_MAX} digits before the point")
    return micros
