"""Who stands behind a credential: the key that made it, and the keys above that one. Pure.

Whoever may mint keys could otherwise be as many people as they like.
"""

from collections.abc import Iterator

from haldir.gate.model import ApiKey
from haldir.journal.working_set import WorkingSet
from haldir.storage.rows import Find

MAKERS_MAX = 16  # Keys that make keys that make keys: nobody needs more than two or three.
KEY = "key:"


def maker_needs(rows: WorkingSet, credential: str) -> Iterator[Find]:
    """Name the rows that `makers` looks at."""
    for _ in range(MAKERS_MAX):
        if not credential.startswith(KEY):
            return
        prefix = credential.removeprefix(KEY)
        yield ApiKey.at(prefix)
        key = rows.peek(ApiKey, prefix)
        if key is None:
            return
        credential = key.created_by


def makers(rows: WorkingSet, credential: str) -> tuple[str, ...] | None:
    """Return which key made a credential, and which made that one, as `key:prefix`; None if there are too many."""
    above: list[str] = []
    for _ in range(MAKERS_MAX):
        key = rows.get(ApiKey, credential.removeprefix(KEY)) if credential.startswith(KEY) else None
        if key is None or not key.created_by.startswith(KEY):
            return tuple(above)
        credential = key.created_by
        above.append(credential)
    return None
