"""Money: exact int64 micro-units (millionths) of one currency, read from the text of a JSON number.

Nothing here is ever a float: what cannot be held exactly is refused, never rounded.
"""

from decimal import ROUND_CEILING, Context, Decimal, DecimalException

MICROS = 1_000_000
NUMBER_CHARS_MAX = 32  # More digits than any amount has; keeps 1e999999999 from being spelled out.
WHOLE_DIGITS_MAX = 13
FRACTION_DIGITS_MAX = 6
AMOUNT_MICROS_MAX = 10 ** (WHOLE_DIGITS_MAX + FRACTION_DIGITS_MAX) - 1
CURRENCY = "USD"

_EXACT = Context(prec=80)


class BadAmount(ValueError):
    """The text is not an amount; the message says what is wrong with it, fit for the caller to read."""


def parse_amount(text: str) -> int:
    """Return the micro-units a JSON number stands for; at most 13 digits before and 6 after the point."""
    value = _number(text)
    micros = value.scaleb(6, _EXACT)
    if micros != micros.to_integral_value():
        raise BadAmount(f"has more than {FRACTION_DIGITS_MAX} digits after the point")
    return _bounded(int(micros))


def parse_reported_cost(text: str) -> int:
    """Return the micro-units of a cost that is only reported, rounded up: clients send floats like 1.5e-05."""
    return _bounded(int(_number(text).scaleb(6, _EXACT).to_integral_value(ROUND_CEILING)))


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


def _number(text: str) -> Decimal:
    if len(text) > NUMBER_CHARS_MAX:
        raise BadAmount(f"is longer than {NUMBER_CHARS_MAX} characters")
    if not text or text[0] not in "-0123456789":
        raise BadAmount("must be a JSON number")
    try:
        value = _EXACT.create_decimal(text)
    except DecimalException:
        raise BadAmount("must be a JSON number") from None
    if not value.is_finite():
        raise BadAmount("must be a finite number")
    if value < 0:
        raise BadAmount("must not be negative")
    if value.adjusted() >= WHOLE_DIGITS_MAX and value:
        raise BadAmount(f"has more than {WHOLE_DIGITS_MAX} digits before the point")
    return value


def _bounded(micros: int) -> int:
    if micros > AMOUNT_MICROS_MAX:
        raise BadAmount(f"has more than {WHOLE_DIGITS_MAX} digits before the point")
    return micros
