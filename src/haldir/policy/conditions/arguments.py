"""Leaves on what a call asks: one argument, or the sum of many numbers in them."""

from typing import Any

from haldir.policy.conditions.comparison import ASKED, COUNTS, Comparison, every, number_operand, read_comparisons
from haldir.policy.conditions.node import Check, Leaf
from haldir.policy.conditions.numbers import decimal_of, exact_sum
from haldir.policy.conditions.pointers import EVERY, MISSING, followed, read_pointer, spread, steps_of
from haldir.policy.facts import Facts
from haldir.policy.fields import Fields, InvalidPolicy

EXISTS = "exists"


class ArgumentExists(Leaf, frozen=True):
    """There is such an argument, whatever its value, or there is none. This is never unknown."""

    pointer: str
    exists: bool

    def definition(self) -> dict[str, Any]:
        return {"argument": self.pointer, EXISTS: self.exists}

    def check(self) -> Check:
        steps, wanted = steps_of(self.pointer), self.exists
        return lambda facts: (followed(facts.arguments, steps) is not MISSING) is wanted


class ArgumentIs(Leaf, frozen=True):
    """The argument compares as asked in every way; unknown if it is missing, or of a kind that does not compare."""

    pointer: str
    comparisons: tuple[Comparison, ...]

    def definition(self) -> dict[str, Any]:
        return {"argument": self.pointer, **defined(self.comparisons)}

    def check(self) -> Check:
        steps, ask = steps_of(self.pointer), every([each.asked() for each in self.comparisons])

        def check(facts: Facts) -> bool | None:
            value = followed(facts.arguments, steps)
            return None if value is MISSING else ask(value)

        return check


class SumIs(Leaf, frozen=True):
    """The numbers that the pointer leads to add up as asked; unknown if one of them is missing or no number."""

    pointer: str
    comparisons: tuple[Comparison, ...]

    def definition(self) -> dict[str, Any]:
        return {"sum": self.pointer, **defined(self.comparisons)}

    def check(self) -> Check:
        steps = steps_of(self.pointer)
        asks = [each.asked_of_number() for each in self.comparisons]

        def check(facts: Facts) -> bool | None:
            total = exact_sum(decimal_of(value) for value in spread(facts.arguments, steps))
            if total is None:
                return None
            return all(ask(total) for ask in asks)

        return check


def defined(comparisons: tuple[Comparison, ...]) -> dict[str, Any]:
    return {each.op: each.definition() for each in comparisons}


def read_argument(fields: Fields) -> Leaf:
    pointer = read_pointer(fields, "argument")
    if EXISTS not in fields:
        return ArgumentIs(pointer, read_comparisons(fields, ASKED))
    for name in ASKED:
        if name in fields:
            raise InvalidPolicy("'exists' stands alone: what is compared has to exist anyway.", fields.pointer(name))
    return ArgumentExists(pointer, fields.flag(EXISTS))


def read_sum(fields: Fields) -> Leaf:
    pointer = read_pointer(fields, "sum")
    if EVERY not in steps_of(pointer):
        raise InvalidPolicy(
            "A sum is over the items of a list: write `*` for them, as in /items/*/price.", fields.pointer("sum")
        )
    for name in COUNTS:
        if name in fields:
            number_operand(fields, name)
    return SumIs(pointer, read_comparisons(fields, COUNTS))
