"""What the journal's tests share: a signer, clocks, small commands of their own, and ways to look into a store."""

import asyncio
import functools
import itertools
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from haldir.approvals.model import Approval, ApprovalRules, Hold, PendingCount
from haldir.gate.model import Agent, ApiKey, KeyUse, Request, Session, Tenant
from haldir.journal.checkpoint import Signer
from haldir.journal.command import STALE, Command, Decision, Subject, allow, deny
from haldir.journal.journal import Journal
from haldir.journal.tree import Tree, leaf_hash
from haldir.journal.witness import NoWitness, Witness
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import SECOND, Clock, Micros
from haldir.kernel.ids import TenantId
from haldir.ledger.model import Budget, Payment, Reservation
from haldir.proxy.model import (
    Call,
    PastPolicy,
    PolicyEpoch,
    PolicyVersion,
    RateWindow,
    StoredPolicy,
    Tool,
    Upstream,
    UpstreamHealth,
    UsageWindow,
)
from haldir.storage.engine import Engine, Reader
from haldir.storage.rows import BUNDLE, Credential, Entry, Find, Head, Part, Row, Tile
from haldir.vault.model import SecretVersion, StoredSecret, TenantKeyVersions
from haldir.watch.model import Activity, AnomalyRules, ReportedSpend, Tally, ToolUsed
from haldir.webhooks.model import Webhook, WebhookCount, WebhookDelivery, WebhookProgress, WebhookRetry

R = TypeVar("R", bound=Row)

SIGNER = Signer("haldir.example/log", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
TENANT = TenantId("0123456789abcdef")
STATE: tuple[type[Row], ...] = (
    Activity,
    Agent,
    AnomalyRules,
    ApiKey,
    Approval,
    ApprovalRules,
    Budget,
    Call,
    Credential,
    Hold,
    PastPolicy,
    Payment,
    PendingCount,
    PolicyEpoch,
    PolicyVersion,
    RateWindow,
    ReportedSpend,
    Request,
    Reservation,
    SecretVersion,
    Session,
    StoredPolicy,
    StoredSecret,
    Tally,
    Tenant,
    TenantKeyVersions,
    Tool,
    ToolUsed,
    Upstream,
    UpstreamHealth,
    UsageWindow,
    Webhook,
    WebhookCount,
)
BESIDE_THE_LOG: tuple[type[Row], ...] = (KeyUse, WebhookDelivery, WebhookProgress, WebhookRetry)
TABLES: tuple[type[Row], ...] = (*STATE, *BESIDE_THE_LOG, Head, Entry, Tile, Part)


class Spend(Command, frozen=True, tag="test.spend"):
    """Spend from a budget that appears with its first use."""

    holder: str
    micros: int
    limit_micros: int = 1_000_000
    note: str = ""

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Budget.at(self.holder)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(session_id=self.holder, agent_id="tester", tool="spend")
        budget = rows.get(Budget, self.holder) or Budget(self.holder, self.limit_micros)
        if budget.free_micros is not None and budget.free_micros < self.micros:
            return deny("budget_exceeded", f"{budget.free_micros} left", about)
        return allow(budget.but(spent_micros=budget.spent_micros + self.micros), about=about)


class AddSession(Command, frozen=True, tag="test.session"):
    """Put a session of a given age, and count those there are by a second, computed look."""

    id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()  # A hint only: what `decide` misses is loaded all the same.

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        if rows.get(Session, self.id):
            return deny("exists", "there is such a session")
        return allow(Session(self.id, "tester", None, (), "", ("read",), 0, now, None, "key:test"))


class Break(Command, frozen=True, tag="test.break"):
    """Ask for what no store keeps: a budget beyond its limit."""

    holder: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return allow(Budget(self.holder, limit_micros=1, spent_micros=2))


class Outdated(Command, frozen=True, tag="test.outdated"):
    """Be stale for as long as there is no budget of this name."""

    holder: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Budget.at(self.holder)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return STALE if rows.get(Budget, self.holder) is None else allow()


class Erase(Command, frozen=True, tag="test.erase"):
    """Let parts go."""

    digests: tuple[str, ...]

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        return ()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        return allow(erases=self.digests)


def ticking(start: Micros = 1_800_000_000 * SECOND, step: Micros = SECOND) -> Clock:
    return itertools.count(start, step).__next__


def journal(engine: Engine, witness: Witness | None = None, clock: Clock | None = None) -> Journal:
    return Journal(engine, SIGNER, clock or ticking(), witness or NoWitness())


def run_async(test: Callable[..., Any]) -> Callable[..., None]:
    """Let a test be a coroutine function."""

    @functools.wraps(test)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        asyncio.run(test(*args, **kwargs))

    return wrapped


async def rows_of(reader: Reader, tenant: TenantId, row_type: type[R]) -> list[R]:
    """Return all rows of a table, in an order of their own."""
    found = await reader.load(tenant, row_type, (), [()])
    return sorted((row for row in found if isinstance(row, row_type)), key=repr)


async def state_of(reader: Reader, tenant: TenantId) -> dict[str, list[Row]]:
    return {row_type.TABLE.name: list(await rows_of(reader, tenant, row_type)) for row_type in STATE}


async def entries_of(reader: Reader, tenant: TenantId) -> list[Entry]:
    return sorted(await rows_of(reader, tenant, Entry), key=lambda entry: entry.index)


def tree_of(entries: Iterable[Entry]) -> Tree:
    """Return the tree that these entries make, having looked at each."""
    tree = Tree()
    for index, entry in enumerate(entries):
        assert entry.index == index == entry.bundle * BUNDLE + entry.slot
        assert entry.leaf == leaf_hash(entry.body)
        tree.append(entry.leaf, lambda *_: None)
    return tree
