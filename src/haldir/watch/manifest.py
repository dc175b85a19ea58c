"""What an export holds, in few words: how many entries, from when to when, and digests of which. Pure."""

import hashlib
from typing import Any

import msgspec

from haldir.kernel.clock import Micros, unix_seconds
from haldir.kernel.ids import TenantId, entry_id
from haldir.watch.reading import LoggedEntry

FORMAT_VERSION = 1


class Extent(msgspec.Struct, frozen=True):
    """What was exported: whose log, of which size and root, narrowed how, as it stood at `as_of`."""

    tenant: TenantId
    tree_size: int
    root: bytes
    filters: dict[str, str]
    as_of: Micros


class Manifest(msgspec.Struct, frozen=True, tag_field="type", tag="manifest"):
    """The last line of an export. `sha256` is over the ids of its entries, joined by newlines.

    `generated_at` is not the time of day but the moment that the export speaks of: the end of its period, or the time
    of the log's newest entry. So the same export has the same bytes, whenever it is made.
    """

    format_version: int
    tenant_id: str
    generated_at: float
    filters: dict[str, str]
    count: int
    first_timestamp: float | None
    last_timestamp: float | None
    last_chain_hash: str
    sha256: str
    tree_size: int
    root_hash: str


class ManifestBuilder:
    """Takes in the entries of an export, in order."""

    def __init__(self) -> None:
        self._ids: Any = hashlib.sha256()
        self._count = 0
        self._first_at: Micros | None = None
        self._last_at: Micros | None = None
        self._last_leaf = b""

    def add(self, entry: LoggedEntry) -> None:
        separator = "\n" if self._count else ""
        self._ids.update(f"{separator}{entry_id(entry.index)}".encode())
        self._count += 1
        self._last_at, self._last_leaf = entry.record.at, entry.leaf
        if self._first_at is None:
            self._first_at = entry.record.at

    def manifest(self, extent: Extent) -> Manifest:
        """Return what was taken in so far."""
        return Manifest(
            format_version=FORMAT_VERSION,
            tenant_id=extent.tenant,
            generated_at=unix_seconds(extent.as_of),
            filters=extent.filters,
            count=self._count,
            first_timestamp=None if self._first_at is None else unix_seconds(self._first_at),
            last_timestamp=None if self._last_at is None else unix_seconds(self._last_at),
            last_chain_hash=self._last_leaf.hex(),
            sha256=self._ids.hexdigest(),
            tree_size=extent.tree_size,
            root_hash=extent.root.hex(),
        )
