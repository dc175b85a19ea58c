"""What a session's scopes cover. Whole strings; no word is special but `*`."""

from collections.abc import Iterable

ALL = "*"


def covers(granted: Iterable[str], wanted: str) -> bool:
    """Tell whether one of the granted session scopes is `wanted`, stands above it (`x` above `x:y`), or is `*`."""
    return any(scope in (wanted, ALL) or wanted.startswith(f"{scope.removesuffix(':*')}:") for scope in granted)
