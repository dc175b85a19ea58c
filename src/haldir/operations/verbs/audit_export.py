"""The log, or a part of it, as a file to be kept."""

import msgspec

from haldir.kernel.errors import InvalidFormat
from haldir.operations.audit_export import Export, csv_lines, jsonl_lines, manifest_builder, planned
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.download import Download
from haldir.operations.wire import Moment, require_period
from haldir.watch.filter import EntryFilter
from haldir.watch.manifest import FORMAT_VERSION, Manifest

JSONL, CSV = "jsonl", "csv"
JSONL_TYPE, CSV_TYPE = "application/x-ndjson", "text/csv"


class ExportManifestRequest(msgspec.Struct, frozen=True):
    """Filters as those of GET /v1/audit."""

    session_id: str = ""
    agent_id: str = ""
    tool: str = ""
    kind: str = ""
    flagged: bool = False
    allowed: bool | None = None
    since: Moment | None = None
    until: Moment | None = None


class ExportRequest(ExportManifestRequest, frozen=True):
    """`format`: `jsonl`, whose last line is the manifest, or `csv`, whose manifest is asked for by itself."""

    format: str = JSONL


async def export_audit(ctx: Context, caller: Caller, request: ExportRequest) -> Download:
    """Export entries, oldest first. What is appended after this was asked is not in it."""
    if request.format not in {JSONL, CSV}:
        raise InvalidFormat(f"`format` must be {JSONL} or {CSV}", "format")
    export = await _planned(ctx, caller, request)
    name = f"haldir-audit-{caller.tenant}.{request.format}"
    if request.format == CSV:
        return Download(f"{CSV_TYPE}; charset=utf-8", name, csv_lines(ctx, caller, export), _headers("out-of-band"))
    return Download(JSONL_TYPE, name, jsonl_lines(ctx, caller, export), _headers("embedded-final-line"))


async def export_manifest(ctx: Context, caller: Caller, request: ExportManifestRequest) -> Manifest:
    """Return the manifest of what an export with these filters holds."""
    export = await _planned(ctx, caller, request)
    return (await manifest_builder(ctx, caller, export)).manifest(export.extent)


async def _planned(ctx: Context, caller: Caller, request: ExportManifestRequest) -> Export:
    require_period(request.since, request.until)
    wanted = EntryFilter(
        kind=request.kind,
        session_id=request.session_id,
        agent_id=request.agent_id,
        tool=request.tool,
        flagged=request.flagged,
        allowed=request.allowed,
    )
    return await planned(ctx, caller.tenant, wanted, request.since, request.until)


def _headers(manifest: str) -> tuple[tuple[str, str], ...]:
    return ("X-Haldir-Export-Manifest", manifest), ("X-Haldir-Export-Format-Version", str(FORMAT_VERSION))


OPERATIONS = (
    Operation(
        name="export_audit",
        method="GET",
        path="/v1/audit/export",
        summary="Export the log",
        scope="audit:read",
        request=ExportRequest,
        response=Download,
        run=export_audit,
        files=(JSONL_TYPE, CSV_TYPE),
        tag="audit",
    ),
    Operation(
        name="export_manifest",
        method="GET",
        path="/v1/audit/export/manifest",
        summary="Tell what an export would hold",
        scope="audit:read",
        request=ExportManifestRequest,
        response=Manifest,
        run=export_manifest,
        tag="audit",
    ),
)
