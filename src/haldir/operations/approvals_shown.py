"""Approvals as the wire shows them (WIRE.md §5), with what was sealed beside them opened."""

from collections.abc import Iterator, Sequence

import msgspec

from haldir.approvals.changes import ChangeShown
from haldir.approvals.model import Approval, Effect, Status
from haldir.kernel.clock import SECOND, Micros, unix_seconds
from haldir.kernel.ids import TenantId
from haldir.kernel.money import wire_amount
from haldir.operations.approval_words import asked_words, decider_words, reason_for_holding, word_parts
from haldir.operations.context import Context
from haldir.operations.parties import Parties, PartyShown, parties_of
from haldir.operations.payload_commands import is_payload
from haldir.operations.previous_calls import NOT_SHOWN, Compared, ComparedShown, compared, previous_of
from haldir.operations.sealed_parts import opened_parts
from haldir.operations.secret_masks import SecretMasks

OPENED_AT_ONCE = 25  # Approvals whose words are opened together: arguments may have a megabyte each.
PAGE_BYTES_MAX = 4 << 20  # A page ends early rather than hold much more.


class VoteShown(msgspec.Struct, frozen=True):
    """One approval of those needed. `claimed_by` is the name that came with it, which nobody checked."""

    approved_by: str
    claimed_by: str
    note: str
    timestamp: float


class RuleShown(msgspec.Struct, frozen=True):
    """The rule that holds a request; of several the one that is named first."""

    id: str
    kind: str
    reason: str


class ApprovalShown(msgspec.Struct, frozen=True):
    """`effect`: what it lets happen, once: a payment, a call, or (ask) nothing by itself.

    `decided_by` is the credential; `claimed_by` the name that came with the decision. `details` are what the
    approver has to see: of a payment its description, of a call its arguments, of an ask what it came with.
    Null stands for what was erased. `rule` is what holds it; null where a session asks of its own accord.
    `openers` opened the session and those above it, which are its `parents`, nearest first. `seconds_left` until
    it expires; 0 once it was denied, used, or has expired. `changes` are what differs from the arguments of the
    agent's previous call of that tool; null unless `compared` says that there is such a call to compare with.
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
    rule: RuleShown | None
    asked_by_name: str
    decided_by_name: str
    openers: list[PartyShown]
    parents: tuple[str, ...]
    seconds_left: int
    changes: list[ChangeShown] | None
    compared: ComparedShown


async def shown_approvals(
    ctx: Context, tenant: TenantId, approvals: Sequence[Approval], now: Micros, *, with_changes: bool = True
) -> list[ApprovalShown]:
    """Return the approvals as they are shown; fewer of them if what was said of them would fill more than a page.

    They are one, or a page of what waits, newest first. `with_changes` is for people: agents see no call of another
    session.
    """
    shown: list[ApprovalShown] = []
    parties, size = await parties_of(ctx, tenant, approvals), 0
    previous = await previous_of(ctx, tenant, approvals) if with_changes else NOT_SHOWN
    masks = SecretMasks(ctx, tenant)
    for start in range(0, len(approvals), OPENED_AT_ONCE):
        some = approvals[start : start + OPENED_AT_ONCE]
        digests = [digest for each in some for digest in word_parts(each)]
        said = await opened_parts(ctx, tenant, [*digests, *previous.parts(some)])
        said |= await masks.over_json({part: content for part, content in said.items() if is_payload(part)})
        beside = await compared(ctx, tenant, some, previous, said)
        shown += [_shown(each, said, parties, beside[each.id], now) for each in some]
        size += sum(map(len, said.values()))
        if size > PAGE_BYTES_MAX:
            break
    return shown


def _shown(
    approval: Approval, said: dict[str, bytes], parties: Parties, beside: Compared, now: Micros
) -> ApprovalShown:
    asked, decided = asked_words(approval, said), decider_words(approval.note_digest, said)
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
        rule=_rule(approval),
        asked_by_name=parties.party(approval.asked_by).name,
        decided_by_name=parties.party(approval.decided_by).name,
        openers=[parties.party(credential) for credential in approval.openers],
        parents=parties.lineages.get(approval.session_id, ()),
        seconds_left=_seconds_left(approval, now),
        changes=beside.changes,
        compared=beside.shown,
    )


def _rule(approval: Approval) -> RuleShown | None:
    if not approval.rule_id:
        return None
    return RuleShown(approval.rule_id, approval.rule_kind, reason_for_holding(approval))


def _seconds_left(approval: Approval, now: Micros) -> int:
    if approval.state not in {"pending", "approved"}:
        return 0
    return max(0, approval.expires_at - now) // SECOND


def _votes(approval: Approval, said: dict[str, bytes]) -> Iterator[VoteShown]:
    for vote in approval.votes:
        words = decider_words(vote.note_digest, said)
        yield VoteShown(vote.by, words.decided_by, words.note, unix_seconds(vote.at))
