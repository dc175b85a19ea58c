"""Texts of numbers, and what decimal arithmetic makes of them: the model that money is held against."""

import json
import re
from decimal import ROUND_CEILING, Context, Decimal

from hypothesis import strategies as st

_WIDE = Context(prec=500, Emax=10**9, Emin=-(10**9))
_JSON_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?")

_digits = st.text("0123456789", min_size=1, max_size=16)
number_texts = (
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "", "", "-"]),
        st.integers(0, 10**15).map(str),
        st.just("") | _digits.map(lambda digits: f".{digits}"),
        st.just("")
        | st.builds("{}{}{}".format, st.sampled_from("eE"), st.sampled_from(["", "+", "-"]), st.integers(0, 400)),
    )
    | st.floats(allow_nan=False, allow_infinity=False).map(json.dumps)
    | st.integers(0, 10**9).map(lambda micros: f"{micros / 10**6}")
)


def _value(text: str) -> Decimal | None:
    if len(text) > 32 or not _JSON_NUMBER.fullmatch(text):
        return None
    value = _WIDE.create_decimal(text)
    return None if value < 0 else value


def amount_model(text: str) -> int | None:
    """Return the micro-units of an exact amount; None if it must be refused."""
    value = _value(text)
    if value is None or value >= 10**13 or (value and value.adjusted() < -6):
        return None
    micros = value.scaleb(6, _WIDE)
    return int(micros) if micros == micros.to_integral_value() else None


def cost_model(text: str) -> int | None:
    """Return the micro-units of a reported cost, rounded up; None if it must be refused."""
    value = _value(text)
    if value is None or value >= 10**13:
        return None
    if value and value.adjusted() < -6:
        return 1
    micros = int(value.scaleb(6, _WIDE).to_integral_value(ROUND_CEILING))
    return micros if micros < 10**19 else None
