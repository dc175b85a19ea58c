"""Commands on secrets and on the tenant's key. Values and keys travel beside them, sealed; no command has one."""

from collections.abc import Iterable

import msgspec

from haldir.journal.command import STALE, Command, Decision, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.errors import Refusal
from haldir.storage.rows import Find
from haldir.vault.model import FIRST_KEY_VERSION, Exposure, SecretVersion, StoredSecret, TenantKey, TenantKeyVersions

ROTATIONS_MAX = 500  # One row holds them all: some 60 KB. A rotation each month is forty years.


class SecretStored(msgspec.Struct, frozen=True):
    version: int


class StoreSecret(Command, frozen=True, tag="secret.store"):
    """Store a value under a name; the value that stood there is erased. Its part comes along as `value_digest`."""

    name: str
    value_digest: str
    key_version: int
    scope_required: str
    exposure: Exposure
    upstreams: tuple[str, ...] = ()

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield TenantKeyVersions.at()
        yield from secret_needs(rows, self.name)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        if self.key_version != newest_key(rows):
            return STALE
        before = rows.get(StoredSecret, self.name)
        version = before.version + 1 if before else 1
        created_at = before.created_at if before and before.deleted_at is None else now
        secret = StoredSecret(self.name, version, self.scope_required, self.upstreams, self.exposure, created_at)
        stored = SecretVersion(self.name, version, self.value_digest, self.key_version, now)
        replaced = standing_version(rows, self.name)
        return allow(
            secret,
            stored,
            *([replaced.but(erased_at=now)] if replaced else ()),
            erases=(replaced.digest,) if replaced else (),
            result=SecretStored(version),
        )


class DeleteSecret(Command, frozen=True, tag="secret.delete"):
    """Take a secret away: its value and the key that opens it are erased, its entries stay."""

    name: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from secret_needs(rows, self.name)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        version = standing_version(rows, self.name)
        if version is None:
            return deny(*unknown_secret(self.name))
        secret = rows.the(StoredSecret, self.name)
        return allow(secret.but(deleted_at=now), version.but(erased_at=now), erases=(version.digest,))


class RotateTenantKey(Command, frozen=True, tag="vault.rotate"):
    """Make the next version of the tenant's key, which comes along as the part `digest`; earlier ones stay."""

    version: int
    digest: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield TenantKeyVersions.at()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        before = rows.get(TenantKeyVersions)
        later = before.later if before else ()
        if self.version != newest_key(rows) + 1:
            return STALE
        if len(later) >= ROTATIONS_MAX:
            return deny("rotations_exhausted", f"The tenant's key was rotated {ROTATIONS_MAX} times already.")
        return allow(TenantKeyVersions((*later, TenantKey(self.version, self.digest, now))))


class WrappedSecret(msgspec.Struct, frozen=True):
    """A version of a secret whose part comes along with its data key wrapped anew."""

    name: str
    version: int


class RewrapSecrets(Command, frozen=True, tag="vault.rewrap"):
    """Replace parts of secrets by the same ones, wrapped with `key_version` of the tenant's key: all, or none."""

    key_version: int
    wrapped: tuple[WrappedSecret, ...]

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield TenantKeyVersions.at()
        for each in self.wrapped:
            yield SecretVersion.at(each.name, each.version)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        found = [rows.get(SecretVersion, each.name, each.version) for each in self.wrapped]
        kept = [version for version in found if version is not None and version.erased_at is None]
        if self.key_version != newest_key(rows) or len(kept) != len(self.wrapped):
            return STALE  # What was erased meanwhile must not come back.
        return allow(
            *(version.but(key_version=self.key_version) for version in kept),
            erases=tuple(version.digest for version in kept),
        )


def newest_key(rows: WorkingSet) -> int:
    """Return the version of the tenant's key that new things are sealed with."""
    versions = rows.get(TenantKeyVersions)
    return versions.newest if versions else FIRST_KEY_VERSION


def standing_version(rows: WorkingSet, name: str) -> SecretVersion | None:
    """Return the version of a secret that can be opened: the last one, unless the secret was deleted."""
    secret = rows.get(StoredSecret, name)
    if secret is None or secret.deleted_at is not None:
        return None
    return rows.the(SecretVersion, name, secret.version)


def secret_needs(rows: WorkingSet, name: str) -> Iterable[Find]:
    """Name the rows that `standing_version` looks at."""
    yield StoredSecret.at(name)
    if secret := rows.peek(StoredSecret, name):
        yield SecretVersion.at(name, secret.version)


def unknown_secret(name: str) -> Refusal:
    return "secret_not_found", f"There is no secret {name!r}."
