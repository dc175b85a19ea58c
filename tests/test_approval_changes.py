"""What an approver is told of the difference between two calls' arguments: its laws, and cases one can read."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.approvals.changes import Change, changes, first_changes, shown_change
from haldir.kernel import strict_json
from haldir.kernel.strict_json import Number

NUMBERS = st.sampled_from(["0", "-0", "1", "1.0", "1e0", "10", "0.1", "12345678901234567890", "1E+400"]).map(Number)
NAMES = st.sampled_from(["", "a", "b", "a/b", "~", "~1", "0", "-", "ä"])
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text("ab", max_size=2) | st.sampled_from(["1", "true", "null"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


def steps(pointer: str) -> list[str]:
    """Read a pointer as RFC 6901 §4 says."""
    return [step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:]]


def step_into(value: Any, step: str) -> Any:
    return value[int(step)] if isinstance(value, list) else value[step]


def applied(value: Any, made: list[Change]) -> Any:
    """Make changes to a value, holding each against what is there."""
    top = {"": copy.deepcopy(value)}
    for change in made:
        holder: Any = top
        *path, last = ["", *steps(change.pointer)]
        for step in path:
            holder = step_into(holder, step)
        match change.kind:
            case "added" if isinstance(holder, list):
                assert int(last) == len(holder)
                holder.append(change.now)
            case "added":
                assert last not in holder
                holder[last] = change.now
            case "removed" | "changed":
                assert same(step_into(holder, last), change.was)
                key = int(last) if isinstance(holder, list) else last
                if change.kind == "changed":
                    holder[key] = copy.deepcopy(change.now)
                else:
                    del holder[key]
    return top[""]


def same(one: Any, other: Any) -> bool:
    """Tell whether two values are written alike: 1 is neither 1.0 nor true."""
    return strict_json.encode(one) == strict_json.encode(other)


@given(VALUES, VALUES)
def test_the_changes_from_one_value_to_another_make_the_one_the_other(was: Any, now: Any) -> None:
    made = list(changes(was, now))
    assert same(applied(was, made), now)
    assert (not made) == same(was, now)


@given(VALUES, VALUES)
def test_back_again_the_same_places_change_the_other_way(was: Any, now: Any) -> None:
    back = {"added": "removed", "removed": "added", "changed": "changed"}
    there = {(each.pointer, each.kind) for each in changes(was, now)}
    assert {(each.pointer, back[each.kind]) for each in changes(now, was)} == there


@given(VALUES)
def test_of_what_is_the_same_nothing_changed(value: Any) -> None:
    assert list(changes(value, copy.deepcopy(value))) == []


def difference(was: str, now: str) -> list[tuple[str, str, Any, Any]]:
    """Return the changes between two JSON texts, as they are shown."""
    shown = map(shown_change, changes(strict_json.decode(was.encode()), strict_json.decode(now.encode())))
    return [(each.pointer, each.kind, bytes(each.was).decode(), bytes(each.now).decode()) for each in shown]


@pytest.mark.parametrize(
    ("was", "now", "told"),
    [
        ('{"amount": 10}', '{"amount": 10.0}', [("/amount", "changed", "10", "10.0")]),
        (
            '{"a": true, "b": 1}',
            '{"a": 1, "b": true}',
            [("/a", "changed", "true", "1"), ("/b", "changed", "1", "true")],
        ),
        ('{"a": 1}', '{"a": "1"}', [("/a", "changed", "1", '"1"')]),
        ('{"a": null}', "{}", [("/a", "removed", "null", "null")]),
        ("{}", '{"to": {"iban": "DE"}}', [("/to", "added", "null", '{"iban":"DE"}')]),
        ('{"a/b": {"~": 1}}', '{"a/b": {"~": 2}}', [("/a~1b/~0", "changed", "1", "2")]),
        (
            '{"items": [1, 2]}',
            '{"items": [1, 3, 4]}',
            [("/items/1", "changed", "2", "3"), ("/items/2", "added", "null", "4")],
        ),
        ("[1, 2, 3]", "[1]", [("/2", "removed", "3", "null"), ("/1", "removed", "2", "null")]),
        ("[]", "{}", [("", "changed", "[]", "{}")]),
        ('{"b": 1, "a": 2}', '{"a": 2, "b": 1}', []),
    ],
)
def test_a_change_stands_where_it_is_smallest(was: str, now: str, told: list[Any]) -> None:
    assert difference(was, now) == told


def test_of_many_changes_the_first_hundred_are_told_and_that_there_are_more() -> None:
    hundred: dict[str, Any] = {f"{number:03}": None for number in range(100)}
    found, more = first_changes({}, hundred)
    assert ([each.pointer for each in found], more) == ([f"/{name}" for name in hundred], False)
    found, more = first_changes({}, {**hundred, "more": None})
    assert (len(found), found[-1].pointer, more) == (100, "/099", True)


@pytest.mark.parametrize("side", ["was", "now"])
def test_a_long_value_is_cut_and_says_how_long_it_is(side: str) -> None:
    def shown(chars: int) -> Any:
        values = {"was": None, "now": None, side: "x" * chars}
        return shown_change(Change("/text", "changed", **values))

    assert (bytes(getattr(shown(1998), side)), shown(1998).cut) == (b'"' + b"x" * 1998 + b'"', False)
    cut = shown(1999)
    assert json.loads(bytes(getattr(cut, side))) == '"' + "x" * 1999 + "… (2001 characters)"
    assert cut.cut
