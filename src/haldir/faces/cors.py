"""Which browsers' pages may read Haldir's answers: those of the origins that its operator named, and no others."""

import re
from collections.abc import Sequence

import msgspec

Header = tuple[bytes, bytes]

PREFLIGHT_SECONDS = b"600"  # Browsers cap this at some minutes anyhow.

_NAMES = re.compile(rb"[A-Za-z0-9-]+")


class CrossOrigin(msgspec.Struct, frozen=True):
    """What pages of the `origins` may do at one face: send `sent` headers, and others that begin with a prefix."""

    origins: frozenset[bytes]
    methods: bytes
    sent: bytes
    told: bytes
    sent_prefix: bytes | None = None

    def headers(self, asked: Sequence[Header]) -> list[Header]:
        """Return what lets a page read the answer to a request with these headers."""
        if not self.origins:
            return []
        given = dict(asked)
        origin = given.get(b"origin", b"")
        if origin not in self.origins:
            return [(b"vary", b"Origin")]
        return [
            (b"vary", b"Origin"),
            (b"access-control-allow-origin", origin),
            (b"access-control-allow-methods", self.methods),
            (b"access-control-allow-headers", self._sent(given.get(b"access-control-request-headers", b""))),
            (b"access-control-expose-headers", self.told),
            (b"access-control-max-age", PREFLIGHT_SECONDS),
        ]

    def _sent(self, wanted: bytes) -> bytes:
        prefix = self.sent_prefix
        named = _NAMES.findall(wanted) if prefix else ()
        return b", ".join((self.sent, *(name for name in named if prefix and name.lower().startswith(prefix))))


def named(origins: Sequence[str]) -> frozenset[bytes]:
    return frozenset(origin.encode() for origin in origins)
