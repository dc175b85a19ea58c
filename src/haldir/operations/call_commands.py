"""The command that lets a tool call through, or not: identity, policy, approvals and money meet here.

All of it is decided from rows under the log head. How a call ends is in `call_ending_commands.py`.
"""

import hashlib
from collections.abc import Iterable, Iterator
from functools import partial

import msgspec

from haldir.approvals.holds import hold_needs, ruling
from haldir.approvals.model import Asked
from haldir.gate.liveness import chain, foreign_refusal, openers, session_refusal
from haldir.gate.model import Session
from haldir.journal.command import DETAILS_WANTED, STALE, Command, Decision, Notice, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel import canonical
from haldir.kernel.clock import MILLISECOND, Micros
from haldir.kernel.errors import Refusal
from haldir.kernel.money import CURRENCY
from haldir.kernel.scopes import covers
from haldir.ledger.budgets import budgets_of, reserved, spend_refusal
from haldir.ledger.model import Budget, Reservation
from haldir.operations.call_usage import Usage
from haldir.operations.session_commands import family_needs
from haldir.policy.judgement import Holding, Judgement, RateAbove
from haldir.proxy.model import Call, PolicyEpoch, Tool, Upstream
from haldir.storage.rows import Find, Row

SHADOWED = "policy_shadowed"
NAMED = "policy_named"
WITH_MORE = "tool_call_with_input"  # Of a call that brings more than its arguments, which alone an approver sees.
POLICY_REFUSALS = frozenset({"policy_denied", "rate_exceeded"})  # Those that a change of policies may turn.


class Charge(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a call would cost, as read from its arguments. `fault` says why it could not be read.

    `ruled`: the operator set a price for this tool. Otherwise it is the top-level `amount`, and counts only
    where a budget stands.
    """

    micros: int = 0
    currency: str = CURRENCY
    ruled: bool = False
    fault: str = ""

    @property
    def comparable_micros(self) -> int | None:
        """Return the price that policies may compare; None if it could not be read, or is in another currency."""
        return None if self.fault or self.currency != CURRENCY else self.micros


class Admit(Command, frozen=True, tag="call.admit"):
    """Let one tool call through, or not, and set its price aside on the session and all above it.

    `fault` is a refusal that was certain before the journal was asked, as (code, reason). `harmless_sha256` is the
    hash of the definition by which the tool destroys nothing; empty if it does not say so. `details_digest` names
    the arguments, sealed for those who look at the call later, and for whoever has to approve it. `beside_digest` is
    of what goes to the upstream beside them; empty for nothing.
    """

    LISTED = True

    call_id: str
    session_id: str
    upstream: str
    upstream_version: int
    tool: str
    arguments_digest: str
    judgement: Judgement
    deadline_ms: int
    charge: Charge = Charge()
    fault: Refusal | None = None
    harmless_sha256: str = ""
    details_digest: str = ""
    beside_digest: str = ""

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield from family_needs(rows, self.session_id)
        yield PolicyEpoch.at()
        yield Upstream.at(self.upstream)
        yield Tool.at(self.upstream, self.tool)
        yield from self._usage(rows).needs()
        upstream, tool = rows.peek(Upstream, self.upstream), rows.peek(Tool, self.upstream, self.tool)
        if upstream is not None and tool is not None:
            may_hold = bool(self.judgement.holds) or any(pending.holds for pending in self.judgement.pending)
            digested = partial(self._request_digest, upstream, tool)
            yield from hold_needs(rows, self.session_id, digested, by_policies=may_hold)

    def subject(self) -> Subject:
        return Subject(self.session_id, "", self.upstream, self.tool)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        if refusal := session_refusal(rows, self.session_id, now):
            return deny(*refusal, self.subject())
        session = rows.the(Session, self.session_id)
        if refusal := foreign_refusal(self.asked_by, session):
            return deny(*refusal, self.subject())
        about = Subject(session.id, session.agent_id, self.upstream, self.tool)
        if self._stale(rows, now):
            return STALE
        decision = self._decided(rows, session, about, now)
        remarks = () if decision.stale else tuple(self._remarks(rows, now))
        return msgspec.structs.replace(decision, remarks=remarks) if remarks else decision

    def _decided(self, rows: WorkingSet, session: Session, about: Subject, now: Micros) -> Decision:
        refusal = self.fault or self._tool_refusal(rows, session) or self._policy_refusal(rows, now)
        if refusal:
            return deny(*refusal, about, keeps_parts=refusal[0] in POLICY_REFUSALS)
        budgets = budgets_of(rows, [link.id for link in chain(rows, session)])
        micros = self._price(budgets)
        if micros is None:
            return deny("amount_invalid", self.charge.fault, about)
        if refusal := spend_refusal(budgets, micros, self.charge.currency):
            return deny(*refusal, about)
        holding = tuple(self._holding(rows, now))
        approved = ruling(rows, lambda: self._asked(rows, session), self.op_id, self.call_id, now, policies=holding)
        if approved.begins and not self.details_digest:
            return DETAILS_WANTED
        if approved.refusal:
            return approved.refused(about)
        admitted = self._admitted(rows, session, budgets, micros, now)
        return allow(*admitted, *approved.puts, drops=approved.drops, erases=approved.erases, about=about)

    def _asked(self, rows: WorkingSet, session: Session) -> Asked:
        upstream, tool = rows.the(Upstream, self.upstream), rows.the(Tool, self.upstream, self.tool)
        return Asked(
            effect="call",
            session_id=session.id,
            agent_id=session.agent_id,
            asked_by=str(self.asked_by),
            openers=openers(rows, session),
            request_digest=self._request_digest(upstream, tool),
            details_digest=self.details_digest,
            policy_epoch=self.judgement.epoch,
            upstream=self.upstream,
            tool=self.tool,
            action=WITH_MORE if self.beside_digest else "tool_call",
            amount_micros=None if self.charge.fault else self.charge.micros,
            currency=self.charge.currency,
            destructive=self.harmless_sha256 != tool.pinned_sha256,
        )

    def _request_digest(self, upstream: Upstream, tool: Tool) -> str:
        """Return what an approval is bound to: this tool as pinned, of this very server, all it gets, and the price."""
        where = upstream.name, upstream.config_digest, tool.name, tool.pinned_sha256
        beside = (self.beside_digest,) if self.beside_digest else ()
        asked = "call", *where, self.arguments_digest, *beside, self.charge.micros, self.charge.currency
        return hashlib.sha256(canonical.encode(asked)).hexdigest()

    def _stale(self, rows: WorkingSet, now: Micros) -> bool:
        epoch = rows.get(PolicyEpoch)
        upstream = rows.get(Upstream, self.upstream)
        return (
            (epoch.epoch if epoch else 0) != self.judgement.epoch
            or (self.judgement.valid_until is not None and now >= self.judgement.valid_until)
            or (upstream is not None and upstream.version != self.upstream_version)
        )

    def _tool_refusal(self, rows: WorkingSet, session: Session) -> Refusal | None:
        if not self.upstream:
            return "tool_not_found", f"None or several upstreams offer {self.tool!r}; name it as upstream.tool."
        upstream = rows.get(Upstream, self.upstream)
        if upstream is None:
            return "upstream_not_found", f"There is no upstream {self.upstream!r}."
        scope = upstream.scope_of(self.tool)
        if not covers(session.scopes, scope):
            return "scope_missing", f"The tool {self.tool!r} of {self.upstream!r} needs the scope {scope!r}."
        tool = rows.get(Tool, self.upstream, self.tool)
        if tool is None:
            return "tool_not_found", f"The upstream {self.upstream!r} offers no tool {self.tool!r}."
        if tool.quarantined:
            return "tool_quarantined", f"The definition of {self.tool!r} is not the one that was accepted."
        return None

    def _policy_refusal(self, rows: WorkingSet, now: Micros) -> Refusal | None:
        if self.judgement.denied_by:
            return "policy_denied", self.judgement.reason
        usage = self._usage(rows)
        for pending in self.judgement.pending:
            if pending.shadow or pending.holds or not usage.strikes(rows, pending, now):
                continue
            if isinstance(pending.when, RateAbove):
                wait = usage.seconds_to_wait(rows, pending.when, now)
                return "rate_exceeded", f"{pending.reason} Wait {wait} s."
            return "policy_denied", pending.reason
        return None

    def _holding(self, rows: WorkingSet, now: Micros) -> Iterator[Holding]:
        """Yield the policies that hold the call, for certain or as the rows stand."""
        yield from self.judgement.holds
        usage = self._usage(rows)
        for pending in self.judgement.pending:
            if pending.holds and not pending.shadow and usage.strikes(rows, pending, now):
                yield pending.holds

    def _remarks(self, rows: WorkingSet, now: Micros) -> Iterator[Notice]:
        """Yield what policies have to say that changes nothing."""
        usage, named = self._usage(rows), self.judgement.allowed_by
        for remark in self.judgement.shadowed:
            yield Notice(SHADOWED, remark.policy_id, f"In shadow mode: {remark.reason}")
        for pending in self.judgement.pending:
            if pending.shadow and usage.strikes(rows, pending, now):
                yield Notice(SHADOWED, pending.policy_id, f"In shadow mode: {pending.reason}")
        if named is not None:
            yield Notice(NAMED, named.policy_id, named.reason)

    def _usage(self, rows: WorkingSet) -> Usage:
        session = rows.peek(Session, self.session_id)
        return Usage(
            self.judgement, self.session_id, session.agent_id if session else None, self.charge.comparable_micros
        )

    def _price(self, budgets: list[Budget]) -> int | None:
        """Return what the call costs; None if that cannot be told."""
        if not self.charge.ruled and all(budget.limit_micros is None for budget in budgets):
            return 0
        return None if self.charge.fault else self.charge.micros

    def _admitted(
        self, rows: WorkingSet, session: Session, budgets: list[Budget], micros: int, now: Micros
    ) -> Iterator[Row]:
        yield Call(
            self.call_id,
            session.id,
            session.agent_id,
            self.upstream,
            self.tool,
            self.arguments_digest,
            micros,
            self.judgement.epoch,
            now,
            now + self.deadline_ms * MILLISECOND,
        )
        yield from self._usage(rows).counted(rows, now)
        if micros:
            yield Reservation(self.call_id, session.id, "call", self.charge.currency, micros, now)
            yield from reserved(budgets, micros)
