"""What a database must do for Haldir. Engines keep rows; they decide nothing."""

from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeVar

from haldir.kernel.ids import TenantId
from haldir.storage.rows import Credential, Head, Key, Row

T = TypeVar("T")
Values = tuple[Any, ...]


class Rejected(Exception):
    """The store is well but will not keep these rows: they break a constraint, or do not fit a column."""


class Transaction(Protocol):
    """One batch's hold on a tenant's log head. Everything it saves is durable, or none of it."""

    head: Head

    async def load(self, row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]) -> Iterable[Row]:
        """Return all rows whose `columns` equal one of `values`; no columns and one empty value are all rows."""

    async def save(self, row_type: type[Row], rows: Sequence[Row]) -> None:
        """Insert or replace rows; an append-only table refuses a key it has."""

    async def drop(self, row_type: type[Row], keys: Sequence[Key]) -> None:
        """Delete rows by key."""


class Reader(Protocol):
    """Reads outside the journal: they see what was committed, and nothing may be decided from them."""

    async def load(
        self, tenant: TenantId, row_type: type[Row], columns: tuple[str, ...], values: Sequence[Key]
    ) -> Iterable[Row]:
        """Return all rows whose `columns` equal one of `values`."""

    async def fetch(self, sql: str, **params: str | int | bytes | None) -> list[Values]:
        """Run one SELECT with `:name` parameters; every statement on tenants' rows has `:tenant`."""

    async def credential(self, sha256: str) -> tuple[TenantId, Credential] | None:
        """Return whose credential this is, of all tenants."""

    async def tenants(self) -> list[TenantId]:
        """Return every tenant that has a log."""

    async def sizes(self) -> dict[TenantId, int]:
        """Return how many entries each tenant's log has, of those that have any."""

    async def setting(self, name: str) -> bytes | None:
        """Return a deployment-wide setting."""


class Engine(Reader, Protocol):
    """A store. Every fault of it is raised as `kernel.errors.Unavailable`, and costs the connection.

    Rows at fault are no fault of the store: those are `Rejected`.
    """

    parallel: int  # How many tenants' batches may run at once.
    shared: bool  # Whether other processes may write to the same store.

    async def run(self, batch: Coroutine[Any, Any, T]) -> T:
        """Run a batch where this engine's calls are cheap: its own thread, or simply here."""

    def transaction(self, tenant: TenantId) -> AbstractAsyncContextManager[Transaction]:
        """Take the tenant's log head, so that batches of a tenant follow one another; durable on exit."""

    async def put_setting_once(self, name: str, value: bytes) -> bytes:
        """Store a deployment-wide setting unless it is there; return what is stored then."""

    async def close(self) -> None: ...
