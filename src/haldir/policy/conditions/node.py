"""What a condition is, and how it is compiled: a function of the facts that yields yes, no, or what rows must finish.

A leaf that cannot be told (an argument is missing or mistyped) is unknown, and unknown always falls to the side on
which the rule is stricter. So that this holds under `not` as well, `not` is pushed down to the leaves first: of
`not X` the leaf is asked for the opposite of X, and where X is unknown so is its opposite.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import msgspec

from haldir.policy.facts import Facts
from haldir.policy.judgement import AllOf, AnyOf, Condition

Test = Callable[[Facts], bool | Condition]
Check = Callable[[Facts], bool | None]
Concerns = frozenset[str] | None  # Keys of `names.keys_of`; None is every call.


class Sense(NamedTuple):
    """What a leaf is asked: whether it is `wanted`, and what counts if that cannot be told."""

    wanted: bool
    unknown: bool
    names: tuple[str, str] | None = None  # Upstream and tool, where they are known before a call comes.

    def opposite(self) -> "Sense":
        return self._replace(wanted=not self.wanted)


def always(_facts: Facts) -> bool:
    return True


def never(_facts: Facts) -> bool:
    return False


class Node(msgspec.Struct, frozen=True):
    """One node of a condition."""

    def definition(self) -> dict[str, Any]:
        """Return the node as it is read: a tree of `kernel.strict_json`."""
        raise NotImplementedError

    def test(self, sense: Sense) -> Test:
        """Return the compiled node."""
        raise NotImplementedError

    def concerns(self, *, wanted: bool) -> Concerns:
        """Return the names of which a call must have one for the node to be `wanted`."""
        del wanted
        return None

    def excluded(self, names: tuple[str, str], *, wanted: bool) -> bool:
        """Tell whether the node is never `wanted` of calls of this upstream and tool; cheaper than compiling it."""
        del names, wanted
        return False

    def children(self) -> tuple["Node", ...]:
        return ()

    def leaves(self) -> Iterator["Node"]:
        """Yield the leaves, from left to right."""
        if not self.children():
            yield self
        for child in self.children():
            yield from child.leaves()


class Leaf(Node, frozen=True):
    """A node that the facts alone answer, if anything does."""

    def check(self) -> Check:
        """Return the function that says yes, no, or None where it cannot be told."""
        raise NotImplementedError

    def test(self, sense: Sense) -> Test:
        check, wanted, unknown = self.check(), sense.wanted, sense.unknown

        def test(facts: Facts) -> bool:
            found = check(facts)
            return unknown if found is None else found is wanted

        return test


class All(Node, frozen=True):
    nodes: tuple[Node, ...]

    def definition(self) -> dict[str, Any]:
        return {"all": [node.definition() for node in self.nodes]}

    def test(self, sense: Sense) -> Test:
        tests = [node.test(sense) for node in self.nodes]
        return conjunction(tests) if sense.wanted else disjunction(tests)

    def concerns(self, *, wanted: bool) -> Concerns:
        found = [node.concerns(wanted=wanted) for node in self.nodes]
        return narrowest(found) if wanted else together(found)

    def excluded(self, names: tuple[str, str], *, wanted: bool) -> bool:
        return (any if wanted else all)(node.excluded(names, wanted=wanted) for node in self.nodes)

    def children(self) -> tuple[Node, ...]:
        return self.nodes


class Any_(Node, frozen=True):  # noqa: N801 - `Any` is typing's.
    nodes: tuple[Node, ...]

    def definition(self) -> dict[str, Any]:
        return {"any": [node.definition() for node in self.nodes]}

    def test(self, sense: Sense) -> Test:
        tests = [node.test(sense) for node in self.nodes]
        return disjunction(tests) if sense.wanted else conjunction(tests)

    def concerns(self, *, wanted: bool) -> Concerns:
        found = [node.concerns(wanted=wanted) for node in self.nodes]
        return together(found) if wanted else narrowest(found)

    def excluded(self, names: tuple[str, str], *, wanted: bool) -> bool:
        return (all if wanted else any)(node.excluded(names, wanted=wanted) for node in self.nodes)

    def children(self) -> tuple[Node, ...]:
        return self.nodes


class Not(Node, frozen=True):
    node: Node

    def definition(self) -> dict[str, Any]:
        return {"not": self.node.definition()}

    def test(self, sense: Sense) -> Test:
        return self.node.test(sense.opposite())

    def concerns(self, *, wanted: bool) -> Concerns:
        return self.node.concerns(wanted=not wanted)

    def excluded(self, names: tuple[str, str], *, wanted: bool) -> bool:
        return self.node.excluded(names, wanted=not wanted)

    def children(self) -> tuple[Node, ...]:
        return (self.node,)


def conjunction(tests: list[Test]) -> Test:
    """Return the test that all tests pass; what is certain is folded away."""
    if never in tests:
        return never
    tests = [each for each in tests if each is not always]
    if len(tests) < 2:  # noqa: PLR2004 - one, or none.
        return tests[0] if tests else always

    def test(facts: Facts) -> bool | Condition:
        rest: tuple[Condition, ...] = ()
        for each in tests:
            found = each(facts)
            if found is False:
                return False
            if found is not True:
                rest = (*rest, found)
        return True if not rest else AllOf(rest) if len(rest) > 1 else rest[0]

    return test


def disjunction(tests: list[Test]) -> Test:
    """Return the test that any test passes; what is certain is folded away."""
    if always in tests:
        return always
    tests = [each for each in tests if each is not never]
    if len(tests) < 2:  # noqa: PLR2004 - one, or none.
        return tests[0] if tests else never

    def test(facts: Facts) -> bool | Condition:
        rest: tuple[Condition, ...] = ()
        for each in tests:
            found = each(facts)
            if found is True:
                return True
            if found is not False:
                rest = (*rest, found)
        return False if not rest else AnyOf(rest) if len(rest) > 1 else rest[0]

    return test


def narrowest(found: list[Concerns]) -> Concerns:
    """Return the fewest names among several sets of which each must be met."""
    return min(
        (names for names in found if names is not None), key=lambda names: (len(names), sorted(names)), default=None
    )


def together(found: list[Concerns]) -> Concerns:
    """Return the names of several sets of which one must be met."""
    if any(names is None for names in found):
        return None
    return frozenset(name for names in found if names is not None for name in names)
