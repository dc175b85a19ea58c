"""How anything is sealed: AES-256-GCM under a subkey of its own, bound to what it is and whose.

A nonce is random, so no key may seal more than 2^32 things: keys are derived as narrowly as their use.
"""

from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from haldir.kernel import canonical
from haldir.kernel.errors import HaldirError
from haldir.kernel.secret import Secret

Entropy = Callable[[int], bytes]

KEY_BYTES = 32
NONCE_BYTES = 12
TAG_BYTES = 16


class SealBroken(HaldirError):
    """What was sealed cannot be opened: it was altered, or sealed for another place, owner or key."""

    code = "seal_broken"
    hint = "Run `haldir fsck` to see what was altered, and restore that from a backup."


def subkey(key: Secret[bytes], *purpose: str) -> Secret[bytes]:
    """Derive the key for one purpose; keys of different purposes tell nothing about each other."""
    kdf = HKDF(SHA256(), KEY_BYTES, salt=None, info=binding("haldir", *purpose))
    return Secret(kdf.derive(key.reveal()))


def binding(*words: str) -> bytes:
    """Return bytes that no other list of words yields: what a seal is bound to."""
    return canonical.encode(words)


def seal(key: Secret[bytes], plaintext: bytes, bound_to: bytes, entropy: Entropy) -> bytes:
    """Return nonce and ciphertext; opened only with the same key and `bound_to`."""
    nonce = entropy(NONCE_BYTES)
    return nonce + AESGCM(key.reveal()).encrypt(nonce, plaintext, bound_to)


def unseal(key: Secret[bytes], sealed: bytes, bound_to: bytes) -> bytes:
    """Return the plaintext, or raise SealBroken."""
    if len(sealed) < NONCE_BYTES + TAG_BYTES:
        raise SealBroken("A sealed value is cut short.")
    try:
        return AESGCM(key.reveal()).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to)
    except InvalidTag:
        raise SealBroken("A sealed value was altered, or belongs elsewhere.") from None
