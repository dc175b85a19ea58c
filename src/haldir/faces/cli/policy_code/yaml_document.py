"""YAML read strictly: only what no two readers take for different things.

No anchors, tags, several documents or repeated names. `yes`, `on`, `09:00` and dates are text, as YAML 1.2 has it.
Numbers are written as in JSON, without an exponent; what only some readers take for a number, or for another one, such
as 017, 1_000 or 1e3, is refused.
"""

import re
from typing import Any, Final

import yaml  # type: ignore[import-untyped]  # Its stubs are another distribution; all we take of it are events.

from haldir.faces.cli.policy_code.document import BEGINNING, Document, Place, Unreadable
from haldir.kernel.strict_json import DEPTH_MAX, NUMBER_CHARS_MAX, Number
from haldir.policy.fields import SHOWN_CHARS
from haldir.policy.fields import pointer as pointer_to

NODES_MAX = 100_000  # A thousand policies have some ten thousand.

_WORDS: Final = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?")
# What YAML 1.1 or 1.2 take for numbers beyond that; 1e3 is one to 1.2 and to JSON, and text to 1.1.
_DOUBTFUL = re.compile(
    r"[-+]?(?:0x[0-9a-fA-F_]+|0o[0-7]+|0b[01_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?"
    r"|\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?|\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN"
)
_PARSER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # The one in C is ten times as fast, where it was built.


def read_yaml(content: bytes) -> Document:
    """Read one YAML document. Raises Unreadable."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("the file is not UTF-8", BEGINNING) from None
    try:
        return _Reader(text).document()
    except yaml.MarkedYAMLError as fault:
        mark = fault.problem_mark or fault.context_mark
        said = ", ".join(filter(None, (fault.context, fault.problem)))
        raise Unreadable(f"the file is not YAML: {said}", _place(mark) if mark else BEGINNING) from None
    except yaml.YAMLError as fault:
        raise Unreadable(f"the file is not YAML: {str(fault).splitlines()[0]}", BEGINNING) from None


class _Reader:
    """Takes the parser's events one after the other; nothing is resolved or built by it."""

    def __init__(self, text: str) -> None:
        self._parser = _PARSER(text)
        self._places: dict[str, Place] = {}
        self._nodes = 0

    def document(self) -> Document:
        self._parser.get_event()  # The stream begins.
        if self._parser.check_event(yaml.StreamEndEvent):
            raise Unreadable("the file is empty", BEGINNING)
        self._parser.get_event()  # So does the document.
        self._places[""] = self._next_place()
        tree = self._value("", 0)
        self._parser.get_event()
        after = self._parser.get_event()
        if not isinstance(after, yaml.StreamEndEvent):
            raise Unreadable("a second document begins here: write one list instead", _place(after.start_mark))
        return Document(tree, self._places)

    def _value(self, pointer: str, depth: int) -> Any:
        event = self._parser.get_event()
        place = _place(event.start_mark)
        self._bound(depth, place)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise Unreadable("anchors and aliases are not taken: write it out", place)
        if event.tag is not None:
            raise Unreadable(f"the tag {event.tag[:SHOWN_CHARS]} is not taken: write plain values", place)
        if isinstance(event, yaml.MappingStartEvent):
            return self._mapping(pointer, depth)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(pointer, depth)
        return _scalar(event, place)

    def _mapping(self, pointer: str, depth: int) -> dict[str, Any]:
        found: dict[str, Any] = {}
        while not self._parser.check_event(yaml.MappingEndEvent):
            place = self._next_place()
            name = self._value(pointer, depth + 1)
            if not isinstance(name, str):
                raise Unreadable("a name must be text: put it in quotes", place)
            if name in found:
                raise Unreadable(f"{name[:SHOWN_CHARS]!r} stands twice in one mapping", place)
            member = pointer + pointer_to(name)
            self._places[member] = place
            found[name] = self._value(member, depth + 1)
        self._parser.get_event()
        return found

    def _sequence(self, pointer: str, depth: int) -> list[Any]:
        found: list[Any] = []
        while not self._parser.check_event(yaml.SequenceEndEvent):
            item = f"{pointer}/{len(found)}"
            self._places[item] = self._next_place()
            found.append(self._value(item, depth + 1))
        self._parser.get_event()
        return found

    def _next_place(self) -> Place:
        return _place(self._parser.peek_event().start_mark)

    def _bound(self, depth: int, place: Place) -> None:
        self._nodes += 1
        if self._nodes > NODES_MAX:
            raise Unreadable(f"the file has more than {NODES_MAX} values", place)
        if depth > DEPTH_MAX:
            raise Unreadable(f"the file is nested more than {DEPTH_MAX} levels deep", place)


def _scalar(event: Any, place: Place) -> Any:
    text: str = event.value
    plain, _ = event.implicit
    if not plain:
        return _whole(text, place)
    if text in _WORDS:
        return _WORDS[text]
    if _NUMBER.fullmatch(text):
        if len(text) > NUMBER_CHARS_MAX:
            raise Unreadable(f"a number is longer than {NUMBER_CHARS_MAX} characters", place)
        return Number(text)
    if _DOUBTFUL.fullmatch(text):
        shown = text[:SHOWN_CHARS]
        raise Unreadable(f"some YAML takes {shown} for another number: write it plainly, or in quotes for text", place)
    return text


def _whole(text: str, place: Place) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise Unreadable("this has half of a surrogate pair, which is no character", place) from None
    return text


def _place(mark: Any) -> Place:
    return Place(mark.line + 1, mark.column + 1)
