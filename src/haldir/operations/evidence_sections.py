"""The sections of an evidence pack: one small function each, and nothing in them that a later entry could change."""

import functools
from collections import Counter

import msgspec

from haldir.gate.model import Agent, ApiKey
from haldir.journal.tiles import read_root
from haldir.kernel.clock import Micros, iso_text
from haldir.kernel.ids import TenantId
from haldir.kernel.money import CURRENCY, format_amount
from haldir.operations.context import Context
from haldir.operations.living import all_rows
from haldir.operations.tree_heads import signer_of
from haldir.watch.filter import Span
from haldir.watch.period import PeriodTally
from haldir.watch.proofs import consistency
from haldir.watch.queries import count_allowed
from haldir.watch.verify import Pin, verify_log

LISTED_MAX = 1_000  # Of keys, agents and tools each; a pack is for people.


class Matter(msgspec.Struct, frozen=True):
    """What sections are made of: whose period, where it lies in the log, and what was counted in it."""

    ctx: Context
    tenant: TenantId
    since: Micros
    until: Micros
    span: Span
    tally: PeriodTally

    async def standing(self, added: str, removed: str) -> int:
        """Return how many of something stood at the period's end: those ever added less those removed."""
        return await self.ever(added) - await self.ever(removed)

    async def ever(self, kind: str) -> int:
        """Count the commands of a rare kind until the period's end."""
        return await count_allowed(self.ctx.store, self.tenant, kind, Span(0, self.span.end))


class Section(msgspec.Struct, frozen=True):
    """A part of a pack."""


class EvidencedKey(msgspec.Struct, frozen=True):
    prefix: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    revoked_at: str | None


class EvidencedAgent(msgspec.Struct, frozen=True):
    name: str
    scopes: tuple[str, ...]
    created_at: str
    revoked_at: str | None


class Identity(Section, frozen=True):
    """Keys and agents as they stood at the period's end, oldest first; sessions as they came and went in it."""

    keys: list[EvidencedKey]
    keys_total: int
    agents: list[EvidencedAgent]
    agents_total: int
    sessions_opened: int
    sessions_revoked: int


class Access(Section, frozen=True):
    """Decisions of the period, by kind of command, and why refusals were refused."""

    entries: int
    allowed: dict[str, int]
    refused: dict[str, int]
    refusals_by_code: dict[str, int]


class Encryption(Section, frozen=True):
    """How what is stored is protected, and how often the tenant's key was renewed until the period's end."""

    sealed_with: str
    key_hierarchy: str
    credentials_stored_as: str
    digests: str
    tenant_key_versions: int
    secrets_stored: int
    secrets_deleted: int
    secrets_revealed: int


class ConsistencyShown(msgspec.Struct, frozen=True):
    first_size: int
    first_root: str
    second_size: int
    second_root: str
    path: list[str]


class Audit(Section, frozen=True):
    """The log at the period's end, signed, and the proof that it grew out of what it was at the period's beginning.

    `verified` says what reading the whole log came to when the pack was made; `faults` is empty unless it was altered.
    """

    hashing: str
    tree_size: int
    root_hash: str
    checkpoint: str
    verifier_key: str
    consistency: ConsistencyShown | None
    verified: bool
    faults: list[str]


class Spend(Section, frozen=True):
    """Money as texts. `reported` is what agents said that their actions cost; the rest was spent from budgets."""

    reported: str
    reported_by_tool: dict[str, str]
    spent_on_calls: dict[str, str]
    spent_on_payments: dict[str, str]


class Approvals(Section, frozen=True):
    """Rules at the period's end, and what people were asked in it."""

    rules: int
    requested: int
    decided: int
    expired: int


class Alerting(Section, frozen=True):
    """Rules and receivers at the period's end, and what was out of the ordinary in it."""

    anomaly_rules: int
    webhooks: int
    flagged_entries: int
    notices: dict[str, int]


async def identity(matter: Matter) -> Identity:
    keys = [row for row in await all_rows(matter.ctx, matter.tenant, ApiKey) if row.created_at < matter.until]
    agents = [row for row in await all_rows(matter.ctx, matter.tenant, Agent) if row.created_at < matter.until]
    keys.sort(key=lambda row: (row.created_at, row.prefix))
    agents.sort(key=lambda row: (row.created_at, row.name))
    return Identity(
        keys=[
            EvidencedKey(row.prefix, row.name, row.scopes, iso_text(row.created_at), _by(matter, row.revoked_at))
            for row in keys[:LISTED_MAX]
        ],
        keys_total=len(keys),
        agents=[
            EvidencedAgent(row.name, row.scopes, iso_text(row.created_at), _by(matter, row.revoked_at))
            for row in agents[:LISTED_MAX]
        ],
        agents_total=len(agents),
        sessions_opened=matter.tally.allowed["session.create"] + matter.tally.allowed["agent.session"],
        sessions_revoked=matter.tally.allowed["session.revoke"],
    )


def access(matter: Matter) -> Access:
    tally = matter.tally
    return Access(tally.entries, _sorted(tally.allowed), _sorted(tally.refused), _sorted(tally.codes))


async def encryption(matter: Matter) -> Encryption:
    done = matter.tally.allowed
    return Encryption(
        sealed_with="AES-256-GCM, each value bound to its tenant, its place and the version of its key",
        key_hierarchy="root key, tenant keys, a data key for each sealed value (HKDF-SHA256, HMAC-SHA256)",
        credentials_stored_as="SHA-256 of 256 random bits",
        digests="HMAC-SHA256 with a key of the tenant",
        tenant_key_versions=1 + await matter.ever("vault.rotate"),
        secrets_stored=done["secret.store"],
        secrets_deleted=done["secret.delete"],
        secrets_revealed=done["secret.reveal"],
    )


async def audit(matter: Matter) -> Audit:
    ctx, tenant, size = matter.ctx, matter.tenant, matter.span.end
    signer, kept = signer_of(ctx), ctx.journal.kept(tenant)
    root = await read_root(functools.partial(ctx.store.load, tenant), size)
    found = await verify_log(ctx.store, tenant, signer.verifier_key(tenant), [Pin(*kept)] if kept else [])
    return Audit(
        hashing="RFC6962-SHA256",
        tree_size=size,
        root_hash=root.hex(),
        checkpoint=signer.checkpoint(tenant, size, root),
        verifier_key=signer.verifier_key(tenant),
        consistency=await _grown(matter),
        verified=found.verified,
        faults=[finding.message for finding in found.findings],
    )


def spend(matter: Matter) -> Spend:
    tally = matter.tally
    by_tool = {tool: micros for tool, micros in sorted(tally.reported_micros.items()) if tool}
    return Spend(
        reported=format_amount(tally.reported_micros.total()),
        reported_by_tool={tool: format_amount(by_tool[tool]) for tool in list(by_tool)[:LISTED_MAX]},
        spent_on_calls=_spent(tally, "call"),
        spent_on_payments=_spent(tally, "payment"),
    )


async def approvals(matter: Matter) -> Approvals:
    done = matter.tally.allowed
    return Approvals(
        rules=await matter.standing("approval.rule.add", "approval.rule.remove"),
        requested=done["approval.request"],
        decided=done["approval.decide"],
        expired=done["approval.expire"],
    )


async def alerting(matter: Matter) -> Alerting:
    return Alerting(
        anomaly_rules=await matter.standing("anomaly.add", "anomaly.remove"),
        webhooks=await matter.standing("webhook.register", "webhook.remove"),
        flagged_entries=matter.tally.flagged,
        notices=_sorted(matter.tally.notices),
    )


async def _grown(matter: Matter) -> ConsistencyShown | None:
    """Return the proof that the log only grew in the period; None where it began with nothing."""
    first, second = matter.span.first, matter.span.end
    if not first:
        return None
    proof = await consistency(matter.ctx.store, matter.tenant, first, second)
    path = [each.hex() for each in proof.path]
    return ConsistencyShown(first, proof.first_root.hex(), second, proof.second_root.hex(), path)


def _by(matter: Matter, at: Micros | None) -> str | None:
    """Return an instant if it lies before the period's end; what came later is not known here."""
    return iso_text(at) if at is not None and at < matter.until else None


def _spent(tally: PeriodTally, purpose: str) -> dict[str, str]:
    currencies = sorted({CURRENCY, *(currency for of, currency in tally.posted_micros if of == purpose)})
    return {currency: format_amount(tally.posted_micros[purpose, currency]) for currency in currencies}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
