"""The rows that the commands of a batch share: as found, overlaid with what earlier decisions changed."""

import itertools
from collections.abc import Iterable, Iterator
from typing import TypeVar, cast

from haldir.storage.rows import Find, Key, Row, Scalar, name_of, reader

R = TypeVar("R", bound=Row)


class NotLoaded(LookupError):
    """A decision looked at rows nobody had asked for; load them and decide again: deciding is pure."""

    def __init__(self, find: Find) -> None:
        self.find = find


class WorkingSet:
    """Rows by key and by indexed column. True from batch to batch for as long as nobody else moves the head."""

    def __init__(self) -> None:
        self._rows: dict[tuple[type[Row], Key], Row | None] = {}
        self._groups: dict[Find, set[Key]] = {}
        self._grouped: dict[type[Row], set[tuple[str, ...]]] = {}
        self._changed: dict[tuple[type[Row], Key], Row | None] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def get(self, row_type: type[R], *key: Scalar) -> R | None:
        """Return the row, or None if it is known not to exist."""
        try:
            return cast("R | None", self._rows[row_type, key])
        except KeyError:
            raise NotLoaded(row_type.at(*key)) from None

    def the(self, row_type: type[R], *key: Scalar) -> R:
        """Return a row that another row vouches for."""
        row = self.get(row_type, *key)
        assert row is not None, f"{row_type.TABLE.name} {key} is referred to but does not exist"
        return row

    def peek(self, row_type: type[R], *key: Scalar) -> R | None:
        """Return the row if it exists and was loaded: for `needs`, which must not insist."""
        return cast("R | None", self._rows.get((row_type, key)))

    def where(self, row_type: type[R], column: str, value: Scalar) -> list[R]:
        """Return all rows with this value in an indexed column, by key."""
        find = row_type.where(column, value)
        if find not in self._groups:
            raise NotLoaded(find)
        return [self.the(row_type, *key) for key in sorted(self._groups[find], key=repr)]

    def all(self, row_type: type[R]) -> list[R]:
        """Return all rows of a table, by key."""
        find = row_type.everywhere()
        if find not in self._groups:
            raise NotLoaded(find)
        return [self.the(row_type, *key) for key in sorted(self._groups[find], key=repr)]

    def missing(self, finds: Iterable[Find]) -> Iterator[Find]:
        """Yield those that were not loaded yet."""
        for find in finds:
            if find.columns == find.row_type.TABLE.key:
                if (find.row_type, find.values) not in self._rows:
                    yield find
            elif find not in self._groups:
                yield find

    def adopt(self, finds: Iterable[Find], found: Iterable[Row]) -> None:
        """Take in what the engine found; a change made in this batch outranks what was stored."""
        for find in finds:
            if find.columns == find.row_type.TABLE.key:
                self._rows.setdefault((find.row_type, find.values), None)
            else:
                self._groups[find] = set()
                self._grouped.setdefault(find.row_type, set()).add(find.columns)
        for row in found:
            name = name_of(row)
            self._place(name, self._changed.get(name, row))
        for name, changed in self._changed.items():
            self._place(name, changed)

    def change(self, puts: Iterable[Row], drops: Iterable[Row]) -> None:
        """Overlay what a decision put and dropped."""
        for row in puts:
            name = name_of(row)
            self._changed[name] = row
            self._place(name, row)
        for row in drops:
            name = name_of(row)
            self._changed[name] = None
            self._place(name, None)

    def take_changes(self) -> dict[tuple[type[Row], Key], Row | None]:
        """Return the last state of each row changed since the last call; None means dropped."""
        changed, self._changed = self._changed, {}
        return changed

    def evict(self, keep: int) -> None:
        """Forget all but the `keep` rows that came last, and all groups; between batches only."""
        assert not self._changed
        for name in list(itertools.islice(self._rows, max(0, len(self._rows) - keep))):
            del self._rows[name]
        self._groups.clear()

    def _place(self, name: tuple[type[Row], Key], row: Row | None) -> None:
        row_type, key = name
        before = self._rows.get(name)
        self._rows[name] = row
        for columns in self._grouped.get(row_type, ()):
            if before is not None:
                self._groups.get(Find(row_type, columns, reader(columns)(before)), set()).discard(key)
            if row is not None:
                self._groups.get(Find(row_type, columns, reader(columns)(row)), set()).add(key)
