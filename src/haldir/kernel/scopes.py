"""What a session's scopes cover. Whole strings; no word is special but `*`."""

from collections.abc import Iterable, Iterator

ALL = "*"


def covers(granted: Iterable[str], wanted: str) -> bool:
    """Tell whether one of the granted session scopes is `wanted`, stands above it (`x` above `x:y`), or is `*`."""
    return any(scope in (wanted, ALL) or wanted.startswith(f"{scope.removesuffix(':*')}:") for scope in granted)


def covering(wanted: str) -> Iterator[str]:
    """Yield the scopes of which a session must have one to have `wanted`."""
    yield from (wanted, ALL)
    for at, char in enumerate(wanted):
        if char == ":":
            yield from (wanted[:at], f"{wanted[:at]}:*")
