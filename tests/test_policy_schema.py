"""The schema for editors takes every policy that Haldir takes, and points at what it does not know."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]  # Its stubs are another distribution.
import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.faces.cli.policy_code.yaml_document import read_yaml
from haldir.kernel import strict_json
from haldir.kernel.strict_json import Number
from haldir.operations.policy_changes import split_name
from haldir.operations.policy_schema import policy_schema
from haldir.policy.conditions.reading import SUBJECTS
from haldir.policy.fields import InvalidPolicy
from haldir.policy.parse import KINDS, parse
from policy_samples import definitions

DOCS = Path(__file__).parents[1] / "docs" / "policies.md"
SCHEMA = policy_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


names = st.sampled_from(["pay", "bank.pay", "bank.*"])
one_or_more = names | st.lists(names, min_size=1, max_size=3, unique=True)
numbers = st.integers(0, 1000).map(lambda number: Number(str(number)))
scalars = numbers | st.booleans() | st.text(max_size=5)
orders = st.dictionaries(st.sampled_from(["gt", "ge", "lt", "le"]), numbers, min_size=1)
counts = st.dictionaries(st.sampled_from(["gt", "le", "eq", "ne"]), numbers, min_size=1)
asked = st.one_of(
    counts,
    st.fixed_dictionaries({"in": st.lists(scalars, min_size=1, max_size=3)}),
    st.fixed_dictionaries({"contains": scalars}),
    st.fixed_dictionaries({"eq": scalars, "ne": scalars}),
    st.fixed_dictionaries({"length": counts}),
    st.just({"matches": "^a+$"}),
)
tools: st.SearchStrategy[dict[str, list[str]]] = st.just({}) | st.just({"tools": ["pay", "bank.pay"]})
windows = st.tuples(st.sampled_from(["session", "agent", "tenant"]), tools).map(
    lambda drawn: {"per": drawn[0], "within_seconds": Number("3600"), **drawn[1]}
)
time_leaf = st.sampled_from(
    [
        {"weekdays": ["mon", "sun"]},
        {"start_hour": Number("22"), "end_hour": Number("6"), "zone": "Europe/Berlin"},
        {"dates": ["2026-12-24/2027-01-02", "2026-11-25"]},
        {"dates": "2026-11-25"},
    ]
)
leaves = st.one_of(
    st.tuples(st.sampled_from(["tool", "upstream", "agent", "session"]), one_or_more).map(
        lambda drawn: {drawn[0]: drawn[1]}
    ),
    st.just({"scope": ["execute:bank", "read"]}),
    asked.map(lambda drawn: {"argument": "/a/0/b~1c", **drawn}),
    st.booleans().map(lambda drawn: {"argument": "", "exists": drawn}),
    counts.map(lambda drawn: {"sum": "/items/*/price", **drawn}),
    time_leaf.map(lambda drawn: {"time": drawn}),
    st.tuples(st.sampled_from(["calls", "spend"]), windows, orders).map(lambda drawn: {drawn[0]: drawn[1], **drawn[2]}),
    orders.map(lambda drawn: {"spend": {"per": "call"}, **drawn}),
)
conditions = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.tuples(st.sampled_from(["all", "any"]), st.lists(inner, min_size=1, max_size=3)).map(
            lambda drawn: {drawn[0]: drawn[1]}
        ),
        inner.map(lambda drawn: {"not": drawn}),
    ),
    max_leaves=6,
)
rules = st.one_of(
    conditions.map(lambda when: {"type": "rule", "effect": "deny", "reason": "No.", "when": when, "mode": "shadow"}),
    conditions.map(lambda when: {"type": "rule", "effect": "hold", "reason": "Wait.", "when": when, "four_eyes": True}),
    st.just({"type": "rule", "effect": "allow", "reason": "Fine."}),
    orders.map(lambda drawn: {"type": "require_approval", "amount_over": next(iter(drawn.values())), "agents": "a-*"}),
    st.just({"type": "require_approval", "tools": ["pay"], "agents": ["a", "b"], "approvers": Number("2")}),
)


def plain(tree: Any) -> Any:
    return json.loads(strict_json.encode(tree))


def valid(tree: Any) -> bool:
    return bool(VALIDATOR.is_valid(plain(tree)))


def examples() -> list[Any]:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    trees = [read_yaml(block.encode()).tree for block in blocks]
    return [each for tree in trees for each in (tree if isinstance(tree, list) else [tree]) if "type" in each]


def members(tree: Any) -> list[dict[str, Any]]:
    """Return the objects of a definition whose members Haldir knows: all but what arguments are compared with."""
    match tree:
        case dict():
            return [tree, *(found for value in tree.values() for found in members(value))]
        case list():
            return [found for value in tree for found in members(value)]
    return []


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_every_kind_and_every_field_of_it_is_in_the_schema() -> None:
    kinds = {each["if"]["properties"]["type"]["const"]: each["then"] for each in SCHEMA["$defs"]["policy"]["allOf"]}
    assert set(kinds) == set(KINDS) == set(SCHEMA["$defs"]["policy"]["properties"]["type"]["enum"])
    for name, kind in KINDS.items():
        assert set(kinds[name]["properties"]) == {"type", "name", *kind.__struct_encode_fields__}
    subjects = {each["if"]["required"][0]: each["then"] for each in SCHEMA["$defs"]["condition"]["allOf"]}
    assert {name: set(schema["properties"]) for name, schema in subjects.items()} == {
        name: {name, *others} for name, others in SUBJECTS.items()
    }


@given(definition=definitions | rules)
def test_whatever_haldir_takes_the_schema_takes(definition: dict[str, Any]) -> None:
    parse(definition)
    assert valid(definition)
    assert valid([definition, {**definition, "name": "x"}])


@given(definition=definitions | rules, where=st.integers(0, 100))
def test_a_field_that_is_not_known_is_pointed_at_wherever_it_stands(definition: dict[str, Any], where: int) -> None:
    tree = plain(definition)
    objects = members(tree)
    objects[where % len(objects)]["unheard_of"] = 1
    assert not VALIDATOR.is_valid(tree)


def test_every_example_of_the_documentation_is_a_policy_and_fits_the_schema() -> None:
    found = examples()
    assert {each["type"] for each in found} >= {"rule", "require_approval", "block_tool", "time_window"}
    for example in found:
        parse(split_name(example)[1])
        assert valid(example), example


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "just text",
        "{type: unheard_of}",
        "{type: block_tool}",
        "{type: block_tool, tool: a b}",
        "{type: block_tool, tool: x, tol: y}",
        "{type: block_tool, tool: x, name: pol_x}",
        "{type: block_tool, tool: x, mode: quiet}",
        "{type: deny_list, tools: []}",
        "{type: deny_list, tools: [x, x]}",
        "{type: spend_limit, max: -1}",
        "{type: spend_limit, max: '1'}",
        "{type: rate_limit, max_per_minute: 0}",
        "{type: time_window, start_hour: 8, end_hour: 25}",
        "{type: require_approval, approvers: 11}",
        "{type: rule, effect: deny}",
        "{type: rule, effect: deny, reason: No., when: {}}",
        "{type: rule, effect: deny, reason: No., when: {tol: x}}",
        "{type: rule, effect: deny, reason: No., when: {tool: x, agent: y}}",
        "{type: rule, effect: deny, reason: No., when: {argument: /x}}",
        "{type: rule, effect: deny, reason: No., when: {argument: x, eq: 1}}",
        "{type: rule, effect: deny, reason: No., when: {all: []}}",
        "{type: rule, effect: deny, reason: No., when: {not: {any: [{toool: x}]}}}",
        "{type: rule, effect: deny, reason: No., when: {calls: {per: call}, gt: 1}}",
        "{type: rule, effect: deny, reason: No., when: {calls: {per: agent, within: 60}, gt: 1}}",
        "{type: rule, effect: deny, reason: No., when: {time: {weekdays: [monday]}}}",
    ],
)
def test_what_haldir_refuses_for_its_form_the_schema_refuses(text: str) -> None:
    tree = read_yaml(text.encode()).tree
    with pytest.raises(InvalidPolicy):
        parse(split_name(tree)[1] if isinstance(tree, dict) else tree)
    assert not valid(tree)
