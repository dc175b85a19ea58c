"""What judging left open, finished: conditions over counters, answered from what the journal has counted."""

from collections.abc import Callable, Iterator
from typing import NamedTuple, assert_never

from haldir.policy.judgement import AllOf, AnyOf, Condition, Meter, MeterAbove, MeterBelow, RateAbove


class Shown(NamedTuple):
    """What a meter shows: no less than `least` and no more than `most`, for windows have soft edges."""

    least: int
    most: int


def strikes(condition: Condition, rate: Callable[[RateAbove], bool], meter: Callable[[Meter], Shown]) -> bool:
    """Tell whether a condition holds, or cannot be excluded."""
    match condition:
        case RateAbove():
            return rate(condition)
        case MeterAbove(meter=asked, bound=bound):
            return meter(asked).most > bound
        case MeterBelow(meter=asked, bound=bound):
            return meter(asked).least < bound
        case AllOf(parts=parts):
            return all(strikes(part, rate, meter) for part in parts)
        case AnyOf(parts=parts):
            return any(strikes(part, rate, meter) for part in parts)
        case _ as never:
            assert_never(never)


def leaves_of(condition: Condition) -> Iterator[RateAbove | MeterAbove | MeterBelow]:
    """Yield the leaves of a condition."""
    if isinstance(condition, AllOf | AnyOf):
        for part in condition.parts:
            yield from leaves_of(part)
    else:
        yield condition
