"""JSON read strictly, with the place of everything in it."""

import bisect
import json
import re
from collections.abc import Iterator
from typing import Any

from haldir.faces.cli.policy_code.document import BEGINNING, Document, Place, Unreadable
from haldir.kernel import strict_json
from haldir.kernel.strict_json import Malformed
from haldir.policy.fields import pointer as pointer_to

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]|[^\s\[\]{},:"]++')


def read_json(content: bytes) -> Document:
    """Read a JSON text. Raises Unreadable."""
    try:
        tree = strict_json.decode(content)
    except Malformed as fault:
        named = f" ({fault.field!r})" if fault.field else ""
        raise Unreadable(fault.reason.replace("the body", "the file") + named, _fault_of(content)) from None
    places: dict[str, Place] = {}
    _Walk(content.decode(), places).value("")
    return Document(tree, places)


class _Walk:
    """Goes once through a text that is known to be JSON."""

    def __init__(self, text: str, places: dict[str, Place]) -> None:
        self._ends = [found.start() for found in re.finditer("\n", text)]
        self._tokens: Iterator[re.Match[str]] = _TOKEN.finditer(text)
        self._places = places

    def value(self, pointer: str) -> None:
        self._value(pointer, next(self._tokens))

    def _value(self, pointer: str, token: re.Match[str]) -> None:
        self._places.setdefault(pointer, self._place(token))
        if token[0] == "{":
            while (name := next(self._tokens))[0] != "}":
                member = pointer + pointer_to(json.loads(name[0]))
                self._places[member] = self._place(name)
                self.value(member)
        elif token[0] == "[":
            at = 0
            while (item := next(self._tokens))[0] != "]":
                self._value(f"{pointer}/{at}", item)
                at += 1

    def _place(self, token: re.Match[str]) -> Place:
        line = bisect.bisect_left(self._ends, token.start())
        return Place(line + 1, token.start() - (self._ends[line - 1] if line else -1))


def _fault_of(content: bytes) -> Place:
    """Return where a text ceases to be JSON, as far as a reader less strict can tell."""
    try:
        json.loads(content.decode(errors="replace"), object_pairs_hook=_nothing)
    except json.JSONDecodeError as error:
        return Place(error.lineno, error.colno)
    except (RecursionError, ValueError):
        pass
    return BEGINNING


def _nothing(_pairs: list[tuple[str, Any]]) -> None:
    return None
