"""The deployment's keys: all of them open with the root key, and none is ever stored in the clear.

root key -> the log's signing key and origin, made once
         -> each version of a tenant's data key, which keys its digests, seals its parts and wraps its secrets' keys
         -> minted credentials, derived from the op_id, so that none is stored and a retry gets the same
         -> boxes: short-lived sealed handles that only Haldir can read
"""

import hmac
from collections.abc import Iterable
from typing import final

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from haldir.kernel import canonical
from haldir.kernel.ids import OP_ID_CHARS, OpId, TenantId, credential
from haldir.kernel.secret import Secret
from haldir.storage.engine import Engine, Reader
from haldir.storage.rows import Part
from haldir.vault.model import FIRST_KEY_VERSION, TenantKeyVersions
from haldir.vault.queries import first_key
from haldir.vault.root import WrongRootKey
from haldir.vault.seal import KEY_BYTES, Entropy, SealBroken, binding, seal, subkey, unseal
from haldir.vault.tenant_keys import TenantKeys

SETTING = "deployment_keys"
ROOT_KEY_VERSION = 0
ORIGIN_BYTES = 8
TENANTS_CACHED_MAX = 10_000  # About 1 KB each; a tenant beyond them costs two reads again.


class DeploymentKeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is stored once for a deployment: one setting, so that origin and key cannot come apart."""

    origin: str
    signing_key: bytes  # Sealed under the root key; opening it is also the check of the root key.


@final
class Keyring:
    """Everything the root key opens. Nothing here shows a secret unless asked for it by name."""

    def __init__(
        self, engine: Reader, root: Secret[bytes], origin: str, signing_key: Ed25519PrivateKey, entropy: Entropy
    ) -> None:
        self.origin = origin
        self.signing_key = signing_key
        self._engine = engine
        self._root = root
        self._mint_key = subkey(root, "mint")
        self._tenants: dict[TenantId, TenantKeys] = {}
        self._boxes: dict[str, Secret[bytes]] = {}  # By label; labels are words of the code, so few.
        self._entropy = entropy

    @staticmethod
    async def stands_in(reader: Reader) -> bool:
        """Tell whether this database has its keys already: then a missing root key must not be made anew."""
        return await reader.setting(SETTING) is not None

    @classmethod
    async def open(cls, engine: Engine, root: Secret[bytes], source: str, entropy: Entropy) -> "Keyring":
        """Open the deployment's keys, or make them if this database has none. Of replicas that race, one makes them.

        Raises WrongRootKey, which names `source`, if the root key is not the one they were sealed with.
        """
        if not await cls.stands_in(engine):
            await engine.put_setting_once(SETTING, _new_deployment(root, entropy))
        return await cls.reopen(engine, root, source, entropy)

    @classmethod
    async def reopen(cls, reader: Reader, root: Secret[bytes], source: str, entropy: Entropy) -> "Keyring":
        """Open the keys that `stands_in` this database. Raises WrongRootKey as `open` does."""
        try:
            keys = msgspec.json.decode(await reader.setting(SETTING) or b"", type=DeploymentKeys)
            signing_key = _opened_signing_key(root, keys)
        except (msgspec.DecodeError, SealBroken):
            raise WrongRootKey(source) from None
        return cls(reader, root, keys.origin, signing_key, entropy)

    def mint(self, kind: str, op: OpId) -> Secret[str]:
        """Return the credential that `op` mints: the same one each time."""
        return Secret(credential(kind, self._mint_key.reveal(), op))

    def op_named(self, name: bytes) -> OpId:
        """Return the op_id of what a client named: the same one each time, and nobody without the key can tell it."""
        return OpId(hmac.digest(self._box_key("op").reveal(), name, "sha256").hex()[:OP_ID_CHARS])

    def seal_box(self, label: str, plaintext: bytes, aad: bytes) -> bytes:
        """Seal a handle that a caller keeps for us; `aad` says whose it is and must be given again."""
        return seal(self._box_key(label), plaintext, aad, self._entropy)

    def open_box(self, label: str, box: bytes, aad: bytes) -> bytes:
        """Return what `seal_box` sealed. Raises SealBroken for anything else: callers may send any bytes."""
        return unseal(self._box_key(label), box, aad)

    def new_data_key(self, op: OpId, tenant: TenantId) -> Part:
        """Make the data key of a tenant that `op` creates or rotates, sealed: the same key and digest each time."""
        data_key = subkey(self._root, "new data key", op)
        digest_key = subkey(self._root, "data key digest")
        digest = hmac.digest(digest_key.reveal(), data_key.reveal(), "sha256").hex()
        sealed = seal(self._data_key_wrap(), data_key.reveal(), _data_key_bound_to(tenant, digest), self._entropy)
        return Part(digest, ROOT_KEY_VERSION, sealed)

    def data_key_from(self, part: Part, tenant: TenantId) -> Secret[bytes]:
        """Open a data key. Raises SealBroken unless it was sealed for this tenant."""
        if part.key_version != ROOT_KEY_VERSION:
            raise SealBroken(f"A data key of tenant {tenant} is not sealed with the root key.")
        return Secret(unseal(self._data_key_wrap(), part.sealed, _data_key_bound_to(tenant, part.digest)))

    async def tenant(self, tenant: TenantId) -> TenantKeys:
        """Return the keys of a tenant that exists. Raises SealBroken if a data key is gone or altered.

        They may lack a version that another replica made just now: to open parts, ask `opening`.
        """
        return self._tenants.get(tenant) or await self._remembered(tenant)

    async def opening(self, tenant: TenantId, parts: Iterable[Part]) -> TenantKeys:
        """Return the tenant's keys with every version that these parts are sealed with, if there is such a one."""
        keys = await self.tenant(tenant)
        if all(part.key_version <= keys.newest for part in parts):
            return keys
        return await self._remembered(tenant)

    def forget(self, tenant: TenantId) -> None:
        """Have the tenant's keys read anew."""
        self._tenants.pop(tenant, None)

    async def _remembered(self, tenant: TenantId) -> TenantKeys:
        keys = TenantKeys(tenant, await self._data_keys(tenant), self._entropy)
        if len(self._tenants) >= TENANTS_CACHED_MAX:
            self._tenants.pop(next(iter(self._tenants)))
        self._tenants[tenant] = keys
        return keys

    async def _data_keys(self, tenant: TenantId) -> dict[int, Secret[bytes]]:
        first = await first_key(self._engine, tenant)
        versions = [(FIRST_KEY_VERSION, first.digest if first else "")]
        for row in await self._engine.load(tenant, TenantKeyVersions, (), [()]):
            assert isinstance(row, TenantKeyVersions)
            versions += [(key.version, key.digest) for key in row.later]
        found = await self._engine.load(tenant, Part, Part.TABLE.key, [(digest,) for _, digest in versions])
        parts = {part.digest: part for part in found if isinstance(part, Part)}
        if any(digest not in parts for _, digest in versions):
            raise SealBroken(f"A data key of tenant {tenant} is not in the database.")
        return {version: self.data_key_from(parts[digest], tenant) for version, digest in versions}

    def _data_key_wrap(self) -> Secret[bytes]:
        return subkey(self._root, "wrap data keys")

    def _box_key(self, label: str) -> Secret[bytes]:
        key = self._boxes.get(label)
        if key is None:
            key = self._boxes[label] = subkey(self._root, "box", label)
        return key


def _new_deployment(root: Secret[bytes], entropy: Entropy) -> bytes:
    # The origin names the log's key in every checkpoint (C2SP signed-note: no space, no plus), so it never changes.
    origin = f"haldir-{entropy(ORIGIN_BYTES).hex()}.local"
    sealed = seal(_signing_key_wrap(root), entropy(KEY_BYTES), _signing_key_bound_to(origin), entropy)
    return canonical.encode(DeploymentKeys(origin, sealed))


def _opened_signing_key(root: Secret[bytes], keys: DeploymentKeys) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(
        unseal(_signing_key_wrap(root), keys.signing_key, _signing_key_bound_to(keys.origin))
    )


def _signing_key_wrap(root: Secret[bytes]) -> Secret[bytes]:
    return subkey(root, "wrap signing key")


def _signing_key_bound_to(origin: str) -> bytes:
    return binding(SETTING, "signing_key", origin)


def _data_key_bound_to(tenant: TenantId, digest: str) -> bytes:
    return binding("data key", tenant, digest, str(ROOT_KEY_VERSION))
