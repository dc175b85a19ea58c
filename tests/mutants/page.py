"""docs/mutants.md: the survivors that were looked at, each under its reason, in blocks of diff."""

import re
from collections import Counter
from collections.abc import Iterable

from mutants.mutant import Mutant, Name

_BLOCK = re.compile(r"^```diff\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def explained(page: str) -> Counter[Name]:
    """Return the survivors that a page names: a line says where, `-` what stands there, each `+` what was tried."""
    found = Counter[Name]()
    for block in _BLOCK.findall(page):
        file = function = before = ""
        for line in filter(None, block.splitlines()):
            match line[:2], line[2:]:
                case "- ", text:
                    before = text
                case "+ ", text:
                    found[file, function, before, text] += 1
                case _:
                    file, _, function = line.partition(" ")
    return found


def lines_of(mutants: Iterable[Mutant | Name]) -> list[str]:
    """Return survivors as the page names them."""
    lines, last = [], ("", "", "")
    for each in mutants:
        file, function, before, after = each.name if isinstance(each, Mutant) else each
        if (file, function) != last[:2]:
            lines.append(f"{file} {function}".strip())
        if (file, function, before) != last:
            lines.append(f"- {before}")
        lines.append(f"+ {after}")
        last = file, function, before
    return lines
