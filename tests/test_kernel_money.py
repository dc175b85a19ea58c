"""Money: read exactly from the text of a JSON number, or refused; never rounded, except a reported cost, upwards."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.money import (
    AMOUNT_MICROS_MAX,
    BadAmount,
    format_amount,
    parse_amount,
    parse_reported_cost,
    wire_amount,
)
from kernel_samples import amount_model, cost_model, number_texts


def read(text: str) -> int | str:
    try:
        return parse_amount(text)
    except BadAmount as fault:
        return str(fault)


NO_NUMBER, TOO_FINE, TOO_LARGE = (
    "must be a JSON number",
    "has more than 6 digits after the point",
    "has more than 13 digits before the point",
)


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("0", 0),
        ("-0", 0),
        ("-0.0e5", 0),
        ("0e999999999", 0),
        ("0e-999999999", 0),
        ("12", 12_000_000),
        ("12.5", 12_500_000),
        ("0.000001", 1),
        ("1e-6", 1),
        ("1.50000000000", 1_500_000),
        ("1.5E+3", 1_500_000_000),
        ("9999999999999.999999", AMOUNT_MICROS_MAX),
        ("0.1", 100_000),
        ("100000000000000000000e-8", 1_000_000_000_000_000_000),
        ("0.00000000000000000000000000010", TOO_FINE),
        ("0.0000001", TOO_FINE),
        ("1.0000001", TOO_FINE),
        ("1e-999999999", TOO_FINE),
        ("9999999999999.9999999", TOO_FINE),
        ("10000000000000", TOO_LARGE),
        ("1e13", TOO_LARGE),
        ("1e309", TOO_LARGE),
        ("1e999999999", TOO_LARGE),
        ("1e99999999999999999999999999999", TOO_LARGE),
        ("-1", "must not be negative"),
        ("-1e-999999999", "must not be negative"),
        ("NaN", NO_NUMBER),
        ("Infinity", NO_NUMBER),
        ("-Infinity", NO_NUMBER),
        ("nan", NO_NUMBER),
        ("sNaN", NO_NUMBER),
        ("true", NO_NUMBER),
        ("", NO_NUMBER),
        ("-", NO_NUMBER),
        ("+1", NO_NUMBER),
        ('"12"', NO_NUMBER),
        ("01", NO_NUMBER),
        ("1.", NO_NUMBER),
        (".5", NO_NUMBER),
        ("1e", NO_NUMBER),
        ("1_000", NO_NUMBER),
        ("1,5", NO_NUMBER),
        (" 1", NO_NUMBER),
        ("1 ", NO_NUMBER),
        ("1\n", NO_NUMBER),
        ("1٢", NO_NUMBER),
        ("0x10", NO_NUMBER),
        ("1" + "0" * 31, TOO_LARGE),
        ("0." + "0" * 31, "is longer than 32 characters"),
    ],
)
def test_an_amount_is_exact_or_refused_with_the_reason(text: str, micros: int | str) -> None:
    assert read(text) == micros


@given(number_texts)
def test_amounts_agree_with_decimal_arithmetic(text: str) -> None:
    found = read(text)
    assert (found if isinstance(found, int) else None) == amount_model(text)


@given(number_texts)
def test_reported_costs_agree_with_decimal_arithmetic_rounded_up(text: str) -> None:
    try:
        found = parse_reported_cost(text)
    except BadAmount:
        assert cost_model(text) is None
    else:
        assert found == cost_model(text)


@given(st.text(max_size=40))
def test_no_other_text_is_money(text: str) -> None:
    found = read(text)
    assert isinstance(found, str) or amount_model(text) == found


@pytest.mark.parametrize(
    ("text", "micros"),
    [
        ("1.5e-05", 15),
        ("0.0000001", 1),
        ("1e-999999999", 1),
        ("0", 0),
        ("0.0000010", 1),
        ("9999999999999.999999", AMOUNT_MICROS_MAX),
    ],
)
def test_a_reported_cost_is_rounded_up_to_a_micro_unit(text: str, micros: int) -> None:
    assert parse_reported_cost(text) == micros


@pytest.mark.parametrize("text", ["9999999999999.9999991", "1e13", "-1e-7", "NaN", "1" * 33])
def test_a_reported_cost_beyond_bounds_is_refused(text: str) -> None:
    with pytest.raises(BadAmount):
        parse_reported_cost(text)


@given(st.integers(0, AMOUNT_MICROS_MAX))
def test_what_is_written_is_read_as_the_same_amount(micros: int) -> None:
    assert parse_amount(format_amount(micros)) == micros


@given(st.integers(0, 10**15 - 1))
def test_the_float_on_the_wire_is_exact_to_15_digits(micros: int) -> None:
    assert parse_reported_cost(json.dumps(wire_amount(micros))) == micros


@pytest.mark.parametrize(
    ("micros", "text"), [(0, "0.00"), (1, "0.000001"), (10_500_000, "10.50"), (-1_230_000, "-1.23")]
)
def test_an_amount_is_written_with_at_least_two_digits_after_the_point(micros: int, text: str) -> None:
    assert format_amount(micros) == text
