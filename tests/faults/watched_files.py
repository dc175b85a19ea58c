"""SQLite's files, watched: whoever watches is told of each change before it is made, and may refuse it."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

import apsw
import msgspec


class Change(msgspec.Struct, frozen=True):
    """One call to the operating system that changes a file, or makes its changes durable."""

    kind: Literal["write", "truncate", "sync", "delete"]
    path: str
    offset: int = 0  # Of a truncation the new size.
    written: bytes = b""


Watch = Callable[[Change], None]
BASE = "unix"


@contextmanager
def watched_files(watch: Watch) -> Iterator[None]:
    """Have every database that is opened meanwhile watched."""
    vfs = _Vfs(watch)
    try:
        yield
    finally:
        vfs.unregister()


class _Vfs(apsw.VFS):
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        super().__init__("watched", BASE, makedefault=True)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name.
        return _File(name, flags, self._watch)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: FBT001, N802 - as above.
        self._watch(Change("delete", filename))
        super().xDelete(filename, syncdir)


class _File(apsw.VFSFile):
    def __init__(self, name: str | apsw.URIFilename | None, flags: list[int], watch: Watch) -> None:
        self._path = name.filename() if isinstance(name, apsw.URIFilename) else name or "(temporary)"
        self._watch = watch
        super().__init__(BASE, name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - as above.
        self._watch(Change("write", self._path, offset, bytes(data)))
        super().xWrite(data, offset)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - as above.
        self._watch(Change("truncate", self._path, newsize))
        super().xTruncate(newsize)

    def xSync(self, flags: int) -> None:  # noqa: N802 - as above.
        self._watch(Change("sync", self._path))
        super().xSync(flags)
