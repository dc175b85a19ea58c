"""Looks at the clock: what one found is remembered until it may be otherwise, so that few calls cause another."""

from collections.abc import Callable
from typing import TypeVar

from haldir.kernel.clock import Micros
from haldir.policy.facts import Facts

Found = TypeVar("Found")


def remembered(look: Callable[[Micros], tuple[Found, Micros]]) -> Callable[[Facts], Found]:
    """Return what a look at the instant of a call finds, in whatever order calls come.

    `look` says what it found at an instant, and until when that holds: no call in between causes another look.
    """
    since: Micros
    until: Micros = 0  # At first nothing is known of any instant.
    found: Found

    def finding(facts: Facts) -> Found:
        nonlocal since, until, found
        at = facts.at
        if at >= until or at < since:
            found, until = look(at)
            since = at
        return found

    return finding
