"""The root key: 32 bytes from outside the database that open everything in it; named in errors, never shown."""

import base64
import binascii
import os
from pathlib import Path

import msgspec

from haldir.kernel.errors import HaldirError
from haldir.kernel.secret import Secret
from haldir.vault.seal import KEY_BYTES, Entropy

FILE_MODE = 0o600
FILE_BYTES_MAX = 1024  # A root key file has 45 bytes; whatever is longer is another file, not worth reading.


class RootKeyError(HaldirError):
    """The server cannot start with the root key it was given. The message names its source, never the key."""

    code = "root_key"


class MissingRootKey(RootKeyError):
    """There is no root key where one was said to be."""


class MalformedRootKey(RootKeyError):
    """What was given is not the base64 of 32 bytes."""

    hint = "Give the root key as it was made with the database, whole and unchanged."


class WrongRootKey(RootKeyError):
    """A well-formed key, but not the one that this database was sealed with."""

    def __init__(self, source: str) -> None:
        super().__init__(
            f"The root key from {source} does not open this database: it is another deployment's key, "
            f"or the stored keys were altered. Start with the key that the database was created with."
        )


class RootKey(msgspec.Struct, frozen=True):
    """The key and where it came from, in words fit for a message."""

    key: Secret[bytes]
    source: str


def root_key_from_value(value: str | None, variable: str) -> RootKey:
    """Read the root key out of the environment's `variable`, whose value the settings hand in."""
    source = f"the variable {variable}"
    if not value:
        raise MissingRootKey(f"There is no root key: {source} is not set. It holds the base64 of {KEY_BYTES} bytes.")
    return RootKey(_decoded(value, source), source)


def root_key_from_file(path: Path) -> RootKey:
    """Read the root key out of a file."""
    source = f"the file {path}"
    try:
        with path.open("rb") as file:
            text = file.read(FILE_BYTES_MAX)
    except FileNotFoundError:
        raise MissingRootKey(
            f"There is no root key: {source} is missing. Without it nothing in the database can be opened; "
            f"put the file back from where it is kept safe."
        ) from None
    except OSError as error:
        raise MissingRootKey(f"The root key cannot be read from {source}: {error.strerror}.") from None
    return RootKey(_decoded(text.decode("ascii", "replace"), source), source)


def create_root_key_file(path: Path, entropy: Entropy) -> RootKey:
    """Make a new root key that only its owner can read; a file that is already there is never replaced.

    Durable on return: nothing may be sealed with a key that a power cut could take back.
    """
    key = Secret(entropy(KEY_BYTES))
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
    with os.fdopen(handle, "wb") as file:
        file.write(base64.b64encode(key.reveal()) + b"\n")
        file.flush()
        os.fsync(handle)
    _flush_folder(path.parent)
    return RootKey(key, f"the file {path}")


def _decoded(text: str, source: str) -> Secret[bytes]:
    try:
        key = Secret(base64.b64decode(text.strip(), validate=True))
    except (binascii.Error, ValueError):
        raise MalformedRootKey(f"The root key from {source} is not base64.") from None
    if len(key.reveal()) != KEY_BYTES:
        raise MalformedRootKey(f"The root key from {source} has {len(key.reveal())} bytes instead of {KEY_BYTES}.")
    return key


def _flush_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
