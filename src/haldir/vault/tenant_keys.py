"""One tenant's keys: what its digests are keyed with and its parts are sealed with.

A part opens only for the tenant, the digest and the key version it was sealed for.
"""

import hmac
from typing import final

from haldir.kernel.ids import TenantId
from haldir.kernel.secret import Secret
from haldir.storage.rows import Part
from haldir.vault.seal import Entropy, SealBroken, binding, seal, subkey, unseal

TENANT_KEY_VERSION = 1  # Version 0 is the root key; later versions will come from rotation.


@final
class TenantKeys:
    """The tenant's data key, unwrapped, and what derives from it."""

    def __init__(self, tenant: TenantId, data_key: Secret[bytes], entropy: Entropy) -> None:
        self.tenant = tenant
        self._data_key = data_key
        self._part_key = subkey(data_key, "parts")
        self._digest_keys: dict[str, Secret[bytes]] = {}  # By label; labels are words of the code, so few.
        self._entropy = entropy

    def digest(self, label: str, data: bytes) -> str:
        """Return the keyed digest of `data`, in hex: without the key nobody can test a guess against it."""
        key = self._digest_keys.get(label)
        if key is None:
            key = self._digest_keys[label] = subkey(self._data_key, "digest", label)
        return hmac.digest(key.reveal(), data, "sha256").hex()

    def seal(self, data: bytes, label: str) -> Part:
        """Seal `data` as a part named by its digest under `label`."""
        digest = self.digest(label, data)
        sealed = seal(self._key_of(digest), data, self._bound_to(digest), self._entropy)
        return Part(digest, TENANT_KEY_VERSION, sealed)

    def open(self, part: Part) -> bytes:
        """Return what was sealed, or raise SealBroken."""
        if part.key_version != TENANT_KEY_VERSION:
            raise SealBroken(f"A part is sealed with key version {part.key_version}, which this tenant does not have.")
        return unseal(self._key_of(part.digest), part.sealed, self._bound_to(part.digest))

    def _key_of(self, digest: str) -> Secret[bytes]:
        # A key for each part: at 2,000 parts a second one key would reach its 2^32 random nonces in a month.
        return Secret(hmac.digest(self._part_key.reveal(), digest.encode(), "sha256"))

    def _bound_to(self, digest: str) -> bytes:
        return binding("part", self.tenant, digest, str(TENANT_KEY_VERSION))
