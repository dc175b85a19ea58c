"""Conditions that can never be met, or always are: contradictory ranges, opposites side by side, counts of nothing.

Sound, not complete: what is said here is so, and what is not said may be so all the same.
"""

from collections.abc import Iterator
from decimal import Decimal
from typing import Any, NamedTuple

from haldir.policy.conditions.arguments import ArgumentExists, ArgumentIs, SumIs
from haldir.policy.conditions.comparison import Comparison, same
from haldir.policy.conditions.names import ANY, AgentIs, SessionIs, ToolIs, UpstreamIs
from haldir.policy.conditions.node import All, Any_, Node, Not
from haldir.policy.conditions.usage import MeterIs, PriceIs
from haldir.policy.fields import pointer
from haldir.policy.judgement import Meter

NEGATED = {"gt": "le", "ge": "lt", "lt": "ge", "le": "gt", "eq": "ne", "ne": "eq"}

Path = tuple[str | int, ...]


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


def faults(node: Node, path: Path) -> Iterator[Fault]:
    """Yield what can be told of the condition at `path`."""
    yield from _faults(Literal_(path, node, wanted=True), inside="")


def _faults(literal: Literal_, inside: str) -> Iterator[Fault]:
    """Look into a node; `inside`: it stands in a group of which `all` or `any` must hold."""
    path, node, wanted = literal
    if isinstance(node, Not):
        yield from _faults(Literal_((*path, "not"), node.node, not wanted), inside)
        return
    if not isinstance(node, All | Any_):
        yield from _alone(literal)
        if inside != "all":
            yield from _together([literal])
        return
    group = "all" if isinstance(node, All) is wanted else "any"
    if inside != group:
        members = list(_members(literal, group))
        yield from _together(members) if group == "all" else _either(members)
    name = "all" if isinstance(node, All) else "any"
    for at, child in enumerate(node.nodes):
        yield from _faults(Literal_((*path, name, at), child, wanted), group)


def _members(literal: Literal_, group: str) -> Iterator[Literal_]:
    """Yield what must all hold, or of what any must, through groups of the same kind and `not`."""
    path, node, wanted = literal
    match node:
        case Not(node=child):
            yield from _members(Literal_((*path, "not"), child, not wanted), group)
        case All(nodes=nodes) | Any_(nodes=nodes) if (isinstance(node, All) is wanted) is (group == "all"):
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
        always = (op == "gt" and value < least) or (op == "ge" and value <= least)
        never = (op == "lt" and value <= least) or (op == "le" and value < least)
        if always or never:
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
    for path, bounds in _by_subject(members, "all"):
        if _empty(bounds):
            asked = " and ".join(f"{each.op} {each.value}" for each in bounds)
            yield Fault(True, pointer(*path), f"Nothing is {asked} at once: this can never be met.")
    yield from _disjoint_values(members)
    yield from _disjoint_names(members)


def _either(members: list[Literal_]) -> Iterator[Fault]:
    """Find what holds one way or the other."""
    yield from _opposites(members, never=False)
    for path, bounds in _by_subject(members, "any"):
        if len(bounds) > 1 and _empty(
            [Bound(each.subject, NEGATED[each.op], each.value, each.whole) for each in bounds]
        ):
            asked = " or ".join(f"{each.op} {each.value}" for each in bounds)
            yield Fault(False, pointer(*path), f"Everything is {asked}: this is always met.")


def _opposites(members: list[Literal_], *, never: bool) -> Iterator[Fault]:
    said = "can never be met" if never else "is always met"
    seen: dict[tuple[Any, ...], Path] = {}
    for path, node, wanted in members:
        key: tuple[Any, ...] = (repr(node),)
        sense = wanted
        if isinstance(node, ArgumentExists):
            key, sense = ("exists", node.pointer), node.exists is wanted
        if (*key, not sense) in seen:
            yield Fault(
                never,
                pointer(*path),
                f"The opposite of this stands at {pointer(*seen[*key, not sense])}: together it {said}.",
            )
        seen.setdefault((*key, sense), path)


def _by_subject(members: list[Literal_], group: str) -> Iterator[tuple[Path, list[Bound]]]:
    """Yield the comparisons of one thing that must all hold, or of which any must, with where the last stands."""
    found: dict[tuple[Any, ...], tuple[Path, list[Bound]]] = {}
    for path, node, wanted in members:
        bounds = list(_bounds(node))
        if wanted is (group == "any") and (len(bounds) != 1 or _size(node) != 1):
            continue  # Several at once, of which the opposite is not several opposites at once.
        for bound in bounds:
            op = bound.op if wanted else NEGATED[bound.op]
            before = found.get(bound.subject, (path, []))[1]
            found[bound.subject] = path, [*before, bound._replace(op=op)]
    yield from found.values()


def _size(node: Node) -> int:
    """Return of how many comparisons a leaf is made."""
    match node:
        case ArgumentIs(comparisons=comparisons):
            return sum(len(each.operand) if each.op == "length" else 1 for each in comparisons)
        case SumIs(comparisons=comparisons):
            return len(comparisons)
        case MeterIs(bounds=bounds) | PriceIs(bounds=bounds):
            return len(bounds)
    return 1


def _bounds(node: Node) -> Iterator[Bound]:
    match node:
        case ArgumentIs(pointer=where, comparisons=comparisons):
            for each in comparisons:
                yield from _bounds_of_argument(where, each)
        case SumIs(pointer=where, comparisons=comparisons):
            for each in comparisons:
                yield Bound(("sum", where), each.op, Decimal(each.operand.text), whole=False)
        case MeterIs(meter=meter, bounds=bounds):
            for op, value in bounds:
                yield Bound(_subject_of(meter), op, Decimal(value), whole=True)
        case PriceIs(bounds=bounds):
            for op, value in bounds:
                yield Bound(("price",), op, Decimal(value), whole=True)


def _bounds_of_argument(where: str, comparison: Comparison) -> Iterator[Bound]:
    if comparison.op == "length":
        for each in comparison.operand:
            yield Bound(("length", where), each.op, Decimal(each.operand.text), whole=True)
    elif hasattr(comparison.operand, "text") and comparison.op in NEGATED:
        yield Bound(("argument", where), comparison.op, Decimal(comparison.operand.text), whole=False)


def _subject_of(meter: Meter) -> tuple[Any, ...]:
    return meter.what, meter.per, meter.within_seconds, meter.tools


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
