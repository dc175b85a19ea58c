"""What is wrong, or odd, with a set of definitions: found before they decide anything. Pure.

An error is a policy that cannot mean what it says; a warning one that stands, and may not do what its author thinks.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import msgspec

from haldir.policy.fields import InvalidPolicy
from haldir.policy.kinds.rule import Rule
from haldir.policy.parse import parse
from haldir.policy.policy import Policy
from haldir.policy.tools_named import tools_named

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


def lint(definitions: Sequence[Definition], catalogue: Catalogue) -> list[Finding]:
    """Return what is to be said of definitions that are to stand together, in their order."""
    found: list[Finding] = []
    for name, definition in definitions:
        try:
            policy = parse(definition)
        except InvalidPolicy as fault:
            found.append(Finding("error", name, fault.pointer, fault.message))
            continue
        found += _alone(name, policy, catalogue)
    return found


def _alone(name: str, policy: Policy, catalogue: Catalogue) -> Iterator[Finding]:
    yield from _unknown_tools(name, policy, catalogue)
    if isinstance(policy, Rule) and policy.effect == "allow":
        message = "An allow rule only names what may happen anyway; it never lifts what another policy forbids."
        yield Finding("warning", name, "/effect", message)


def _unknown_tools(name: str, policy: Policy, catalogue: Catalogue) -> Iterator[Finding]:
    for pointer, tool in tools_named(policy):
        upstream, _, rest = tool.partition(".")
        if rest and upstream in catalogue.upstreams:
            schemas = catalogue.upstreams[upstream]
            if schemas is None:
                message = f"Nobody could ask {upstream!r} for its tools, so it is not known whether it has {rest!r}."
                yield Finding("warning", name, pointer, message)
            elif rest not in schemas:
                yield Finding("error", name, pointer, f"The upstream {upstream!r} has no tool {rest!r}.")
        elif not any(schemas and tool in schemas for schemas in catalogue.upstreams.values()):
            yield Finding("warning", name, pointer, f"No connected upstream is known to have a tool {tool!r}.")
