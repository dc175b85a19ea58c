"""Conditions that can never be met, or always are: contradictory ranges, opposites side by side, counts of nothing.

Sound, not complete: what is said here is so, and what is not said may be so all the same.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from haldir.kernel.money import format_amount
from haldir.kernel.strict_json import Number
from haldir.policy.conditions.arguments import ArgumentExists, ArgumentIs, SumIs
from haldir.policy.conditions.comparison import Comparison, same
from haldir.policy.conditions.names import ANY, AgentIs, SessionIs, ToolIs, UpstreamIs
from haldir.policy.conditions.node import All, Any_, Node, Not
from haldir.policy.conditions.usage import MeterIs, PriceIs
from haldir.policy.fields import pointer

NEGATED = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}

Path = tuple[str | int, ...]
Group = type[All] | type[Any_]


class Fault(NamedTuple):
    """What is so of a condition, and where it stands."""

    never: bool  # Or else always.
    pointer: str
    message: str


class Literal_(NamedTuple):  # noqa: N801 - `Literal` is typing's.
    """A leaf, or a group, and whether it has to hold or must not."""

    path: Path
    node: Node
    wanted: bool


class Bound(NamedTuple):
    """One comparison of something that is a number: of `subject`, which is whole or not."""

    subject: tuple[Any, ...]
    op: str
    value: Decimal
    whole: bool
    text: str  # The value as its author wrote it.

    def __str__(self) -> str:
        return f"{self.op} {self.text}"


def faults(node: Node, path: Path) -> Iterator[Fault]:
    """Yield what can be told of the condition at `path`."""
    yield from _faults(Literal_(path, node, wanted=True), inside=None)


def _faults(literal: Literal_, inside: Group | None) -> Iterator[Fault]:
    """Look into a node; `inside`: it stands in a group of which all must hold, or any."""
    path, node, wanted = literal
    if isinstance(node, Not):
        yield from _faults(Literal_((*path, "not"), node.node, not wanted), inside)
        return
    if not isinstance(node, All | Any_):
        yield from _alone(literal)
        if inside is not All:
            yield from _together([literal])
        return
    group = _group(node, wanted=wanted)
    if inside is not group:
        members = list(_members(literal, group))
        yield from _together(members) if group is All else _either(members)
    name = "all" if isinstance(node, All) else "any"
    for at, child in enumerate(node.nodes):
        yield from _faults(Literal_((*path, name, at), child, wanted), group)


def _group(node: All | Any_, *, wanted: bool) -> Group:
    """Return what a group comes to: of `any` that must not hold, all must not."""
    return All if isinstance(node, All) is wanted else Any_


def _members(literal: Literal_, group: Group) -> Iterator[Literal_]:
    """Yield what must all hold, or of what any must, through groups of the same kind and `not`."""
    path, node, wanted = literal
    match node:
        case Not(node=child):
            yield from _members(Literal_((*path, "not"), child, not wanted), group)
        case All(nodes=nodes) | Any_(nodes=nodes) if _group(node, wanted=wanted) is group:
            name = "all" if isinstance(node, All) else "any"
            for at, child in enumerate(nodes):
                yield from _members(Literal_((*path, name, at), child, wanted), group)
        case _:
            yield literal


def _alone(literal: Literal_) -> Iterator[Fault]:
    """Say of a leaf on counts that zero, or this very call, settles it."""
    path, node, wanted = literal
    counted = list(_counted(node))
    for op, value, least in counted if wanted or len(counted) == 1 else ():
        if value < least or (value == least and op in ("ge", "lt")):
            never = op in ("lt", "le")
            settled = "can never be met" if never is wanted else "is always met"
            message = f"It is {least} at least, whatever was let through before: this {settled}."
            yield Fault(never is wanted, pointer(*path, op), message)


def _counted(node: Node) -> Iterator[tuple[str, int, int]]:
    """Yield the comparisons of what cannot be less than something: operator, bound, and that."""
    match node:
        case MeterIs(meter=meter, bounds=bounds):
            least = 1 if meter.what == "calls" and not meter.tools else 0  # The call at hand is included.
            yield from ((op, bound, least) for op, bound in bounds)
        case PriceIs(bounds=bounds):
            yield from ((op, bound, 0) for op, bound in bounds)


def _together(members: list[Literal_]) -> Iterator[Fault]:
    """Find what cannot hold at once."""
    yield from _opposites(members, never=True)
    for path, bounds in _by_subject(members, All):
        if _empty(bounds):
            asked = " and ".join(map(str, bounds))
            yield Fault(True, pointer(*path), f"Nothing is {asked} at once: this can never be met.")
    yield from _disjoint_values(members)
    yield from _disjoint_names(members)


def _either(members: list[Literal_]) -> Iterator[Fault]:
    """Find what holds one way or the other."""
    yield from _opposites(members, never=False)
    for path, bounds in _by_subject(members, Any_):
        if _empty([each._replace(op=NEGATED[each.op]) for each in bounds]):
            asked = " or ".join(map(str, bounds))
            yield Fault(False, pointer(*path), f"Everything is {asked}: this is always met.")


def _opposites(members: list[Literal_], *, never: bool) -> Iterator[Fault]:
    said = "can never be met" if never else "is always met"
    seen: dict[tuple[str, bool], Path] = {}
    for literal in members:
        path, node, wanted = _positive(literal)
        opposite = seen.get((repr(node), not wanted))
        if opposite is not None:
            message = f"The opposite of this stands at {pointer(*opposite)}: together it {said}."
            yield Fault(never, pointer(*path), message)
        seen.setdefault((repr(node), wanted), path)


def _positive(literal: Literal_) -> Literal_:
    """Say of an argument that there is none as one says that there must not be one."""
    path, node, wanted = literal
    if isinstance(node, ArgumentExists) and not node.exists:
        return Literal_(path, ArgumentExists(node.pointer, exists=True), not wanted)
    return literal


def _by_subject(members: list[Literal_], group: Group) -> Iterator[tuple[Path, list[Bound]]]:
    """Yield the comparisons of one thing that must all hold, or of which any must, with where the last stands."""
    found: dict[tuple[Any, ...], tuple[Path, list[Bound]]] = {}
    for path, node, wanted in members:
        bounds = list(_bounds(node))
        if wanted is (group is Any_) and len(bounds) != 1:
            continue  # Several at once, of which the opposite is not several opposites at once.
        for bound in bounds:
            if bound is None:
                continue
            op = bound.op if wanted else NEGATED[bound.op]
            before = found.get(bound.subject, (path, []))[1]
            found[bound.subject] = path, [*before, bound._replace(op=op)]
    yield from found.values()


def _bounds(node: Node) -> Iterator[Bound | None]:
    """Yield the comparisons that a leaf is made of; None for one that is not about numbers."""
    match node:
        case ArgumentIs(pointer=where, comparisons=comparisons):
            for each in comparisons:
                yield from _bounds_of_argument(where, each)
        case SumIs(pointer=where, comparisons=comparisons):
            for each in comparisons:
                yield _bound((SumIs, where), each, whole=False)
        case MeterIs(meter=meter, bounds=bounds):
            for op, value in bounds:
                text = format_amount(value) if meter.what == "spend" else str(value)
                yield Bound((meter,), op, Decimal(value), whole=True, text=text)
        case PriceIs(bounds=bounds):
            for op, value in bounds:
                yield Bound((PriceIs,), op, Decimal(value), whole=True, text=format_amount(value))


def _bounds_of_argument(where: str, comparison: Comparison) -> Iterator[Bound | None]:
    if comparison.op == "length":
        yield from (_bound((ArgumentIs, where, len), each, whole=True) for each in comparison.operand)
    elif isinstance(comparison.operand, Number) and comparison.op in NEGATED:
        yield _bound((ArgumentIs, where), comparison, whole=False)
    else:
        yield None


def _bound(subject: tuple[Any, ...], comparison: Comparison, *, whole: bool) -> Bound:
    text = comparison.operand.text
    return Bound(subject, comparison.op, Decimal(text), whole, text)


def _empty(bounds: list[Bound]) -> bool:
    """Tell whether no number meets all of these."""
    low, high = _strongest(bounds, ("gt", "ge"), max), _strongest(bounds, ("lt", "le"), min)
    equal = {each.value for each in bounds if each.op == "eq"}
    unequal = {each.value for each in bounds if each.op == "ne"}
    if len(equal) > 1 or equal & unequal:
        return True
    if any(not _within(value, low, high) for value in equal):
        return True
    if low is None or high is None:
        return False
    if bounds[0].whole:
        return low[0] + low[1] > high[0] - high[1]
    return low[0] > high[0] or (low[0] == high[0] and (low[1] or high[1] or low[0] in unequal))


End = tuple[Decimal, bool] | None  # Where a range ends, and whether the end itself is outside.


def _strongest(bounds: list[Bound], ops: tuple[str, str], choose: Any) -> End:
    values = [each for each in bounds if each.op in ops]
    if not values:
        return None
    end = choose(each.value for each in values)
    return end, any(each.op == ops[0] for each in values if each.value == end)


def _within(value: Decimal, low: End, high: End) -> bool:
    above = low is None or value > low[0] or (value == low[0] and not low[1])
    below = high is None or value < high[0] or (value == high[0] and not high[1])
    return above and below


def _disjoint_values(members: list[Literal_]) -> Iterator[Fault]:
    """Find arguments that would have to be one of two sets that share nothing."""
    seen: dict[str, tuple[Any, ...]] = {}
    for path, node, wanted in members:
        if not wanted or not isinstance(node, ArgumentIs):
            continue
        for each in node.comparisons:
            if each.op not in ("eq", "in"):
                continue
            values = each.operand if each.op == "in" else (each.operand,)
            before = seen.setdefault(node.pointer, values)
            if not any(same(one, other) for one in values for other in before):
                yield Fault(
                    True,
                    pointer(*path, each.op),
                    "Another condition beside this one asks for other values: this can never be met.",
                )


def _disjoint_names(members: list[Literal_]) -> Iterator[Fault]:
    for kind in (ToolIs, UpstreamIs, AgentIs, SessionIs):
        before: tuple[str, ...] | None = None
        for path, node, wanted in members:
            names = _literal_names(node, kind) if wanted else None
            if names is None:
                continue
            if before is not None and not any(_alike(one, other, kind) for one in names for other in before):
                name = next(iter(node.definition()))
                yield Fault(
                    True,
                    pointer(*path, name),
                    f"Another condition beside this one asks for another {name}: this can never be met.",
                )
            before = names


def _literal_names(node: Node, kind: type[Node]) -> tuple[str, ...] | None:
    if not isinstance(node, kind):
        return None
    names = node.ids if isinstance(node, SessionIs) else getattr(node, "names", ())
    return None if any(ANY in name for name in names) else names


def _alike(one: str, other: str, kind: type[Node]) -> bool:
    """Tell whether one call may have both names; `TOOL` and `UPSTREAM.TOOL` are names of the same tool."""
    return one == other or (kind is ToolIs and (one.endswith(f".{other}") or other.endswith(f".{one}")))
