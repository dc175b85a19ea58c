"""A mutant: one small change to one file, and how people are told of it."""

from typing import NamedTuple

Name = tuple[str, str, str, str]


class Mutant(NamedTuple):
    """`function` is the outermost one around the change, else the class, else "".

    `live`: it is in the body of a function, which can be exchanged in a program that runs.
    """

    file: str
    function: str
    live: bool
    lines: range  # A test that runs none of them cannot see the change.
    start: int
    end: int
    text: str
    before: str
    after: str

    @property
    def name(self) -> Name:
        """What the page calls it, whatever is edited elsewhere in the file."""
        return self.file, self.function, self.before, self.after

    @classmethod
    def unchanged(cls, file: str) -> "Mutant":
        """Return what is no mutant: every judge must let it live."""
        return cls(file, "", live=False, lines=range(0), start=0, end=0, text="", before="", after="")

    def applied(self, source: bytes) -> bytes:
        return source[: self.start] + self.text.encode() + source[self.end :]
