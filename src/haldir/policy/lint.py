"""What is wrong, or odd, with a set of definitions: found before they decide anything. Pure.

An error is a policy that cannot mean what it says; a warning one that stands, and may not do what its author thinks.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import msgspec

from haldir.policy.bounds import too_many_windows
from haldir.policy.conditions.arguments import SumIs
from haldir.policy.conditions.names import ANY, UpstreamIs
from haldir.policy.conditions.node import Node
from haldir.policy.fields import InvalidPolicy, pointer
from haldir.policy.kinds.allow_list import AllowList
from haldir.policy.kinds.rule import Rule
from haldir.policy.lint_conditions import faults
from haldir.policy.lint_schemas import has_pointer, pointer_of, schemas_of
from haldir.policy.lint_shadowed import shadowed
from haldir.policy.parse import parse
from haldir.policy.policy import Policy
from haldir.policy.tools_named import nodes_of, tools_named

TOOLS_SHOWN = 3

Severity = Literal["error", "warning"]
Definition = tuple[str, Any]  # What the policy is called, and what it says: a tree of `kernel.strict_json`.
Schemas = Mapping[str, Any]  # Input schemas by tool.


class Finding(msgspec.Struct, frozen=True):
    """What is wrong with which policy, and a JSON pointer (RFC 6901) to where in its definition."""

    severity: Severity
    policy: str
    pointer: str
    message: str


class Catalogue(msgspec.Struct, frozen=True):
    """The upstreams there are, each with the input schemas of its tools; None where those are not known."""

    upstreams: Mapping[str, Schemas | None] = {}


def lint(definitions: Sequence[Definition], catalogue: Catalogue, only: frozenset[str] | None = None) -> list[Finding]:
    """Return what is to be said of definitions that are to stand together, in their order; or of `only` some."""
    found: list[Finding] = []
    policies: list[tuple[str, Policy]] = []
    for name, definition in definitions:
        try:
            policies.append((name, parse(definition)))
        except InvalidPolicy as fault:
            found.append(Finding("error", name, fault.pointer, fault.message))
    wanted = [(name, policy) for name, policy in policies if only is None or name in only]
    for name, policy in wanted:
        found += _alone(name, policy, catalogue)
    found += [Finding("warning", name, "", message) for name, message in shadowed(policies, only)]
    found += [Finding("error", name, "", message) for name, message in too_many_windows(policies)]
    order = {name: at for at, (name, _) in enumerate(definitions)}
    return sorted((each for each in found if only is None or each.policy in only), key=lambda each: order[each.policy])


def _alone(name: str, policy: Policy, catalogue: Catalogue) -> Iterator[Finding]:
    yield from _unknown_tools(name, policy, catalogue)
    if isinstance(policy, AllowList) and not policy.tools:
        message = "An empty allow_list denies every call; say that with a rule: effect deny, and no condition."
        yield Finding("error", name, "/tools", message)
    if not isinstance(policy, Rule):
        return
    if policy.effect == "allow":
        message = "An allow rule only names what may happen anyway; it never lifts what another policy forbids."
        yield Finding("warning", name, "/effect", message)
    if policy.when is not None:
        for fault in faults(policy.when, ("when",)):
            yield Finding("error" if fault.never else "warning", name, fault.pointer, fault.message)
        yield from _unknown_upstreams(name, policy.when, catalogue)
        yield from _unknown_pointers(name, policy.when, catalogue)


def _unknown_tools(name: str, policy: Policy, catalogue: Catalogue) -> Iterator[Finding]:
    for at, tool in tools_named(policy):
        upstream, _, rest = tool.partition(".")
        if any(schemas and tool in schemas for schemas in catalogue.upstreams.values()):
            continue  # A name of its own, though it may have dots.
        if not rest or upstream not in catalogue.upstreams:
            yield Finding("warning", name, at, f"No connected upstream is known to have a tool {tool!r}.")
            continue
        schemas = catalogue.upstreams[upstream]
        if schemas is None:
            message = f"Nobody could ask {upstream!r} for its tools, so it is not known whether it has {rest!r}."
            yield Finding("warning", name, at, message)
        elif rest not in schemas:
            yield Finding("error", name, at, f"The upstream {upstream!r} has no tool {rest!r}.")


def _unknown_upstreams(name: str, when: Node, catalogue: Catalogue) -> Iterator[Finding]:
    for path, node in nodes_of(when, ("when",)):
        for upstream in node.names if isinstance(node, UpstreamIs) else ():
            if ANY not in upstream and upstream not in catalogue.upstreams:
                yield Finding("warning", name, pointer(*path, "upstream"), f"There is no upstream {upstream!r}.")


def _unknown_pointers(name: str, when: Node, catalogue: Catalogue) -> Iterator[Finding]:
    """Say of arguments that none of the tools which the rule names has them."""
    keys = when.concerns(wanted=True)
    if keys is None:
        return  # It concerns every call, and of these nothing is known.
    tools = schemas_of(catalogue.upstreams, keys)
    for path, node in nodes_of(when, ("when",)) if tools else ():
        asked = pointer_of(node)
        if asked is None:
            continue
        where, field = asked
        answers = {has_pointer(schema, where, sums=isinstance(node, SumIs)) for schema in tools.values()}
        if "known" not in answers:
            unsure = "open" in answers or _may_mean_others(keys, catalogue)
            message = f"The input schema of {', '.join(islice(tools, TOOLS_SHOWN))} has no {where!r}."
            yield Finding("warning" if unsure else "error", name, pointer(*path, field), message)


def _may_mean_others(keys: Iterable[str], catalogue: Catalogue) -> bool:
    """Tell whether an upstream that could not be asked may have a tool by one of these names."""
    return None in catalogue.upstreams.values() and any("." not in key and "/" not in key for key in keys)
