"""A secret's value as it is stored: sealed with a data key of its own, which lies beside it, wrapped.

Both open only for the tenant, the name and the version (its digest) they were sealed for, and the data key only
with the version of the tenant's key that wraps it. To wrap it anew leaves the sealed value as it is; to erase the
part erases value and key together.
"""

from haldir.kernel.ids import OpId
from haldir.kernel.secret import Secret
from haldir.storage.rows import Part
from haldir.vault.seal import KEY_BYTES, NONCE_BYTES, TAG_BYTES, SealBroken, binding, seal, unseal
from haldir.vault.tenant_keys import TenantKeys

WRAPPED_BYTES = NONCE_BYTES + KEY_BYTES + TAG_BYTES


def secret_digest(keys: TenantKeys, op: OpId, name: str, value: Secret[str]) -> str:
    """Return the name of one version: what `op` stored. Two versions of one value do not look alike."""
    return keys.digest("secret", binding(op, name) + value.reveal().encode())


def seal_value(keys: TenantKeys, name: str, digest: str, value: Secret[str]) -> Part:
    """Seal a value with a new data key, wrapped with the newest version of the tenant's key."""
    data_key = Secret(keys.entropy(KEY_BYTES))
    sealed = seal(data_key, value.reveal().encode(), _value_bound_to(keys, name, digest), keys.entropy)
    return _enclosed(keys, name, digest, data_key, sealed)


def open_value(keys: TenantKeys, name: str, part: Part) -> Secret[str]:
    """Return the value, or raise SealBroken."""
    sealed = part.sealed[WRAPPED_BYTES:]
    return Secret(unseal(_data_key(keys, name, part), sealed, _value_bound_to(keys, name, part.digest)).decode())


def wrap_anew(keys: TenantKeys, name: str, part: Part) -> Part:
    """Return the part with its data key wrapped by the newest version of the tenant's key. Raises SealBroken."""
    return _enclosed(keys, name, part.digest, _data_key(keys, name, part), part.sealed[WRAPPED_BYTES:])


def _enclosed(keys: TenantKeys, name: str, digest: str, data_key: Secret[bytes], sealed: bytes) -> Part:
    version = keys.newest
    bound_to = _key_bound_to(keys, name, digest, version)
    wrapped = seal(keys.wrapping_key(version), data_key.reveal(), bound_to, keys.entropy)
    return Part(digest, version, wrapped + sealed)


def _data_key(keys: TenantKeys, name: str, part: Part) -> Secret[bytes]:
    bound_to = _key_bound_to(keys, name, part.digest, part.key_version)
    data_key = unseal(keys.wrapping_key(part.key_version), part.sealed[:WRAPPED_BYTES], bound_to)
    if len(data_key) != KEY_BYTES:
        raise SealBroken("What is wrapped beside a secret is not its key.")
    return Secret(data_key)


def _key_bound_to(keys: TenantKeys, name: str, digest: str, version: int) -> bytes:
    return binding("secret key", keys.tenant, name, digest, str(version))


def _value_bound_to(keys: TenantKeys, name: str, digest: str) -> bytes:
    return binding("secret value", keys.tenant, name, digest)
