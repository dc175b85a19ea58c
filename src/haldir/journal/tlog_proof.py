"""A proof as a file that anyone can check without the log: C2SP tlog-proof, version 1."""

import base64
import binascii
import re
from collections.abc import Sequence

import msgspec

HEADER = "c2sp.org/tlog-proof@v1"
HASHES_MAX = 63  # A path is no longer than the logarithm of the largest index.

_PROOF = re.compile(
    rf"{re.escape(HEADER)}\n(?:extra (?P<extra>[A-Za-z0-9+/=]+)\n)?index (?P<index>0|[1-9][0-9]{{0,18}})\n"
    rf"(?P<path>(?:[A-Za-z0-9+/=]+\n){{0,{HASHES_MAX}}})\n(?P<checkpoint>(?s:.+))"
)


class BadProof(ValueError):
    """The text is no proof of this format."""


class TlogProof(msgspec.Struct, frozen=True):
    """Where an entry stands, the path from it to the root, and the checkpoint of that; `extra` proves nothing."""

    index: int
    path: Sequence[bytes]
    checkpoint: str
    extra: bytes = b""


def write_proof(proof: TlogProof) -> str:
    """Return the text of a proof."""
    extra = [f"extra {_encoded(proof.extra)}"] if proof.extra else []
    lines = [HEADER, *extra, f"index {proof.index}", *(_encoded(each) for each in proof.path), ""]
    return "\n".join(lines) + "\n" + proof.checkpoint


def read_proof(text: str) -> TlogProof:
    """Return what a proof says, be it true or not. Raises BadProof."""
    found = _PROOF.fullmatch(text)
    if found is None:
        raise BadProof("this is no tlog-proof of version 1")
    try:
        path = [base64.b64decode(line, validate=True) for line in found["path"].splitlines()]
        extra = base64.b64decode(found["extra"] or "", validate=True)
    except binascii.Error as error:
        raise BadProof("the proof holds bad base64") from error
    return TlogProof(int(found["index"]), path, found["checkpoint"], extra)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()
