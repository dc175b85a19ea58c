"""Definitions of policies looked over against the tools that a tenant's upstreams really have."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from haldir.kernel import strict_json
from haldir.kernel.ids import TenantId
from haldir.operations.books import KnownUpstream
from haldir.operations.context import Context
from haldir.operations.policy_changes import NAME, NAMELESS, RESERVED, check_patterns, split_name
from haldir.operations.upstreams import discover, upstreams_of
from haldir.policy.fields import InvalidPolicy, pointer
from haldir.policy.lint import Catalogue, Definition, Finding, Schemas, Severity, lint

ASK_SECONDS = 5  # An upstream that takes longer to list its tools counts as not connected.


class PlacedFinding(NamedTuple):
    """What is wrong with which of several definitions, and a JSON pointer to where in it."""

    severity: Severity
    place: int
    pointer: str
    message: str


async def lint_definitions(
    ctx: Context, tenant: TenantId, definitions: Sequence[Definition], only: frozenset[str] | None = None
) -> list[Finding]:
    """Return what is wrong or odd with definitions that are to stand together, each with the name it goes by.

    With `only`, what is to be said of these. Raises InvalidPolicy for more patterns than one set may have.
    """
    check_patterns([definition for _, definition in definitions])
    known = await upstreams_of(ctx, tenant)
    schemas = await asyncio.gather(*(_schemas(ctx, tenant, each) for each in known.values()))
    catalogue = Catalogue(dict(zip(known, schemas, strict=True)))
    return await asyncio.to_thread(lint, definitions, catalogue, only)  # A thousand take a second.


async def lint_set(ctx: Context, tenant: TenantId, definitions: Sequence[dict[str, Any]]) -> list[PlacedFinding]:
    """Return what is wrong or odd with definitions as they are stated: with their names, or without."""
    found: list[PlacedFinding] = []
    places: dict[str, int] = {}
    nameless: list[Definition] = []
    for place, definition in enumerate(definitions):
        try:
            name, rest = split_name(definition)
        except InvalidPolicy as fault:
            found.append(PlacedFinding("error", place, fault.pointer, fault.message))
            continue
        if not name:
            found.append(PlacedFinding("warning", place, pointer(NAME), NAMELESS))
            name = f"{RESERVED}{place}"  # No name begins like this.
        if name in places:
            found.append(PlacedFinding("error", place, pointer(NAME), f"Two policies are named {name!r}."))
            continue
        places[name] = place
        nameless.append((name, rest))
    linted = await lint_definitions(ctx, tenant, nameless)
    found += [PlacedFinding(each.severity, places[each.policy], each.pointer, each.message) for each in linted]
    return sorted(found, key=lambda each: each.place)


async def _schemas(ctx: Context, tenant: TenantId, known: KnownUpstream) -> Schemas | None:
    """Return the input schemas of an upstream's tools; None if it cannot be asked."""
    try:
        async with asyncio.timeout(ASK_SECONDS):
            discovery = await discover(ctx, tenant, known)
    except TimeoutError:
        return None
    if discovery.error and not discovery.definitions:
        return None
    return {name: _tree(bytes(each.input_schema)) for name, each in discovery.definitions.items()}


def _tree(schema: bytes) -> Any:
    return strict_json.decode(schema)
