"""Laws of scopes: what covers what, worked out from the words alone, and what is a scope at all."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.gate.scopes import key_covers, key_covers_all, parse_key_scopes, parse_session_scopes
from haldir.kernel.errors import InvalidRequest, InvalidScope
from haldir.kernel.scopes import covering, covers

RESOURCES = ("admin", "approvals", "audit", "payloads", "payments", "proxy", "sessions", "vault", "webhooks")
KEY_SCOPES = (
    "*",
    *(f"{resource}:{action}" for resource in RESOURCES for action in ("read", "write", "*")),
    "approvals:request",
)
BOUND = "a scope is 1 to 300 printable characters without spaces"

word = st.sampled_from(["a", "b", "ab", "*", ""])
scope = st.lists(word, min_size=1, max_size=3).map(":".join)
key_scopes = st.lists(st.sampled_from(KEY_SCOPES), unique=True, max_size=4).map(tuple)


def covers_by_words(granted: str, wanted: str) -> bool:
    above = granted.split(":")
    if above[-1] == "*" and len(above) > 1:
        above = above[:-1]
    below = wanted.split(":")
    return granted in ("*", wanted) or (len(below) > len(above) and below[: len(above)] == above)


@given(st.lists(scope, max_size=3), scope)
def test_a_scope_covers_itself_and_what_begins_with_it_and_a_colon(granted: list[str], wanted: str) -> None:
    assert covers(granted, wanted) == any(covers_by_words(each, wanted) for each in granted)


def allows(granted: str) -> set[str]:
    """Return every act that a key scope allows, as resource and one action."""
    acts = {f"{resource}:{action}" for resource in RESOURCES for action in ("read", "write")} | {"approvals:request"}
    resource, _, action = granted.partition(":")
    if granted == "*":
        return acts
    return {act for act in acts if act.startswith(f"{resource}:")} if action in ("write", "*") else {granted}


@given(key_scopes, key_scopes)
def test_a_key_makes_no_key_that_could_do_what_it_cannot(granted: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    if key_covers_all(granted, wanted):
        may = set[str]().union(*map(allows, granted))
        assert set[str]().union(*map(allows, wanted)) <= may


def test_a_key_scope_covers_the_acts_it_allows_and_the_scopes_no_broader_than_itself() -> None:
    for granted, wanted in itertools.product(KEY_SCOPES, KEY_SCOPES):
        whole = wanted.endswith("*")  # `write` allows all there is today, `*` also what will be.
        expected = granted in ("*", wanted) if whole else wanted in allows(granted)
        assert key_covers([granted], wanted) == expected, (granted, wanted)
    assert not key_covers([], "audit:read")


def test_key_scopes_are_kept_sorted_once_each_and_without_spaces_around() -> None:
    assert parse_key_scopes([" vault:read", "audit:*", "vault:read", "*"]) == ("*", "audit:*", "vault:read")
    assert [parse_key_scopes([each]) for each in KEY_SCOPES] == [(each,) for each in KEY_SCOPES]


@pytest.mark.parametrize(
    ("scopes", "message"),
    [
        ([], "scopes must not be empty"),
        (["audit"], "'audit' is no key scope"),
        (["audit:delete"], "'audit:delete' is no key scope"),
        (["*", "logs:read"], "'logs:read' is no key scope"),
        ([""], "'' is no key scope"),
        (["*:read"], "'*:read' is no key scope"),
        (["audit:request"], "'audit:request' is no key scope"),
    ],
)
def test_what_is_no_key_scope_is_refused_by_name(scopes: list[str], message: str) -> None:
    with pytest.raises(InvalidScope) as caught:
        parse_key_scopes(scopes)
    assert str(caught.value).startswith(message)
    assert caught.value.field == "scopes"


@pytest.mark.parametrize(
    ("scopes", "kept", "limit"),
    [
        ([], (), None),
        (["read", "execute:files:*", "read"], ("read", "execute:files:*"), None),
        (["read", "spend:50"], ("read", "spend"), 50_000_000),
        (["spend:0"], ("spend",), 0),
        (["spend", "spend:0.000001"], ("spend",), 1),
        (["spender:5", "spend"], ("spender:5", "spend"), None),
        (["x" * 300], ("x" * 300,), None),
        ([f"s{n}" for n in range(64)], tuple(f"s{n}" for n in range(64)), None),
    ],
)
def test_session_scopes_are_kept_in_order_and_an_amount_becomes_the_budget(
    scopes: list[str], kept: tuple[str, ...], limit: int | None
) -> None:
    assert parse_session_scopes(scopes) == (kept, limit)


@pytest.mark.parametrize(
    ("scopes", "message"),
    [
        (["spend:5", "spend:5"], "scopes name a spend:N more than once"),
        (["spend:0", "spend:0"], "scopes name a spend:N more than once"),
        (["spend:abc"], "in the scope 'spend:abc' the amount must be a JSON number"),
        (["spend:"], "in the scope 'spend:' the amount must be a JSON number"),
        (["spend:-1"], "in the scope 'spend:-1' the amount must not be negative"),
        ([f"s{n}" for n in range(65)], "more than 64 scopes"),
        ([""], BOUND),
        (["x" * 301], BOUND),
        (["a b"], BOUND),
        (["a\x00"], BOUND),
        (["a\u2003b"], BOUND),
        (["ok", "tab\t"], BOUND),
    ],
)
def test_what_is_no_session_scope_is_refused_by_name(scopes: list[str], message: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_session_scopes(scopes)
    assert (str(caught.value), caught.value.field) == (message, "scopes")


@given(scope, scope)
def test_the_scopes_that_cover_one_are_those_that_are_told(granted: str, wanted: str) -> None:
    assert (granted in set(covering(wanted))) == covers_by_words(granted, wanted)
