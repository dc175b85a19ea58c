"""Evidence for auditors, and how well this tenant is set up."""

import msgspec

from haldir.kernel.errors import InvalidFormat
from haldir.operations.caller import Caller
from haldir.operations.catalogue import McpTool, Operation
from haldir.operations.compliance_score import Criterion, criteria
from haldir.operations.context import Context
from haldir.operations.download import Download, text_file
from haldir.operations.evidence import EvidenceManifest, EvidencePack, evidence_manifest, evidence_pack
from haldir.operations.evidence_text import as_markdown
from haldir.operations.wire import Moment

JSON, MARKDOWN = "json", "markdown"
MARKDOWN_TYPE = "text/markdown"
PERCENT = 100


class EvidenceManifestRequest(msgspec.Struct, frozen=True):
    """The period: `since` belongs to it, `until` does not. By default everything until now."""

    since: Moment | None = None
    until: Moment | None = None


class EvidenceRequest(EvidenceManifestRequest, frozen=True):
    """`format`: `json`, or `markdown` to be read."""

    format: str = JSON


class ComplianceScoreRequest(msgspec.Struct, frozen=True):
    pass


class ComplianceScore(msgspec.Struct, frozen=True):
    """The share of criteria that are met, in percent; each counts the same, and says what it looked at."""

    score: int
    criteria: list[Criterion]


async def compliance_evidence(ctx: Context, caller: Caller, request: EvidenceRequest) -> EvidencePack | Download:
    """Gather the evidence of a period, signed: the same bytes each time, once the period is over."""
    if request.format not in {JSON, MARKDOWN}:
        raise InvalidFormat(f"`format` must be {JSON} or {MARKDOWN}", "format")
    pack = await evidence_pack(ctx, caller.tenant, request.since, request.until)
    if request.format == JSON:
        return pack
    return text_file(f"haldir-evidence-{caller.tenant}.md", as_markdown(pack), f"{MARKDOWN_TYPE}; charset=utf-8")


async def compliance_evidence_manifest(
    ctx: Context, caller: Caller, request: EvidenceManifestRequest
) -> EvidenceManifest:
    """Return the digests of the evidence of a period, and its signature."""
    return evidence_manifest(await evidence_pack(ctx, caller.tenant, request.since, request.until))


async def compliance_score(ctx: Context, caller: Caller, _request: ComplianceScoreRequest) -> ComplianceScore:
    """Say how many of the named criteria are met by what is set up now."""
    found = await criteria(ctx, caller.tenant)
    return ComplianceScore(PERCENT * sum(each.met for each in found) // len(found), found)


OPERATIONS = (
    Operation(
        name="compliance_evidence",
        method="GET",
        path="/v1/compliance/evidence",
        summary="Gather the evidence of a period",
        scope="audit:read",
        request=EvidenceRequest,
        response=EvidencePack,
        run=compliance_evidence,
        files=(MARKDOWN_TYPE,),
        tag="compliance",
        mcp=McpTool(
            name="haldir_build_evidence_pack",
            effect="reads",
            aliases=("build_evidence_pack",),
            omitted=("format",),
            stdio_only=True,
        ),
    ),
    Operation(
        name="compliance_evidence_manifest",
        method="GET",
        path="/v1/compliance/evidence/manifest",
        summary="Digest the evidence of a period",
        scope="audit:read",
        request=EvidenceManifestRequest,
        response=EvidenceManifest,
        run=compliance_evidence_manifest,
        tag="compliance",
    ),
    Operation(
        name="compliance_score",
        method="GET",
        path="/v1/compliance/score",
        summary="Say which criteria are met",
        scope="audit:read",
        request=ComplianceScoreRequest,
        response=ComplianceScore,
        run=compliance_score,
        tag="compliance",
        mcp=McpTool(name="haldir_compliance_score", effect="reads", aliases=("compliance_score",), stdio_only=True),
    ),
)
