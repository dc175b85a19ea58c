"""Counts of a minute: what requests, failed sign-ins and tries of links are held against."""

from haldir.faces.minute_counts import MinuteCounts
from haldir.kernel.clock import MINUTE, SECOND

BEGAN_AT = 30_000_000 * MINUTE
ONE, OTHER, THIRD = ("t", "one"), ("t", "other"), ("t", "third")


class Time:
    """A clock that stands where it is put."""

    now = BEGAN_AT

    def __call__(self) -> int:
        return self.now


def test_each_is_counted_by_itself_until_the_minute_is_over() -> None:
    time = Time()
    counts = MinuteCounts(time, 10)
    assert [counts.add(ONE), counts.add(ONE), counts.add(OTHER), counts.of(ONE), counts.of(THIRD)] == [1, 2, 1, 2, 0]
    time.now += MINUTE - 1
    assert counts.add(ONE) == 3
    time.now += 1
    assert [counts.of(ONE), counts.add(ONE)] == [0, 1]


def test_of_more_than_are_counted_the_first_is_forgotten_and_nobody_for_who_is_known() -> None:
    counts = MinuteCounts(Time(), 2)
    assert [counts.add(who) for who in (ONE, OTHER, OTHER)] == [1, 1, 2]
    assert counts.of(ONE) == 1
    assert counts.add(THIRD) == 1
    assert [counts.of(who) for who in (ONE, OTHER, THIRD)] == [0, 2, 1]


def test_whoever_comes_again_after_the_seconds_left_comes_in_the_next_minute() -> None:
    time = Time()
    counts = MinuteCounts(time, 10)
    for into, left in ((0, 60), (1, 60), (SECOND, 59), (MINUTE - 1, 1)):
        time.now = BEGAN_AT + into
        assert (counts.seconds_left(), counts.ends_at()) == (left, (BEGAN_AT + MINUTE) // SECOND)
        assert time.now + left * SECOND >= BEGAN_AT + MINUTE
