"""Pointers into arguments held against the input schemas of the tools that a rule is about.

What a schema does not list is refused where it closes the door (`additionalProperties: false`), and odd where it lists
others and leaves it open. Where a schema speaks by reference or by alternatives, nothing is said.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from haldir.policy.conditions.arguments import ArgumentExists, ArgumentIs, SumIs
from haldir.policy.conditions.node import Node
from haldir.policy.conditions.pointers import EVERY, steps_of

UNCLEAR = frozenset(
    {
        "$ref",
        "$dynamicRef",
        "allOf",
        "anyOf",
        "oneOf",
        "if",
        "not",
        "patternProperties",
        "prefixItems",
        "dependentSchemas",
    }
)
NO_OBJECT = frozenset({"string", "number", "integer", "boolean", "null"})

Answer = Literal["known", "open", "closed"]  # It is listed or may well be, it is not listed, it cannot be.


def pointer_of(node: Node) -> tuple[str, str] | None:
    """Return the pointer that a leaf follows, and the field that it stands in."""
    match node:
        case ArgumentIs(pointer=pointer):
            return pointer, "argument"
        case ArgumentExists(pointer=pointer, exists=True):
            return pointer, "argument"
        case SumIs(pointer=pointer):
            return pointer, "sum"
    return None


def has_pointer(schema: Any, pointer: str, *, sums: bool) -> Answer:
    """Say whether arguments by a schema may have what the pointer leads to."""
    return _has(schema, steps_of(pointer), sums=sums)


def schemas_of(upstreams: Mapping[str, Mapping[str, Any] | None], names: frozenset[str]) -> Iterator[tuple[str, Any]]:
    """Yield the known tools that go by one of these names, each with its schema."""
    for upstream, tools in upstreams.items():
        for tool, schema in (tools or {}).items():
            if tool in names or f"{upstream}.{tool}" in names:
                yield f"{upstream}.{tool}", schema


def _has(schema: Any, steps: tuple[str, ...], *, sums: bool) -> Answer:
    if not steps or not isinstance(schema, dict) or not UNCLEAR.isdisjoint(schema):
        return "known"
    step, rest = steps[0], steps[1:]
    kind = schema.get("type")
    if kind in NO_OBJECT:
        return "closed"
    if kind == "array" or (sums and step == EVERY and kind is None):
        items = schema.get("items")
        return _has(items, rest, sums=sums) if step == EVERY or step.isdecimal() else "closed"
    properties = schema.get("properties")
    if isinstance(properties, dict) and step in properties:
        return _has(properties[step], rest, sums=sums)
    more = schema.get("additionalProperties")
    if more is False:
        return "closed"
    if isinstance(more, dict):
        return _has(more, rest, sums=sums)
    return "open" if isinstance(properties, dict) and properties else "known"
