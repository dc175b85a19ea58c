"""What operations work with: built once by app.py, handed down by argument."""

import asyncio
import itertools
import secrets
from typing import Any

import msgspec

from haldir.gate.key_uses import KeyUses
from haldir.journal.journal import Journal
from haldir.kernel import ids
from haldir.kernel.clock import Clock, Micros
from haldir.kernel.ids import OpId, TenantId
from haldir.kernel.secret import Secret
from haldir.operations.books import Directory, RequestBook, SessionBook, UpstreamBook
from haldir.operations.pending_watch import PendingWatch
from haldir.operations.policies import PolicyBook
from haldir.operations.refusals import RefusalLog
from haldir.proxy.model import PAYLOAD_DAYS
from haldir.proxy.pool import UpstreamPool
from haldir.storage.engine import Engine
from haldir.vault.keyring import Keyring
from haldir.webhooks.mail_server import MailServer


class AgentSession(msgspec.Struct, frozen=True):
    """The session an agent was last seen in; expiry None is until revoked."""

    session_id: str
    expires_at: Micros | None


class RequestOps:
    """The op_ids of one request: done again, it asks for the same ones in the same order."""

    def __init__(self, first: OpId) -> None:
        self._first, self._next = first, itertools.count()

    def __call__(self) -> OpId:
        return ids.later_op(self._first, next(self._next))


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running Haldir. From `directory` to `requests` they are memory: losing them loses nothing.

    The context of a request that may come again has its `ops`: it is carried out under the same op_ids then.
    """

    journal: Journal
    store: Engine
    keyring: Keyring
    pool: UpstreamPool
    policies: PolicyBook
    refusals: RefusalLog
    clock: Clock
    payload_days: int = PAYLOAD_DAYS  # How long it is kept what calls come with and are answered; 0 is not at all.
    allow_private: bool = False  # Whether upstreams registered by API may reach private addresses.
    bootstrap_token: Secret[str] | None = None
    public_url: str | None = None  # Where others reach this Haldir, without a slash at its end, if anybody said so.
    mail: MailServer | None = None  # Where letters go out.
    directory: Directory = msgspec.field(default_factory=Directory)
    upstreams: UpstreamBook = msgspec.field(default_factory=UpstreamBook)
    key_uses: KeyUses = msgspec.field(default_factory=KeyUses)
    agent_sessions: dict[tuple[TenantId, str], AgentSession] = {}
    in_flight: set["asyncio.Task[Any]"] = msgspec.field(default_factory=set)
    pending: PendingWatch = msgspec.field(default_factory=PendingWatch)
    sessions: SessionBook = msgspec.field(default_factory=SessionBook)
    requests: RequestBook = msgspec.field(default_factory=RequestBook)
    ops: RequestOps | None = None

    def new_op(self) -> OpId:
        """Return an op_id of this request; a new one, where it is no request that may come again."""
        return self.ops() if self.ops else new_op(self.clock)


def new_op(clock: Clock) -> OpId:
    """Return an op_id of now: for what Haldir does of its own accord, whichever request it happens in."""
    return ids.op_id(clock(), secrets.token_bytes(ids.ENTROPY_BYTES))
