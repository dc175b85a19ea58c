"""Which tools a policy names, and where in its definition."""

from collections.abc import Iterator

from haldir.policy.conditions.names import ANY, ToolIs
from haldir.policy.conditions.node import All, Any_, Node, Not
from haldir.policy.conditions.usage import MeterIs
from haldir.policy.fields import pointer
from haldir.policy.kinds.block_tool import BlockTool
from haldir.policy.kinds.require_approval import RequireApproval
from haldir.policy.kinds.rule import Rule
from haldir.policy.policy import Policy, ToolPolicy

Path = tuple[str | int, ...]


def tools_named(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield a JSON pointer and a tool for each that is named without a `*`."""
    match policy:
        case BlockTool():
            yield "/tool", policy.tool
        case ToolPolicy() | RequireApproval():
            names = policy.names() if isinstance(policy, ToolPolicy) else policy.tools
            yield from ((pointer("tools", at), name) for at, name in enumerate(names))
        case Rule(when=when) if when is not None:
            for path, node in nodes_of(when, ("when",)):
                yield from _tools_of(path, node)


def nodes_of(node: Node, path: Path) -> Iterator[tuple[Path, Node]]:
    """Yield all nodes of a condition, each with where it stands."""
    yield path, node
    match node:
        case All(nodes=nodes) | Any_(nodes=nodes):
            name = "all" if isinstance(node, All) else "any"
            for at, child in enumerate(nodes):
                yield from nodes_of(child, (*path, name, at))
        case Not(node=child):
            yield from nodes_of(child, (*path, "not"))


def _tools_of(path: Path, node: Node) -> Iterator[tuple[str, str]]:
    match node:
        case ToolIs(names=names):
            single = len(names) == 1
            for at, name in enumerate(names):
                if ANY not in name:
                    yield pointer(*path, "tool") if single else pointer(*path, "tool", at), name
        case MeterIs(meter=meter):
            for at, name in enumerate(meter.tools):
                yield pointer(*path, meter.what, "tools", at), name
