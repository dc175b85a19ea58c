"""What a process remembers between requests: whose credentials are whose, which upstreams there are.

All of it may be behind the store, or lost: whatever is decided is decided from rows under the log head.
"""

import asyncio
from typing import Any

import msgspec

from haldir.journal.command import CredentialRef
from haldir.kernel.clock import Micros
from haldir.kernel.ids import TenantId
from haldir.proxy.definition import Definition
from haldir.proxy.model import Upstream, UpstreamConfig

KNOWN_MAX = 10_000  # Credentials, or sessions, remembered: some megabytes. A forgotten one costs a read.


class KnownCredential(msgspec.Struct, frozen=True):
    """What never changes about a credential."""

    tenant: TenantId
    credential: CredentialRef
    key_scopes: tuple[str, ...]


class Directory:
    """Remembers whose credentials are whose, by their SHA-256."""

    def __init__(self) -> None:
        self._known: dict[str, KnownCredential] = {}

    def get(self, sha256: str) -> KnownCredential | None:
        return self._known.get(sha256)

    def put(self, sha256: str, known: KnownCredential) -> KnownCredential:
        if len(self._known) >= KNOWN_MAX:
            self._known.pop(next(iter(self._known)))
        return self._known.setdefault(sha256, known)


class SessionFacts(msgspec.Struct, frozen=True):
    """What never changes about a session, and policies may ask."""

    agent_id: str = ""
    scopes: tuple[str, ...] = ()


class SessionBook:
    """Remembers whose sessions are whose, and their scopes."""

    def __init__(self) -> None:
        self._known: dict[tuple[TenantId, str], SessionFacts] = {}

    def get(self, tenant: TenantId, session_id: str) -> SessionFacts | None:
        return self._known.get((tenant, session_id))

    def put(self, tenant: TenantId, session_id: str, facts: SessionFacts) -> SessionFacts:
        if len(self._known) >= KNOWN_MAX:
            self._known.pop(next(iter(self._known)))
        return self._known.setdefault((tenant, session_id), facts)


class RequestBook:
    """The named requests that this process carries out, by tenant, name and what they say, each with its task.

    `holder` is the name of this process. Where no other writes to the store, all share one: what a dead one held
    is not held any more.
    """

    def __init__(self, holder: str = "") -> None:
        self.holder = holder
        self.running: dict[tuple[TenantId, str, str], asyncio.Task[Any]] = {}


class KnownUpstream(msgspec.Struct, frozen=True):
    """An upstream and how to reach it."""

    upstream: Upstream
    config: UpstreamConfig


class Discovery(msgspec.Struct):
    """What an upstream of one version offers, or why that is not known."""

    version: int
    task: "asyncio.Task[None] | None" = None
    definitions: dict[str, Definition] = {}
    error: str = ""
    finished_at: Micros = 0


class UpstreamBook:
    """What this process knows of upstreams: rows, configurations and discovered definitions."""

    def __init__(self) -> None:
        self.known: dict[TenantId, dict[str, KnownUpstream]] = {}
        self.discoveries: dict[tuple[TenantId, str], Discovery] = {}

    def forget(self, tenant: TenantId) -> None:
        """Have the tenant's upstreams read anew."""
        self.known.pop(tenant, None)
