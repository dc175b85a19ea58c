"""Pointers into arguments held against the input schemas of the tools that a rule is about.

What a schema does not list is refused where it closes the door (`additionalProperties: false`), and odd where it lists
others and leaves it open. Where a schema speaks by reference or by alternatives, nothing is said.
"""

from collections.abc import Mapping
from typing import Any, Literal

from haldir.policy.conditions.arguments import ArgumentExists, ArgumentIs, SumIs
from haldir.policy.conditions.names import keys_of
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
NO_OBJECT = ("string", "number", "integer", "boolean", "null", "array")
UNTYPED = ["object", "array"]  # What a schema without a type may describe, where a pointer goes on.

Answer = Literal["known", "open", "closed"]  # It is listed or may well be, it is not listed, it cannot be.
ANSWERS: tuple[Answer, ...] = ("known", "open", "closed")  # Where a value may be of several types, the first counts.


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


def schemas_of(upstreams: Mapping[str, Mapping[str, Any] | None], keys: frozenset[str]) -> dict[str, Any]:
    """Return the tools whose calls have one of these keys, each with its schema; none if a key leads to none."""
    found: dict[str, Any] = {}
    met: set[str] = set()
    for upstream, tools in upstreams.items():
        for tool, schema in (tools or {}).items():
            shared = keys.intersection(keys_of(upstream, tool))
            if shared:
                found[f"{upstream}.{tool}"] = schema
                met |= shared
    return found if met == keys else {}


def _has(schema: Any, steps: tuple[str, ...], *, sums: bool) -> Answer:
    if not steps or not isinstance(schema, dict) or not UNCLEAR.isdisjoint(schema):
        return "known"
    kind = schema.get("type", UNTYPED)
    kinds = kind if isinstance(kind, list) else [kind]
    answers: list[Answer] = ["closed"]
    if "array" in kinds:
        answers.append(_in_list(schema, steps, sums=sums))
    if any(each not in NO_OBJECT for each in kinds):
        answers.append(_in_object(schema, steps, sums=sums))
    return min(answers, key=ANSWERS.index)


def _in_list(schema: dict[str, Any], steps: tuple[str, ...], *, sums: bool) -> Answer:
    step, *rest = steps
    if step.isdecimal() or (sums and step == EVERY):
        return _has(schema.get("items"), tuple(rest), sums=sums)
    return "closed"


def _in_object(schema: dict[str, Any], steps: tuple[str, ...], *, sums: bool) -> Answer:
    step, *rest = steps
    if sums and step == EVERY:
        return "closed"
    properties, more = schema.get("properties"), schema.get("additionalProperties")
    listed = properties if isinstance(properties, dict) else {}
    if step in listed:
        return _has(listed[step], tuple(rest), sums=sums)
    if more is False:
        return "closed"
    if isinstance(more, dict):
        return _has(more, tuple(rest), sums=sums)
    return "open" if listed else "known"
