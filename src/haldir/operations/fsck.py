"""A whole store checked: its schema, each log against its signed and kept heads, and the rows against the log."""

import msgspec

from haldir.journal.checkpoint import Signer
from haldir.journal.witness import Witness
from haldir.kernel.ids import TenantId
from haldir.operations.commands import LAWS
from haldir.storage.engine import Reader
from haldir.storage.migrate import READ_APPLIED, Dialect, SchemaError, migrations, pending
from haldir.watch.replay import replay_log
from haldir.watch.verify import Finding, Pin, verify_log


class LogReport(msgspec.Struct, frozen=True):
    """What is wrong with one tenant's log and rows; nothing, where there are no findings."""

    tenant: TenantId
    entries_checked: int
    findings: tuple[Finding, ...]


class Report(msgspec.Struct, frozen=True):
    """What was found in a store."""

    logs: tuple[LogReport, ...]

    @property
    def ok(self) -> bool:
        return not any(log.findings for log in self.logs)

    @property
    def entries_checked(self) -> int:
        return sum(log.entries_checked for log in self.logs)


async def check_schema(reader: Reader, dialect: Dialect) -> None:
    """Raise SchemaError unless the store has exactly the schema of this Haldir."""
    applied = [(int(number), str(name), str(sha256)) for number, name, sha256 in await reader.fetch(READ_APPLIED)]
    if missing := pending(migrations(dialect), applied):
        raise SchemaError(f"The database lacks the migration {missing[0].name}: `haldir up` would run it.")


async def check_logs(reader: Reader, signer: Signer, witness: Witness) -> Report:
    """Check every tenant that the store has or that the witness remembers."""
    tenants = sorted({*await reader.tenants(), *witness.tenants()})
    return Report(tuple([await _check_log(reader, tenant, signer, witness) for tenant in tenants]))


async def _check_log(reader: Reader, tenant: TenantId, signer: Signer, witness: Witness) -> LogReport:
    kept = witness.kept(tenant)
    pins = [Pin(*kept)] if kept else []
    verified = await verify_log(reader, tenant, signer.verifier_key(tenant), pins)
    # A log that was altered leads nowhere; what it leads to would only bury what was altered.
    findings = verified.findings or tuple(await replay_log(reader, tenant, LAWS))
    return LogReport(tenant, verified.entries_checked, findings)
