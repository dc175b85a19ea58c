"""One tenant's keys: what its digests are keyed with, its parts are sealed with and its secrets' keys are wrapped with.

A part opens only for the tenant, the digest and the key version it was sealed for. New parts are sealed with the
newest version; digests keep to the first, so that one thing has one digest for good.
"""

import hmac
from collections.abc import Mapping
from typing import final

from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.kernel.secret import Secret
from haldir.storage.rows import Part
from haldir.vault.model import FIRST_KEY_VERSION
from haldir.vault.seal import Entropy, SealBroken, binding, seal, subkey, unseal


@final
class TenantKeys:
    """All versions of the tenant's data key, unwrapped, and what derives from them."""

    def __init__(self, tenant: TenantId, data_keys: Mapping[int, Secret[bytes]], entropy: Entropy) -> None:
        self.tenant = tenant
        self.newest = max(data_keys)
        self.entropy = entropy
        self._digest_root = data_keys[FIRST_KEY_VERSION]
        self._part_keys = {version: subkey(key, "parts") for version, key in data_keys.items()}
        self._wrapping_keys = {version: subkey(key, "secrets") for version, key in data_keys.items()}
        self._digest_keys: dict[str, Secret[bytes]] = {}  # By label; labels are words of the code, so few.

    def digest(self, label: str, data: bytes) -> str:
        """Return the keyed digest of `data`, in hex: without the key nobody can test a guess against it."""
        key = self._digest_keys.get(label)
        if key is None:
            key = self._digest_keys[label] = subkey(self._digest_root, "digest", label)
        return hmac.digest(key.reveal(), data, "sha256").hex()

    def seal(self, data: bytes, label: str) -> Part:
        """Seal `data` as a part named by its digest under `label`."""
        return self.seal_as(self.digest(label, data), data)

    def seal_as(self, name: str, data: bytes, kept_since: Micros | None = None) -> Part:
        """Seal `data` under a name that nothing else ever bears."""
        version = self.newest
        sealed = seal(self._key_of(name, version), data, self._bound_to(name, version), self.entropy)
        return Part(name, version, sealed, kept_since)

    def open(self, part: Part) -> bytes:
        """Return what was sealed, or raise SealBroken."""
        bound_to = self._bound_to(part.digest, part.key_version)
        return unseal(self._key_of(part.digest, part.key_version), part.sealed, bound_to)

    def wrapping_key(self, version: int) -> Secret[bytes]:
        """Return the key that wraps the data keys of secrets. Raises SealBroken if there is no such version."""
        return self._of_version(self._wrapping_keys, version)

    def _key_of(self, digest: str, version: int) -> Secret[bytes]:
        # A key for each part: at 2,000 parts a second one key would reach its 2^32 random nonces in a month.
        part_key = self._of_version(self._part_keys, version)
        return Secret(hmac.digest(part_key.reveal(), digest.encode(), "sha256"))

    @staticmethod
    def _of_version(keys: Mapping[int, Secret[bytes]], version: int) -> Secret[bytes]:
        if version not in keys:
            raise SealBroken(f"Something is sealed with key version {version}, which this tenant does not have.")
        return keys[version]

    def _bound_to(self, digest: str, version: int) -> bytes:
        return binding("part", self.tenant, digest, str(version))
