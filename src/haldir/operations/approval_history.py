"""What became of an approval, step by step, each with the entry of the log in which it stands."""

from collections.abc import Iterator
from typing import Literal

import msgspec

from haldir.approvals.model import Approval
from haldir.journal.command import Record
from haldir.kernel import ids
from haldir.kernel.clock import Micros, unix_seconds
from haldir.kernel.ids import TenantId
from haldir.operations.approval_words import decider_words
from haldir.operations.context import Context
from haldir.operations.parties import parties_of
from haldir.operations.sealed_parts import opened_parts
from haldir.storage.rows import Entry

StepKind = Literal["asked", "approved", "denied", "expired", "used"]


class StepShown(msgspec.Struct, frozen=True):
    """`by` is the credential, `name` what its key is called. `note` is "" where nothing was said, or it was erased.

    Each of several votes is `approved`. `used` is by the payment or call that the approval let through.
    """

    kind: StepKind
    at: float
    by: str
    name: str
    note: str
    entry_id: str


class _Step(msgspec.Struct, frozen=True):
    kind: StepKind
    at: Micros | None  # None where only the entry says it.
    by: str
    op_id: str
    note_digest: str = ""


async def history_of(ctx: Context, tenant: TenantId, approval: Approval) -> list[StepShown]:
    """Return what became of an approval until now, the first step first."""
    steps = list(_steps(approval))
    ops = [(step.op_id,) for step in steps if step.op_id]
    found = await ctx.store.load(tenant, Entry, ("op_id",), ops)
    entries = {row.op_id: row for row in found if isinstance(row, Entry)}
    said = await opened_parts(ctx, tenant, [step.note_digest for step in steps])
    parties = await parties_of(ctx, tenant, [approval])
    return [
        StepShown(
            step.kind,
            unix_seconds(_at(step, entries.get(step.op_id))),
            step.by,
            parties.party(step.by).name,
            decider_words(step.note_digest, said).note,
            ids.entry_id(entries[step.op_id].index) if step.op_id in entries else "",
        )
        for step in steps
    ]


def _steps(approval: Approval) -> Iterator[_Step]:
    yield _Step("asked", approval.created_at, approval.asked_by, ids.op_of("apr", approval.id) or "")
    for vote in approval.votes:
        yield _Step("approved", vote.at, vote.by, vote.op_id, vote.note_digest)
    if approval.state == "denied":
        op_id, note = approval.decided_op, approval.note_digest
        yield _Step("denied", approval.decided_at, approval.decided_by, op_id, note)
    if approval.used_by:
        kind = approval.used_by.partition("_")[0]
        yield _Step("used", approval.used_at, approval.used_by, ids.op_of(kind, approval.used_by) or "")
    if approval.state == "expired":
        yield _Step("expired", None, "system:", approval.expired_op)


def _at(step: _Step, entry: Entry | None) -> Micros:
    if step.at is not None:
        return step.at
    return msgspec.json.decode(entry.body, type=Record).at if entry else 0
