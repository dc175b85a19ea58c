"""Measuring within windows: held against a list of instants and amounts."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.clock import SECOND, Micros
from haldir.policy.windows import BUCKETS, Counts, bucket_seconds, least_within, most_within, with_more

START = 1_700_000_000 * SECOND
windows = st.sampled_from([1, 2, 59, 60, 61, 119, 120, 121, 3600, 86_400])
steps = st.sampled_from([0, 1, SECOND - 1, SECOND, SECOND + 1, 60 * SECOND, 61 * SECOND]) | st.integers(
    0, 4000 * SECOND
)
events = st.lists(st.tuples(steps, st.integers(1, 1000)), max_size=40)


def played(drawn: list[tuple[Micros, int]], within: int) -> tuple[list[tuple[Micros, int]], Counts]:
    times = itertools.accumulate((step for step, _ in drawn), initial=START)
    happened = list(zip(itertools.islice(times, 1, None), (amount for _, amount in drawn), strict=True))
    counts: Counts = ()
    for at, amount in happened:
        counts = with_more(counts, at, within, amount)
    return happened, counts


@given(events, windows, st.integers(0, 90_000 * SECOND))
def test_what_is_within_a_window_lies_between_the_least_and_the_most(
    drawn: list[tuple[Micros, int]], within: int, later: Micros
) -> None:
    happened, counts = played(drawn, within)
    now = (happened[-1][0] if happened else START) + later
    edge, bucket = now - within * SECOND, bucket_seconds(within) * SECOND
    inside = sum(amount for at, amount in happened if at > edge)
    assert least_within(counts, now, within) <= inside <= most_within(counts, now, within)
    assert least_within(counts, now, within) >= sum(amount for at, amount in happened if at > edge + bucket)
    assert most_within(counts, now, within) <= sum(amount for at, amount in happened if at > edge - bucket)
    assert len(counts) <= BUCKETS + 1


@pytest.mark.parametrize(("within", "bucket"), [(1, 1), (60, 1), (61, 2), (3600, 60), (3601, 61), (2_678_400, 44_640)])
def test_a_window_is_cut_into_sixty_parts_none_shorter_than_a_second(within: int, bucket: int) -> None:
    assert bucket_seconds(within) == bucket


def test_the_edges_of_a_window_are_told_to_the_microsecond() -> None:
    counts = with_more((), 600 * SECOND, 3600, 5)
    assert counts == ((10, 5),)
    assert most_within(counts, 4260 * SECOND - 2, 3600) == 5
    assert most_within(counts, 4260 * SECOND - 1, 3600) == 0
    assert least_within(counts, 4200 * SECOND - 1, 3600) == 5
    assert least_within(counts, 4200 * SECOND, 3600) == 0
    assert with_more(counts, 4260 * SECOND - 2, 3600, 1) == ((10, 5), (70, 1))
    assert with_more(counts, 4260 * SECOND - 1, 3600, 1) == ((70, 1),)


def test_amounts_of_one_bucket_stand_together_also_if_the_clock_steps_back() -> None:
    counts = with_more(with_more((), 600 * SECOND, 3600, 5), 659 * SECOND, 3600, 2)
    assert counts == ((10, 7),)
    assert with_more(counts, 500 * SECOND, 3600, 1) == ((10, 8),)
