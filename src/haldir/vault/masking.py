"""Secrets taken out of JSON that somebody is to see: wherever a value stands, its reference stands instead.

What is found is a value as it is, or as JSON escapes it, anywhere in a string or a name, or as a whole number. In
other encodings, such as base64, it is not found.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from haldir.kernel import strict_json
from haldir.kernel.secret import Secret
from haldir.kernel.strict_json import Malformed, Number
from haldir.vault.reference import reference

ANYWHERE_CHARS_MIN = 6  # A shorter value is masked where it stands alone: inside words it would be found by chance.


def masked(content: bytes, secrets: Mapping[str, Secret[str]]) -> bytes:
    """Return JSON with references for the values of `secrets`, by name; as it came, if it has none of them.

    What is not JSON that everybody reads alike comes back as one JSON string.
    """
    try:
        tree = strict_json.decode(content)
    except Malformed:
        tree = content.decode(errors="replace")
    changed = _replaced(tree, _Masks(_texts(tree), secrets))
    return content if changed == tree and not isinstance(tree, str) else strict_json.encode(changed)


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Number():
            yield value.text
        case dict():
            for name, item in value.items():
                yield name
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)


class _Masks:
    """What to put where a value stands. Only values that stand somewhere are looked for in each text."""

    def __init__(self, texts: Iterable[str], secrets: Mapping[str, Secret[str]]) -> None:
        everything = "\n".join(texts)
        named = ((form, name) for name, value in secrets.items() for form in _forms(value))
        self._by_form = {form: reference(name) for form, name in named if form in everything}
        anywhere = sorted((form for form in self._by_form if len(form) >= ANYWHERE_CHARS_MIN), key=len, reverse=True)
        self._anywhere = re.compile("|".join(map(re.escape, anywhere))) if anywhere else None

    def whole(self, text: str) -> str | None:
        return self._by_form.get(text)

    def within(self, text: str) -> str:
        if said := self.whole(text):
            return said
        return self._anywhere.sub(lambda found: self._by_form[found[0]], text) if self._anywhere else text


def _forms(value: Secret[str]) -> set[str]:
    text = value.reveal()
    return {text, json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]} - {""}


def _replaced(value: Any, masks: _Masks) -> Any:
    match value:
        case str():
            return masks.within(value)
        case Number():
            return masks.whole(value.text) or value
        case dict():
            return {masks.within(name): _replaced(item, masks) for name, item in value.items()}
        case list():
            return [_replaced(item, masks) for item in value]
    return value
