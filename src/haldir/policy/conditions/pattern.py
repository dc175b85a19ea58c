"""Patterns that are matched in time linear in the text, whatever they are: RE2's, which has no backtracking."""

import functools
from collections.abc import Callable

PATTERN_BYTES_MAX = 1 << 18  # Of memory for one compiled pattern; what needs more is refused.
CACHED = 256  # As many stay compiled, of all tenants; others are compiled where they are looked at again.


class BadPattern(ValueError):
    """RE2 refuses it; the text says why."""


@functools.lru_cache(CACHED)
def compiled_pattern(pattern: str) -> Callable[[str], bool]:
    """Return whether a pattern is found anywhere in a text. Raises BadPattern."""
    import re2  # noqa: PLC0415 - most have no patterns, and it takes as long to load as the rest of a start.

    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_BYTES_MAX
    try:
        found = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        raise BadPattern(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
    return lambda text: found.search(text) is not None
