"""The vault's rows: which secrets there are, and by which keys they open. Never a value."""

from typing import ClassVar, Literal

import msgspec

from haldir.kernel.clock import Micros
from haldir.storage.rows import Row, Table

Exposure = Literal["inject", "reveal"]  # Only ever filled into calls, or also shown to who may see it.

FIRST_KEY_VERSION = 1  # The data key that a tenant is made with.


class StoredSecret(Row, frozen=True):
    """A named value. Deleted, its row stays, so that versions count on and none is taken for another."""

    TABLE: ClassVar[Table] = Table("secret", key=("name",))

    name: str
    version: int
    scope_required: str
    upstreams: tuple[str, ...]  # The only ones it may be filled in for.
    exposure: Exposure
    created_at: Micros
    deleted_at: Micros | None = None


class SecretVersion(Row, frozen=True):
    """One value of a secret. Until it is erased, it lies beside the log as the part `digest`.

    `key_version` is that of the tenant's key which wraps the value's own data key.
    """

    TABLE: ClassVar[Table] = Table("secret_version", key=("name", "version"))

    name: str
    version: int
    digest: str
    key_version: int
    created_at: Micros
    erased_at: Micros | None = None


class TenantKey(msgspec.Struct, frozen=True):
    """A version of the tenant's key, sealed with the root key as the part `digest`."""

    version: int
    digest: str
    created_at: Micros


class TenantKeyVersions(Row, frozen=True):
    """The versions of the tenant's key that came after the first, which its `Tenant` row names, oldest first."""

    TABLE: ClassVar[Table] = Table("tenant_key_versions", key=())

    later: tuple[TenantKey, ...]

    @property
    def newest(self) -> int:
        return self.later[-1].version
