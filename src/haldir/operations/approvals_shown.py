"""Approvals as the wire shows them (WIRE.md §5), with what was sealed beside them opened."""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from haldir.approvals.holds import APPROVAL_REQUIRED
from haldir.approvals.model import Approval, Effect, Status
from haldir.approvals.rules import held_reason
from haldir.kernel.clock import Micros, unix_seconds
from haldir.kernel.errors import Refused
from haldir.kernel.ids import TenantId
from haldir.kernel.money import wire_amount
from haldir.operations.context import Context
from haldir.operations.sealed_parts import opened_parts

POLL_AFTER_SECONDS = 5  # People take longer; `?wait=` costs less and tells at once.
OPENED_AT_ONCE = 8  # Approvals whose words are opened together: arguments may have a megabyte each.
PAGE_BYTES_MAX = 4 << 20  # A page ends early rather than hold much more.
NOTHING_SAID = msgspec.Raw(b"null")


class AskedWords(msgspec.Struct, frozen=True):
    """What whoever asked said of it, as it is sealed. Values are JSON as it came."""

    reason: str = ""
    details: msgspec.Raw = NOTHING_SAID
    params: msgspec.Raw = NOTHING_SAID


class DeciderWords(msgspec.Struct, frozen=True):
    """What whoever decided said, as it is sealed. The name is a claim; the credential is what counts."""

    note: str = ""
    decided_by: str = ""


class VoteShown(msgspec.Struct, frozen=True):
    """One approval of those needed. `claimed_by` is the name that came with it, which nobody checked."""

    approved_by: str
    claimed_by: str
    note: str
    timestamp: float


class ApprovalShown(msgspec.Struct, frozen=True):
    """`effect`: what it lets happen, once: a payment, a call, or (ask) nothing by itself.

    `decided_by` is the credential; `claimed_by` the name that came with the decision. `details` are what the
    approver has to see: of a payment its description, of a call its arguments, of an ask what it came with.
    Null stands for what was erased.
    """

    request_id: str
    status: Status
    effect: Effect
    session_id: str
    agent_id: str
    upstream: str
    tool: str
    action: str
    amount: float
    currency: str
    reason: str
    details: msgspec.Raw
    params: msgspec.Raw
    asked_by: str
    rule_id: str
    approvers: int
    four_eyes: bool
    votes: list[VoteShown]
    decided_by: str
    claimed_by: str
    decision_note: str
    created_at: float
    expires_at: float
    decided_at: float | None
    used_at: float | None
    used_by: str


def waiting_for(approval_id: str) -> dict[str, Any]:
    """Return what a held caller is told of the approval it waits for."""
    return {
        "request_id": approval_id,
        "approval_id": approval_id,
        "url": f"/v1/approvals/{approval_id}",
        "poll_after_seconds": POLL_AFTER_SECONDS,
    }


def held_call(refused: Refused) -> dict[str, Any]:
    """Return what the caller of a held tool reads: as a plain result, for nothing failed (WIRE.md §7)."""
    said = {"status": APPROVAL_REQUIRED, "reason": refused.reason, "message": refused.kind.hint}
    return said | waiting_for(refused.approval_id)


async def shown_approvals(
    ctx: Context, tenant: TenantId, approvals: Sequence[Approval], now: Micros
) -> list[ApprovalShown]:
    """Return the approvals as they are shown; fewer of them if what was said of them would fill more than a page."""
    shown: list[ApprovalShown] = []
    size = 0
    for start in range(0, len(approvals), OPENED_AT_ONCE):
        some = approvals[start : start + OPENED_AT_ONCE]
        said = await opened_parts(ctx, tenant, (digest for each in some for digest in _digests(each)))
        shown += [_shown(each, said, now) for each in some]
        size += sum(map(len, said.values()))
        if size > PAGE_BYTES_MAX:
            break
    return shown


def _digests(approval: Approval) -> Iterator[str]:
    yield from (approval.details_digest, approval.note_digest)
    yield from (vote.note_digest for vote in approval.votes)


def _shown(approval: Approval, said: dict[str, bytes], now: Micros) -> ApprovalShown:
    asked, decided = _asked_words(approval, said), _decider_words(approval.note_digest, said)
    return ApprovalShown(
        request_id=approval.id,
        status=approval.status(now),
        effect=approval.effect,
        session_id=approval.session_id,
        agent_id=approval.agent_id,
        upstream=approval.upstream,
        tool=approval.tool,
        action=approval.action,
        amount=wire_amount(approval.amount_micros),
        currency=approval.currency,
        reason=asked.reason,
        details=asked.details,
        params=asked.params,
        asked_by=approval.asked_by,
        rule_id=approval.rule_id,
        approvers=approval.approvers,
        four_eyes=approval.four_eyes,
        votes=list(_votes(approval, said)),
        decided_by=approval.decided_by,
        claimed_by=decided.decided_by,
        decision_note=decided.note,
        created_at=unix_seconds(approval.created_at),
        expires_at=unix_seconds(approval.expires_at),
        decided_at=None if approval.decided_at is None else unix_seconds(approval.decided_at),
        used_at=None if approval.used_at is None else unix_seconds(approval.used_at),
        used_by=approval.used_by,
    )


def _votes(approval: Approval, said: dict[str, bytes]) -> Iterator[VoteShown]:
    for vote in approval.votes:
        words = _decider_words(vote.note_digest, said)
        yield VoteShown(vote.by, words.decided_by, words.note, unix_seconds(vote.at))


def _asked_words(approval: Approval, said: dict[str, bytes]) -> AskedWords:
    sealed = said.get(approval.details_digest)
    if approval.effect == "ask":
        return msgspec.json.decode(sealed, type=AskedWords) if sealed else AskedWords()
    reason = held_reason(approval.rule_id, approval.rule_kind)
    if sealed is None:
        return AskedWords(reason)
    return AskedWords(reason, _of_payment(sealed) if approval.effect == "payment" else msgspec.Raw(sealed))


def _of_payment(sealed: bytes) -> msgspec.Raw:
    described: dict[str, Any] = {"description": sealed.decode()}
    return msgspec.Raw(msgspec.json.encode(described))


def _decider_words(digest: str, said: dict[str, bytes]) -> DeciderWords:
    sealed = said.get(digest)
    return msgspec.json.decode(sealed, type=DeciderWords) if sealed else DeciderWords()
