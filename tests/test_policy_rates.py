"""Counting calls of the last minute: held against a list of their instants."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.clock import MINUTE, SECOND, Micros
from haldir.policy.rates import Counts, after_call, count_within_minute, seconds_to_wait

# Many calls at once, some far apart, and steps that end just before, at and after a full second or minute.
steps = st.sampled_from([0, 0, 1, SECOND - 1, SECOND, SECOND + 1, MINUTE - 1, MINUTE, MINUTE + 1]) | st.integers(
    0, 70 * SECOND
)
instants = st.lists(steps, max_size=60).map(
    lambda drawn: list(itertools.accumulate(drawn, initial=1_700_000_000 * SECOND))
)


def admitted(asked: list[Micros], most: int) -> tuple[list[Micros], Counts]:
    """Play calls against a limit; return those allowed, and the counts they leave."""
    allowed, counts = list[Micros](), Counts()
    for now in asked:
        if count_within_minute(counts, now) < most:
            allowed.append(now)
            counts = after_call(counts, now)
    return allowed, counts


@given(instants, st.integers(1, 8))
def test_no_minute_wherever_it_begins_holds_more_calls_than_the_limit(asked: list[Micros], most: int) -> None:
    allowed, _ = admitted(asked, most)
    for now in allowed:
        assert sum(now - MINUTE < each <= now for each in allowed) <= most


@given(instants, st.integers(1, 8))
def test_a_call_is_refused_only_if_the_last_61_seconds_are_full(asked: list[Micros], most: int) -> None:
    allowed, _ = admitted(asked, most)
    for now in set(asked) - set(allowed):
        assert sum(now - MINUTE - SECOND < each <= now for each in allowed) >= most


@given(instants, st.integers(0, 130 * SECOND))
def test_a_second_counts_exactly_as_long_as_a_call_in_it_may(asked: list[Micros], later: Micros) -> None:
    _, counts = admitted(asked, 1000)
    now = asked[-1] + later
    assert count_within_minute(counts, now) == sum(
        each // SECOND * SECOND + SECOND - 1 > now - MINUTE for each in asked
    )
    assert len(counts) <= 61


@given(instants, st.integers(1, 8), st.integers(0, 70 * SECOND))
def test_the_wait_is_the_shortest_in_whole_seconds_after_which_a_call_fits(
    asked: list[Micros], most: int, later: Micros
) -> None:
    _, counts = admitted(asked, most)
    now = asked[-1] + later
    wait = seconds_to_wait(counts, now, most)
    assert count_within_minute(counts, now + wait * SECOND) < most
    assert 0 <= wait <= 61
    assert wait == 0 or count_within_minute(counts, now + (wait - 1) * SECOND) >= most


def test_a_call_exactly_a_minute_after_the_other_fits_at_the_end_of_its_second() -> None:
    last_instant = 1_700_000_000 * SECOND + SECOND - 1
    counts = after_call((), last_instant)
    assert count_within_minute(counts, last_instant + MINUTE - 1) == 1
    assert count_within_minute(counts, last_instant + MINUTE) == 0
    assert seconds_to_wait(counts, last_instant, 1) == 60


def test_a_clock_that_stepped_back_counts_on_in_the_later_second() -> None:
    counts = after_call(after_call((), 100 * SECOND), 90 * SECOND)
    assert counts == ((100, 2),)
    assert count_within_minute(counts, 90 * SECOND) == 2


def test_all_calls_of_one_second_stand_in_one_pair() -> None:
    _, counts = admitted([100 * SECOND + each for each in range(50)], 1000)
    assert counts == ((100, 50),)


def test_seconds_beyond_the_minute_are_forgotten() -> None:
    counts = after_call(after_call((), 10 * SECOND), 100 * SECOND)
    assert counts == ((100, 1),)
