"""Patterns that are matched in time linear in the text, whatever they are: RE2's, which has no backtracking."""

import functools
from collections.abc import Callable

from haldir.policy.fields import InvalidPolicy

PATTERN_BYTES_MAX = 1 << 18  # Of memory for one compiled pattern; what needs more is refused.
CACHED = 256  # As many stay compiled, of all tenants; others are compiled where they are looked at again.


def compiled_pattern(pattern: str, at: str) -> Callable[[str], bool]:
    """Return whether a pattern is found anywhere in a text. Raises InvalidPolicy where RE2 refuses it."""
    try:
        return _compiled(pattern)
    except _Refused as refusal:
        raise InvalidPolicy(
            f"The pattern is refused: {refusal}. Patterns are RE2's, without backreferences and lookaround.", at
        ) from None


class _Refused(ValueError):
    """RE2's reason."""


@functools.lru_cache(CACHED)
def _compiled(pattern: str) -> Callable[[str], bool]:
    import re2  # noqa: PLC0415 - most have no patterns, and it takes as long to load as the rest of a start.

    options = re2.Options()
    options.log_errors = False
    options.max_mem = PATTERN_BYTES_MAX
    try:
        found = re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0]
        raise _Refused(reason.decode(errors="replace") if isinstance(reason, bytes) else str(reason)) from None
    return lambda text: found.search(text) is not None
