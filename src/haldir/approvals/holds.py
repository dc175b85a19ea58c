"""What becomes of a request that rules hold: it begins to wait, still waits, was denied, or passes, once. Pure.

Decided within the command that does the thing, under the log head: so one approval lets one request through,
whatever runs in parallel.
"""

from collections.abc import Callable, Iterator, Sequence

import msgspec

from haldir.approvals.model import NO_RULES, Approval, ApprovalRules, Asked, Hold
from haldir.approvals.pending import pending_needs, pending_refusal
from haldir.approvals.rules import Terms, terms_of
from haldir.journal.command import Decision, Subject, hold
from haldir.journal.working_set import WorkingSet
from haldir.kernel import ids
from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.errors import Refusal
from haldir.kernel.ids import OpId
from haldir.policy.judgement import Holding
from haldir.storage.rows import Find, Row

HELD_SECONDS = 3600  # WIRE.md §5: what an approval lives when nobody says.
APPROVAL_REQUIRED = "approval_required"
APPROVAL_DENIED = "approval_denied"


class Held(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a held caller is told: which approval its request waits for. `again`: it was held before."""

    approval_id: str
    again: bool = False


class Ruling(msgspec.Struct, frozen=True):
    """What rules and approvals make of a request: it may pass if there is no `refusal`.

    A request that begins to wait puts its approval; one that passes uses it up. `erases` are the details that were
    kept while it waited, if those it came with now take their place.
    """

    refusal: Refusal | None = None
    held: Held | None = None
    puts: tuple[Row, ...] = ()
    drops: tuple[Row, ...] = ()
    erases: tuple[str, ...] = ()

    @property
    def begins(self) -> bool:
        """Tell whether the request begins to wait with this: then a person will have to see its details."""
        return bool(self.refusal and self.puts)

    def refused(self, about: Subject) -> Decision:
        """Return the decision against a request that may not pass."""
        assert self.refusal is not None
        return hold(*self.refusal, *self.puts, about=about, result=self.held)


PASSED = Ruling()


def hold_needs(
    rows: WorkingSet, session_id: str, digested: Callable[[], str], *, by_policies: bool = False
) -> Iterator[Find]:
    """Name the rows that `ruling` looks at; where nothing can hold, nothing is digested and nothing looked up.

    `by_policies`: policies may hold the request.
    """
    yield ApprovalRules.at()
    rules = rows.peek(ApprovalRules)
    if not by_policies and (rules is None or not rules.rules):
        return
    request_digest = digested()
    yield Hold.at(session_id, request_digest)
    yield from pending_needs(session_id)
    held = rows.peek(Hold, session_id, request_digest)
    if held is not None:
        yield Approval.at(held.approval_id)


def ruling(
    rows: WorkingSet,
    asking: Callable[[], Asked],
    op_id: str,
    used_by: str,
    now: Micros,
    *,
    policies: Sequence[Holding] = (),
) -> Ruling:
    """Return what rules, policies that hold, and approvals make of a request.

    `op_id` is that of the command that decides: the approval that it may begin to need is named by it.
    """
    rules = rows.get(ApprovalRules) or NO_RULES
    if not rules.rules and not policies:
        return PASSED
    asked = asking()
    terms = terms_of(rules, asked, policies)
    if terms is None:
        return PASSED
    waiting = rows.get(Hold, asked.session_id, asked.request_digest)
    fresh = begun(asked, terms, ids.approval_id(OpId(op_id)), now)
    if waiting is None:
        return _anew(rows, fresh, None, op_id, terms.reason)
    approval = rows.the(Approval, waiting.approval_id)
    if _lapsed(approval, rules, asked, now) or _falls_short(approval, terms):
        return _anew(rows, fresh, approval, op_id, terms.reason)
    match approval.state:
        case "pending":
            return Ruling((APPROVAL_REQUIRED, terms.reason), Held(approval.id, again=True))
        case "approved":
            return _used(approval, waiting, asked, used_by, now)
    assert approval.state == "denied", f"{approval.id} is {approval.state}, and something still waits for it"
    denied = f"{approval.decided_by} denied this as {approval.id}."
    return Ruling((APPROVAL_DENIED, denied), Held(approval.id))


def _used(approval: Approval, waiting: Hold, asked: Asked, used_by: str, now: Micros) -> Ruling:
    used = approval.but(state="used", used_at=now, used_by=used_by)
    if asked.details_digest in ("", approval.details_digest):
        return Ruling(puts=(used,), drops=(waiting,))
    before = (approval.details_digest,) if approval.details_digest else ()
    return Ruling(puts=(used.but(details_digest=asked.details_digest),), drops=(waiting,), erases=before)


def begun(asked: Asked, terms: Terms, approval_id: str, now: Micros, ttl_seconds: int = HELD_SECONDS) -> Approval:
    """Return the approval of a request that begins to wait."""
    return Approval(
        approval_id,
        asked.effect,
        asked.session_id,
        asked.agent_id,
        asked.request_digest,
        terms.rules_version,
        asked.policy_epoch,
        asked.upstream,
        asked.tool,
        asked.action,
        asked.amount_micros or 0,
        asked.currency,
        asked.details_digest,
        terms.rule_id,
        terms.rule_kind,
        terms.approvers,
        terms.four_eyes,
        asked.asked_by,
        asked.openers,
        now,
        now + ttl_seconds * SECOND,
        rule_reason=terms.rule_reason,
    )


def _lapsed(approval: Approval, rules: ApprovalRules, asked: Asked, now: Micros) -> bool:
    """Tell whether an approval counts no longer: its time is over, or it was asked for under other rules."""
    versions = approval.rules_version, approval.policy_epoch
    return now >= approval.expires_at or versions != (rules.version, asked.policy_epoch)


def _is_pending(before: Approval | None) -> bool:
    """Tell whether an approval counts among those that wait: then another may take its place."""
    return before is not None and before.state == "pending"


def _falls_short(approval: Approval, terms: Terms) -> bool:
    """Tell whether an approval was asked for on weaker terms: with time and with counters other policies hold."""
    weaker = approval.approvers < terms.approvers or (terms.four_eyes and not approval.four_eyes)
    return weaker and approval.state in {"pending", "approved"}


def _anew(rows: WorkingSet, fresh: Approval, before: Approval | None, op_id: str, reason: str) -> Ruling:
    """Have a request begin to wait, in the place of the approval that it waited for before."""
    if not _is_pending(before) and (refusal := pending_refusal(rows, fresh.session_id)):
        return Ruling(refusal)
    puts: list[Row] = [fresh, Hold(fresh.session_id, fresh.request_digest, fresh.id)]
    if before is not None and before.state in {"pending", "approved"}:
        puts.append(before.but(state="expired", expired_op=op_id))
    return Ruling((APPROVAL_REQUIRED, reason), Held(fresh.id), tuple(puts))
