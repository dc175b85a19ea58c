"""JSON pointers (RFC 6901) into arguments; in those of a sum, `*` stands for every item of a list."""

import re
from itertools import islice
from typing import Any

from haldir.policy.fields import Fields, InvalidPolicy

POINTER_CHARS_MAX = 256
STEPS_MAX = 32
INDEX_DIGITS_MAX = 9
ITEMS_MAX = 10_000  # Of a list that is looked through: some milliseconds. What is in a longer one is unknown.
EVERY = "*"


class Missing:
    """What a pointer leads to where there is nothing."""


MISSING = Missing()

Steps = tuple[str, ...]

_STRAY_TILDE = re.compile("~(?![01])")


def read_pointer(fields: Fields, name: str) -> str:
    """Take a pointer: empty for all arguments, or steps that each begin with a slash."""
    value = fields.value(name)
    at = fields.pointer(name)
    if not isinstance(value, str):
        raise InvalidPolicy(f'{name!r} must be a JSON pointer such as "/amount".', at)
    if value and not value.startswith("/"):
        raise InvalidPolicy(f"A JSON pointer begins with a slash: {('/' + value)[:POINTER_CHARS_MAX]!r}.", at)
    if len(value) > POINTER_CHARS_MAX or value.count("/") > STEPS_MAX:
        raise InvalidPolicy(f"A pointer has at most {POINTER_CHARS_MAX} characters and {STEPS_MAX} steps.", at)
    if _STRAY_TILDE.search(value):
        raise InvalidPolicy("In a JSON pointer `~` stands only in `~0` (for `~`) and `~1` (for `/`).", at)
    return value


def steps_of(pointer: str) -> Steps:
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def followed(value: Any, steps: Steps) -> Any:
    """Return what the steps lead to, or MISSING."""
    for step in steps:
        if isinstance(value, dict):
            value = value.get(step, MISSING)
        elif isinstance(value, list) and _is_index(step) and int(step) < len(value):
            value = value[int(step)]
        else:
            return MISSING
    return value


def spread(value: Any, steps: Steps) -> list[Any]:
    """Return all that the steps lead to, with MISSING where one leads nowhere."""
    if EVERY not in steps:
        return [followed(value, steps)]
    at = steps.index(EVERY)
    items, rest = followed(value, steps[:at]), steps[at + 1 :]
    if not isinstance(items, list) or len(items) > ITEMS_MAX:
        return [MISSING]
    if EVERY not in rest:
        return [followed(item, rest) for item in items]
    found = list(islice((each for item in items for each in spread(item, rest)), ITEMS_MAX + 1))
    return found if len(found) <= ITEMS_MAX else [MISSING]


def _is_index(step: str) -> bool:
    plain = step.isascii() and step.isdecimal() and len(step) <= INDEX_DIGITS_MAX
    return plain and (step == "0" or step[0] != "0")
