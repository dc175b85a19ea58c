"""JSON that everyone reads alike, or none at all."""

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.strict_json import DEPTH_MAX, NUMBER_CHARS_MAX, Malformed, Number, decode, encode
from kernel_samples import number_texts

DUPLICATE, SURROGATE = (
    "a member stands twice in one object",
    "the body has half of a surrogate pair, which is no character",
)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b" null\n", None),
        (b"true", True),
        (b'"\\u00e9\\ud83d\\ude00"', "é😀"),
        ('"é😀"'.encode(), "é😀"),
        (b"-0.10E+5", Number("-0.10E+5")),
        (b"123456789012345678901234567890", Number("123456789012345678901234567890")),
        (b"1e999999", Number("1e999999")),
        (b'{"a":{"b":1},"b":[1.0,{"a":null}]}', {"a": {"b": Number("1")}, "b": [Number("1.0"), {"a": None}]}),
        (b'{"":0," ":1}', {"": Number("0"), " ": Number("1")}),
        (b'{"a":1,"A":2}', {"a": Number("1"), "A": Number("2")}),
        (b'"NaN"', "NaN"),
    ],
)
def test_a_value_is_read_with_the_text_of_its_numbers(body: bytes, value: Any) -> None:
    assert decode(body) == value


@pytest.mark.parametrize(
    ("body", "reason", "field"),
    [
        (b"", "the body is not JSON: Expecting value at character 0", None),
        (b"{", "the body is not JSON: ", None),
        (b"[1,]", "the body is not JSON: ", None),
        (b"{} {}", "the body is not JSON: Extra data at character 3", None),
        (b"01", "the body is not JSON: ", None),
        (b"'a'", "the body is not JSON: ", None),
        (b'"\x01"', "the body is not JSON: ", None),
        (b'"\n"', "the body is not JSON: ", None),
        (b'"\\x"', "the body is not JSON: ", None),
        (b"\xef\xbb\xbf{}", "the body is not JSON: ", None),
        (b"\xff\xfe{\x00}\x00", "the body is not UTF-8", None),
        (b'"\xc0\xaf"', "the body is not UTF-8", None),
        (b'"\xed\xa0\x80"', "the body is not UTF-8", None),
        (b'{"a":1,"a":1}', DUPLICATE, "a"),
        (b'{"x":[{"y":{"c":2,"b":1,"\\u0062":3}}]}', DUPLICATE, "b"),
        (b'{"a":NaN}', "NaN is not a JSON number", "a"),
        (b'{"x":{"amount":-Infinity}}', "-Infinity is not a JSON number", "amount"),
        (b'{"a":[[1,[Infinity]]]}', "Infinity is not a JSON number", "a"),
        (b"[[NaN]]", "NaN is not a JSON number", None),
        (b"NaN", "NaN is not a JSON number", None),
        (b'"\\ud800"', SURROGATE, None),
        (b'{"a":["\\udc00\\ud800"]}', SURROGATE, None),
        (b'{"\\ud83d":1}', SURROGATE, None),
        (b'{"\\ud83d":1,"\\ud83d":2}', DUPLICATE, "?"),
        (b'{"\\ud83d":NaN}', "NaN is not a JSON number", "?"),
        (b"1" * (NUMBER_CHARS_MAX + 1), "a number is longer than 4096 characters", None),
    ],
)
def test_what_could_be_read_in_two_ways_is_refused_with_the_member_at_fault(
    body: bytes, reason: str, field: str | None
) -> None:
    with pytest.raises(Malformed) as refusal:
        decode(body)
    assert refusal.value.reason.startswith(reason)
    assert refusal.value.field == field


@pytest.mark.parametrize(("opening", "closing", "repeats"), [("[", "]", 64), ('{"a":', "}", 64), ('[{"a":', "}]", 32)])
def test_64_levels_are_read_and_65_are_not(opening: str, closing: str, repeats: int) -> None:
    deepest = opening * repeats + "1" + closing * repeats
    decode(deepest.encode())
    with pytest.raises(Malformed, match=f"more than {DEPTH_MAX} levels"):
        decode(f"[{deepest}]".encode())


@pytest.mark.parametrize("start", ["", '"', "\\", '"\\"'])
def test_brackets_inside_strings_are_no_levels(start: str) -> None:
    value = [start + "[{" * 100, ["]" * 100]]
    assert decode(json.dumps(value).encode()) == value


def test_what_stands_beside_the_deepest_level_makes_no_difference() -> None:
    beside, deepest = "[],{}," * 100, "[" * (DEPTH_MAX - 1) + "]" * (DEPTH_MAX - 1)
    decode(f"[{beside}{deepest}]".encode())
    with pytest.raises(Malformed, match=f"more than {DEPTH_MAX} levels"):
        decode(f"[{beside}[{deepest}]]".encode())


def test_many_values_side_by_side_are_no_levels() -> None:
    body = b"[" + b",".join([b'{"a":[]}'] * 10_000) + b"]"
    assert len(decode(body)) == 10_000


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 500_000,
        b"[" * 65 + b'"' + b'\\"' * 500_000,  # A string that never ends, and could be tried from each of its quotes.
        b'{"a":' * 200_000,
        b"{" + b",".join(b'"%d":0' % number for number in range(100_000)) + b',"99999":0}',
        b"[" + b"9" * 1_000_000,
        b'"' + b"\\ud800" * 160_000 + b'"',
    ],
    ids=["brackets", "quotes", "objects", "members", "digits", "surrogates"],
)
def test_a_megabyte_made_to_be_slow_is_refused_quickly(body: bytes) -> None:
    started = time.process_time()
    with pytest.raises(Malformed):
        decode(body)
    assert time.process_time() - started < 2


def test_a_number_is_its_text_and_no_string() -> None:
    longest = "1" * NUMBER_CHARS_MAX
    assert decode(longest.encode()) == Number(longest)
    assert decode(b"1") != decode(b"1.0")
    assert decode(b"1") != decode(b'"1"')


def test_an_endless_name_is_shown_by_its_beginning() -> None:
    name = "x" * 100_000
    with pytest.raises(Malformed) as refusal:
        decode(f'{{"{name}":1,"{name}":2}}'.encode())
    assert refusal.value.field == "x" * 128


trees = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8) | number_texts.map(Number),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
values = st.recursive(
    st.none() | st.booleans() | st.text(max_size=8) | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


@given(trees)
def test_what_is_encoded_is_read_back_with_the_text_of_its_numbers(tree: Any) -> None:
    assert decode(encode(tree)) == tree


@given(trees)
def test_equal_trees_have_equal_bytes_whatever_the_order_of_members(tree: Any) -> None:
    assert encode(reversed_members(tree)) == encode(tree)


@given(values, st.booleans(), st.sampled_from([None, 2]))
def test_reading_agrees_with_the_standard_library(value: Any, ascii_only: bool, indent: int | None) -> None:  # noqa: FBT001 - drawn.
    text = json.dumps(value, ensure_ascii=ascii_only, indent=indent)
    assert plain(decode(text.encode())) == json.loads(text)


@given(st.binary(max_size=40) | st.text('[]{}":,\\ud80019.-eNa ', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        value = decode(body)
    except Malformed:
        return
    assert plain(value) == json.loads(body)


def reversed_members(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: reversed_members(tree[name]) for name in reversed(tree)}
    return [reversed_members(item) for item in tree] if isinstance(tree, list) else tree


def plain(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: plain(value) for name, value in tree.items()}
    if isinstance(tree, list):
        return [plain(item) for item in tree]
    return json.loads(tree.text) if isinstance(tree, Number) else tree
