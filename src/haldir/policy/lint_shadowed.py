"""Policies that never decide anything, because another decides the same, or more, wherever they strike.

Sound, not complete: by what conditions say, not by what all calls could be.
"""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from haldir.policy.conditional import ConditionalPolicy
from haldir.policy.conditions.arguments import ArgumentIs, SumIs
from haldir.policy.conditions.comparison import ORDERS, Comparison
from haldir.policy.conditions.names import ANY, AgentIs, ToolIs, UpstreamIs, is_like
from haldir.policy.conditions.node import All, Any_, Node, Not
from haldir.policy.conditions.usage import MeterIs, PriceIs
from haldir.policy.judgement import Terms
from haldir.policy.kinds.allow_list import AllowList
from haldir.policy.kinds.rate_limit import RateLimit
from haldir.policy.kinds.spend_limit import SpendLimit
from haldir.policy.policy import Policy, ToolPolicy

STRONGER_LAST = ("allow", "hold", "deny")
EVERYWHERE = All(())


class Striking(NamedTuple):
    """A policy as far as it can be compared: where it strikes, what it does, on what terms."""

    name: str
    policy: Policy
    effect: str
    condition: Node
    terms: Terms
    tools: frozenset[str] | None  # Last parts of the names it concerns; None is any.


def shadowed(policies: Sequence[tuple[str, Policy]], only: frozenset[str] | None) -> Iterator[tuple[str, str]]:
    """Yield (name, message) for each policy that another makes needless, of those in `only` where that is given."""
    known = [striking for name, policy in policies if (striking := _striking(name, policy)) is not None]
    for at, one in enumerate(known):
        if one.policy.mode == "shadow" or (only is not None and one.name not in only):
            continue
        for other_at, other in enumerate(known):
            if _decides(other, one) and (other_at < at or not _decides(one, other)):
                yield one.name, f"It never decides anything: the policy {other.name!r} does, wherever this one strikes."
                break


Told = dict[tuple[int, int], bool]
"""What was found out about pairs of nodes: trees may ask about the same pair by many ways."""


def implies(one: Node, other: Node) -> bool:
    """Tell whether wherever one condition is met, or unknown, the other is as well: false if that cannot be seen."""
    return _implies(one, other, {})


def _implies(one: Node, other: Node, told: Told) -> bool:
    pair = id(one), id(other)
    if pair not in told:
        told[pair] = one == other or _seen_to_imply(one, other, told)
    return told[pair]


def _seen_to_imply(one: Node, other: Node, told: Told) -> bool:
    match one, other:
        case Any_(nodes=nodes), _:
            return all(_implies(each, other, told) for each in nodes)
        case _, All(nodes=nodes):
            return all(_implies(one, each, told) for each in nodes)
        case All(nodes=nodes), Any_(nodes=others):
            by_part = any(_implies(each, other, told) for each in nodes)
            return by_part or any(_implies(one, each, told) for each in others)
        case All(nodes=nodes), _:
            return any(_implies(each, other, told) for each in nodes)
        case _, Any_(nodes=others):
            return any(_implies(one, each, told) for each in others)
        case Not(node=first), Not(node=second):
            return _implies(second, first, told)
    return _leaf_implies(one, other)


def _striking(name: str, policy: Policy) -> Striking | None:
    match policy:
        case ConditionalPolicy():
            strike = policy.strike(name)
            keys = policy.concerns()
            tools = None if keys is None or any(key.endswith("/") for key in keys) else frozenset(map(_last, keys))
            return Striking(name, policy, strike.effect, policy.condition() or EVERYWHERE, strike.terms, tools)
        case ToolPolicy() if not policy.SPARES_NAMED:
            tools = frozenset(map(_last, policy.names()))
            return Striking(name, policy, "deny", ToolIs(policy.names()), Terms(), tools)
        case RateLimit() | SpendLimit() | AllowList():
            return Striking(name, policy, "deny", EVERYWHERE, Terms(), None)
    return None


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _decides(other: Striking, one: Striking) -> bool:
    """Tell whether wherever `one` strikes, `other` does at least as much."""
    if other.policy.mode == "shadow" or STRONGER_LAST.index(other.effect) < STRONGER_LAST.index(one.effect):
        return False
    if other.tools is not None and (one.tools is None or other.tools.isdisjoint(one.tools)):
        return False
    if _own_kind(other.policy) or _own_kind(one.policy):
        return _same_kind_decides(other.policy, one.policy)
    if other.effect == one.effect == "hold" and (
        other.terms.approvers < one.terms.approvers or other.terms.four_eyes < one.terms.four_eyes
    ):
        return False
    return implies(one.condition, other.condition)


def _own_kind(policy: Policy) -> bool:
    """Tell whether a policy strikes by more than a condition, and compares only with others of its kind."""
    return isinstance(policy, RateLimit | SpendLimit | AllowList)


def _same_kind_decides(other: Policy, one: Policy) -> bool:
    match other, one:
        case RateLimit(per=per, max_per_minute=most), RateLimit():
            return per == one.per and most <= one.max_per_minute
        case SpendLimit(max_micros=most), SpendLimit():
            return most <= one.max_micros
        case AllowList(tools=spared), AllowList(tools=more):
            return set(spared) <= set(more)
    return False


def _leaf_implies(one: Node, other: Node) -> bool:
    match one, other:
        case ToolIs(names=names), ToolIs(names=others):
            return all(any(_names_more(wide, name) for wide in others) for name in names)
        case (UpstreamIs(names=names), UpstreamIs(names=others)) | (AgentIs(names=names), AgentIs(names=others)):
            return all(any(is_like(wide, name) for wide in others) for name in names)
        case (ArgumentIs(pointer=here, comparisons=mine), ArgumentIs(pointer=there, comparisons=theirs)) | (
            SumIs(pointer=here, comparisons=mine),
            SumIs(pointer=there, comparisons=theirs),
        ):
            return here == there and _tighter(_numbers(mine), _numbers(theirs))
        case MeterIs(), MeterIs():
            return one.meter == other.meter and _tighter(_decimals(one.bounds), _decimals(other.bounds))
        case PriceIs(), PriceIs():
            return _tighter(_decimals(one.bounds), _decimals(other.bounds))
    return False


def _names_more(wide: str, name: str) -> bool:
    """Tell whether one name stands for all tools of another; `TOOL` for `UPSTREAM.TOOL`, where no tool has a dot."""
    return is_like(wide, name) or (ANY not in name and name.count(".") == 1 and is_like(wide, _last(name)))


Ranges = list[tuple[str, Decimal]]


def _numbers(comparisons: tuple[Comparison, ...]) -> Ranges | None:
    """Return the comparisons as ranges, if they are nothing else."""
    if any(each.op not in ORDERS for each in comparisons):
        return None
    return [(each.op, Decimal(each.operand.text)) for each in comparisons]


def _decimals(bounds: tuple[tuple[str, int], ...]) -> Ranges:
    return [(op, Decimal(bound)) for op, bound in bounds]


def _tighter(one: Ranges | None, other: Ranges | None) -> bool:
    """Tell whether what meets `one` meets `other`: each bound of `other` follows from one of `one`."""
    if one is None or other is None:
        return False
    return all(any(_follows(mine, theirs) for mine in one) for theirs in other)


def _follows(mine: tuple[str, Decimal], theirs: tuple[str, Decimal]) -> bool:
    (op, bound), (wanted, limit) = mine, theirs
    if op[0] != wanted[0]:
        return False
    beyond = bound > limit if op[0] == "g" else bound < limit
    return beyond or (bound == limit and (op == wanted or op.endswith("t")))
