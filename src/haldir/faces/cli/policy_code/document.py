"""A file read to a strict tree, with the line and column of everything in it.

The tree is that of `kernel.strict_json`: numbers are Number, with their text.
"""

from typing import Any, NamedTuple


class Place(NamedTuple):
    """Where something stands, both counted from 1."""

    line: int
    column: int


BEGINNING = Place(1, 1)


class Unreadable(Exception):
    """The text is no document; `place` is where that shows."""

    def __init__(self, message: str, place: Place) -> None:
        super().__init__(message)
        self.message, self.place = message, place


class Document(NamedTuple):
    """A tree, and by JSON pointer the place of each member's name and of each item in it."""

    tree: Any
    places: dict[str, Place]

    def place(self, pointer: str) -> Place:
        """Return where a pointer leads; if there is nothing, the place of what it should stand in."""
        while pointer and pointer not in self.places:
            pointer = pointer.rpartition("/")[0]
        return self.places.get(pointer, BEGINNING)
