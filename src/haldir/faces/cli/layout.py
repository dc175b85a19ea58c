"""Text in the columns of a terminal: how wide it stands there, where it is folded, and tables of it.

Text is as `screen.plain` leaves it: no character moves the cursor, but some take two columns, and some none.
"""

import unicodedata
from collections.abc import Iterator, Sequence

GAP = "   "
COLUMN_MIN = 4  # Narrower, a folded cell reads as a column of single characters.
RULE = "-"  # Every terminal has it, whatever its encoding.


def width(text: str) -> int:
    """Return how many columns the text takes."""
    return len(text) if text.isascii() else sum(_columns(char) for char in text)


def folded(text: str, room: int) -> Iterator[str]:
    """Yield the text in lines of at most `room` columns, broken between words, or anywhere in one that is too long."""
    while (fits := _fitting(text, room)) < len(text):
        gap = text.rfind(" ", 1, fits + 1)
        cut = gap if gap > 0 else fits
        yield text[:cut].rstrip(" ")
        text = text[cut:].lstrip(" ")
    yield text


def table(heads: Sequence[str], rows: Sequence[Sequence[str]], room: int) -> Iterator[str]:
    """Yield the lines of a table. Its widest columns are folded where all together are wider than `room`."""
    natural = [max(map(width, column)) for column in zip(heads, *rows, strict=True)]
    widths = _fitted(natural, room - len(GAP) * (len(heads) - 1))
    yield from _lines(heads, widths)
    yield RULE * (sum(widths) + len(GAP) * (len(heads) - 1))
    for row in rows:
        yield from _lines(row, widths)


def _lines(cells: Sequence[str], widths: Sequence[int]) -> Iterator[str]:
    parts = [list(folded(cell, room)) for cell, room in zip(cells, widths, strict=True)]
    for at in range(max(map(len, parts))):
        line = [_padded(part[at] if at < len(part) else "", room) for part, room in zip(parts, widths, strict=True)]
        yield GAP.join(line).rstrip(" ")


def _fitted(natural: Sequence[int], room: int) -> list[int]:
    widths = [min(each, max(room, COLUMN_MIN)) for each in natural]
    while sum(widths) > room and max(widths) > COLUMN_MIN:
        widths[widths.index(max(widths))] -= 1
    return widths


def _fitting(text: str, room: int) -> int:
    """Return how many characters fit in front; at least one, so that folding comes to an end."""
    taken = 0
    for at, char in enumerate(text):
        taken += _columns(char)
        if taken > room:
            return max(at, 1)
    return len(text)


def _padded(text: str, room: int) -> str:
    return text + " " * (room - width(text))


def _columns(char: str) -> int:
    if unicodedata.category(char) in {"Mn", "Me"}:  # Marks that stand on the character before them.
        return 0
    return 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
