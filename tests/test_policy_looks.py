"""A look at the clock is remembered for as long as it holds, and never longer."""

from bisect import bisect_right

from hypothesis import given
from hypothesis import strategies as st

from haldir.kernel.clock import Micros
from haldir.policy.looks import remembered
from policy_samples import call

HORIZON = 20
instants = st.integers(0, HORIZON)


@given(st.sets(instants), st.lists(instants))
def test_what_is_found_at_an_instant_does_not_depend_on_what_was_asked_before(
    changes: set[Micros], asked: list[Micros]
) -> None:
    edges = sorted({*changes, HORIZON + 1})

    def look(at: Micros) -> tuple[int, Micros]:
        passed = bisect_right(edges, at)
        return passed, edges[passed]

    finding = remembered(look)
    assert [finding(call(at=at)) for at in asked] == [look(at)[0] for at in asked]


def test_nobody_looks_again_before_it_may_be_otherwise() -> None:
    looked = list[Micros]()

    def look(at: Micros) -> tuple[str, Micros]:
        looked.append(at)
        return f"seen at {at}", at + 10

    finding = remembered(look)
    found = [finding(call(at=at)) for at in (0, 0, 9, 10, 19, 10, 4)]
    assert found == ["seen at 0"] * 3 + ["seen at 10"] * 3 + ["seen at 4"]
    assert looked == [0, 10, 4]
