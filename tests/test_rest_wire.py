"""JSON becomes request structs exactly, or a refusal that names the field."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel import strict_json
from haldir.kernel.errors import InvalidRequest
from haldir.kernel.strict_json import Number
from haldir.operations.wire import Amount, Cost, JsonObject, decode_request


class Part(msgspec.Struct, frozen=True):
    price: Amount
    name: str = ""


class Everything(msgspec.Struct, frozen=True):
    agent: str
    amount: Amount | None = None
    cost: Cost | None = None
    ttl: int | None = None
    rate: float = 1.0
    flag: bool = False
    scopes: list[str] | str | None = None
    parts: list[Part] = []
    headers: dict[str, str] = {}
    arguments: JsonObject = msgspec.field(default_factory=JsonObject)
    details: Any = None


def decoded(body: str, **texts: str) -> Everything:
    return decode_request(Everything, strict_json.decode(body.encode()), texts)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"agent": "a"}', Everything("a")),
        ('{"agent": "a", "unknown": [{"x": null}]}', Everything("a")),
        ('{"agent": "a", "ttl": null, "flag": null, "parts": null, "details": null}', Everything("a")),
        ('{"agent": "a", "amount": 0.10}', Everything("a", amount=Amount(100_000))),
        ('{"agent": "a", "amount": 1e2, "rate": 2}', Everything("a", amount=Amount(100_000_000), rate=2.0)),
        ('{"agent": "a", "cost": "1.5e-05"}', Everything("a", cost=Cost(15))),
        ('{"agent": "a", "cost": 0.00000001}', Everything("a", cost=Cost(1))),
        ('{"agent": "a", "ttl": 60, "scopes": ["x"]}', Everything("a", ttl=60, scopes=["x"])),
        ('{"agent": "a", "scopes": "x,y"}', Everything("a", scopes="x,y")),
        ('{"agent": "a", "parts": [{"price": 3, "name": null}]}', Everything("a", parts=[Part(Amount(3_000_000))])),
        ('{"agent": "a", "arguments": {"n": 1.50}}', Everything("a", arguments=JsonObject(n=Number("1.50")))),
        ('{"agent": "a", "details": [1.0, "x"]}', Everything("a", details=[Number("1.0"), "x"])),
    ],
)
def test_what_fits_is_taken_exactly_and_what_nobody_asked_for_is_ignored(body: str, expected: Everything) -> None:
    assert decoded(body) == expected


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ("", "agent"),
        ('"agent": null', "agent"),
        ('"agent": 1', "agent"),
        ('"agent": "a\\u0000b"', "agent"),
        ('"agent": "a", "amount": "12"', "amount"),
        ('"agent": "a", "amount": true', "amount"),
        ('"agent": "a", "amount": -1', "amount"),
        ('"agent": "a", "amount": 1e309', "amount"),
        ('"agent": "a", "amount": 0.0000001', "amount"),
        ('"agent": "a", "amount": [1]', "amount"),
        ('"agent": "a", "cost": "much"', "cost"),
        ('"agent": "a", "cost": ""', "cost"),
        ('"agent": "a", "cost": false', "cost"),
        ('"agent": "a", "ttl": 1.5', "ttl"),
        ('"agent": "a", "ttl": "60"', "ttl"),
        ('"agent": "a", "ttl": true', "ttl"),
        (f'"agent": "a", "ttl": 1{"0" * 30}', "ttl"),
        (f'"agent": "a", "ttl": {2**63}', "ttl"),
        ('"agent": "a", "rate": 1e999', "rate"),
        ('"agent": "a", "flag": 1', "flag"),
        ('"agent": "a", "scopes": [1]', "scopes[0]"),
        ('"agent": "a", "scopes": {}', "scopes"),
        ('"agent": "a", "scopes": ["a\\u0000"]', "scopes[0]"),
        ('"agent": "a", "parts": [{"price": 1}, {"price": "1"}]', "parts[1].price"),
        ('"agent": "a", "parts": [{}]', "parts[0].price"),
        ('"agent": "a", "headers": {"x": 1}', "headers[...]"),
        ('"agent": "a", "arguments": null', "arguments"),
        ('"agent": "a", "arguments": [1]', "arguments"),
    ],
)
def test_what_does_not_fit_is_refused_by_the_name_of_its_field(members: str, field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decoded(f"{{{members}}}")
    assert refused.value.field == field
    assert f"`{field}`" in refused.value.message


class Listing(msgspec.Struct, frozen=True):
    name: str = ""
    limit: int = 10
    flagged: bool | None = None


def test_texts_of_path_and_query_are_read_by_the_type_of_their_field_and_win_over_members() -> None:
    read = decode_request(Listing, {"name": "member"}, {"name": "text", "limit": "7", "flagged": "True"})
    assert read == Listing("text", 7, True)


@pytest.mark.parametrize(
    ("texts", "field"),
    [
        ({"limit": "abc"}, "limit"),
        ({"limit": ""}, "limit"),
        ({"limit": "1.0"}, "limit"),
        ({"limit": "１"}, "limit"),  # noqa: RUF001 - a digit, but not one of ours.
        ({"limit": "9" * 40}, "limit"),
        ({"flagged": "maybe"}, "flagged"),
        ({"name": "a\0b"}, "name"),
    ],
)
def test_a_text_that_does_not_fit_is_refused_by_the_name_of_its_field(texts: dict[str, str], field: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_request(Listing, {}, texts)
    assert refused.value.field == field


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.text(max_size=8)
    | st.from_regex(r"-?[0-9]{1,25}(\.[0-9]{1,9})?(e-?[0-9]{1,3})?", fullmatch=True).map(Number),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from([*Everything.__struct_fields__, "other"]), json_values))
def test_any_members_are_decoded_or_refused(members: dict[str, Any]) -> None:
    try:
        named = decode_request(Everything, members, {}).__class__.__name__
    except InvalidRequest as refused:
        named = refused.field or ""
    assert named
