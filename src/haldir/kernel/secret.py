"""A value that must not be seen: it hides from repr, str, logs and tracebacks."""

from typing import Generic, TypeVar, final

T = TypeVar("T", str, bytes)


@final
class Secret(Generic[T]):
    """Holds a value that only `reveal` gives out, at the one place that puts it on the wire."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value: T = value

    def reveal(self) -> T:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a secret is not serialised")
