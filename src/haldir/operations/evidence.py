"""The evidence pack: what an auditor wants to know of a period, signed, the same bytes whenever it is asked for.

Everything in it follows from the entries before the period's end, which nothing appended later can change. It holds no
number with a point: amounts are texts, so that every language spells the signed JSON alike.
"""

import hashlib

import msgspec

from haldir.journal.checkpoint import Signer
from haldir.kernel import canonical
from haldir.kernel.clock import iso_text
from haldir.kernel.errors import InvalidRange
from haldir.kernel.ids import TenantId
from haldir.ledger.model import Reservation
from haldir.operations import evidence_sections as sections
from haldir.operations.context import Context
from haldir.operations.tree_heads import key_id_of, signer_of
from haldir.operations.wire import Moment
from haldir.storage.rows import BUNDLE
from haldir.watch.filter import Span
from haldir.watch.period import Line, PeriodTally, Posted, decode_line
from haldir.watch.queries import first_index_at, read_bodies, read_head

FORMAT_VERSION = 1
PAGE = 4 * BUNDLE
ALGORITHM = "Ed25519-over-canonical-json"


class PeriodShown(msgspec.Struct, frozen=True):
    """`since` belongs to it, `until` does not."""

    since: str
    until: str


class Evidence(msgspec.Struct, frozen=True):
    """What is signed: its canonical JSON has sorted members, no spaces, and UTF-8 that is not escaped."""

    format_version: int
    tenant_id: str
    period: PeriodShown
    identity: sections.Identity
    access: sections.Access
    encryption: sections.Encryption
    audit: sections.Audit
    spend: sections.Spend
    approvals: sections.Approvals
    alerting: sections.Alerting


class EvidenceSignature(msgspec.Struct, frozen=True):
    """By the key that signs the log's heads, over the canonical JSON of the pack without its `signature`."""

    algorithm: str
    public_key: str
    key_id: str
    sha256: str
    signature: str


class EvidencePack(Evidence, frozen=True):
    signature: EvidenceSignature


class SectionDigest(msgspec.Struct, frozen=True):
    name: str
    sha256: str


class EvidenceManifest(msgspec.Struct, frozen=True):
    """What a pack holds: the SHA-256 of the canonical JSON of each section, and the signature over them all."""

    format_version: int
    tenant_id: str
    period: PeriodShown
    sections: list[SectionDigest]
    signature: EvidenceSignature


async def evidence_pack(ctx: Context, tenant: TenantId, since: Moment | None, until: Moment | None) -> EvidencePack:
    """Gather and sign the evidence of a period; by default of everything until now."""
    matter = await _matter(ctx, tenant, since, until)
    evidence = Evidence(
        format_version=FORMAT_VERSION,
        tenant_id=tenant,
        period=PeriodShown(iso_text(matter.since), iso_text(matter.until)),
        identity=await sections.identity(matter),
        access=sections.access(matter),
        encryption=await sections.encryption(matter),
        audit=await sections.audit(matter),
        spend=sections.spend(matter),
        approvals=await sections.approvals(matter),
        alerting=await sections.alerting(matter),
    )
    return EvidencePack(**msgspec.structs.asdict(evidence), signature=_signed(signer_of(ctx), evidence))


def evidence_manifest(pack: EvidencePack) -> EvidenceManifest:
    """Return what is in a pack, in few words."""
    parts = {name: getattr(pack, name) for name in Evidence.__struct_fields__}
    digests = [SectionDigest(name, _sha256(part)) for name, part in parts.items() if isinstance(part, sections.Section)]
    return EvidenceManifest(pack.format_version, pack.tenant_id, pack.period, digests, pack.signature)


async def _matter(ctx: Context, tenant: TenantId, since: Moment | None, until: Moment | None) -> sections.Matter:
    """Fix the period and count what happened in it."""
    now = ctx.clock()
    begins, ends = since or 0, now if until is None else until
    if not begins <= ends <= now:
        raise InvalidRange("a period begins before it ends, and ends by now", "until")
    size = (await read_head(ctx.store, tenant)).size
    first = await first_index_at(ctx.store, tenant, size, begins)
    span = Span(first, await first_index_at(ctx.store, tenant, size, ends))
    return sections.Matter(ctx, tenant, begins, ends, span, await _tally(ctx, tenant, span))


async def _tally(ctx: Context, tenant: TenantId, span: Span) -> PeriodTally:
    tally, first = PeriodTally(), span.first
    while bodies := await read_bodies(ctx.store, tenant, Span(first, span.end), PAGE):
        lines = [decode_line(body) for body in bodies]
        tally.take(lines, await _posted(ctx, tenant, lines))
        first += len(bodies)
    return tally


async def _posted(ctx: Context, tenant: TenantId, lines: list[Line]) -> dict[str, Posted]:
    """Return the money that was spent for these entries' calls and payments; once spent, it stays as it is."""
    wanted = sorted({line.money_id for line in lines} - {""})
    found = await ctx.store.load(tenant, Reservation, ("id",), [(each,) for each in wanted]) if wanted else ()
    return {
        row.id: Posted(row.purpose, row.currency, row.posted_micros, row.resolved_at)
        for row in found
        if isinstance(row, Reservation) and row.state == "posted" and row.resolved_at is not None
    }


def _signed(signer: Signer, evidence: Evidence) -> EvidenceSignature:
    return EvidenceSignature(
        algorithm=ALGORITHM,
        public_key=signer.public_key.hex(),
        key_id=key_id_of(signer),
        sha256=_sha256(evidence),
        signature=signer.document(canonical.encode(evidence)).hex(),
    )


def _sha256(part: msgspec.Struct) -> str:
    return hashlib.sha256(canonical.encode(part)).hexdigest()
