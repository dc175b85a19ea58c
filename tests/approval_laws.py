"""The law of approvals, worked out from the log alone: what was held passed by exactly as many words as it takes, once."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec

from haldir.approvals.commands import AddApprovalRule, RemoveApprovalRule, SetFourEyes
from haldir.approvals.holds import Held
from haldir.approvals.model import TENANT_WIDE, Approval, PendingCount
from haldir.gate.model import Session
from haldir.journal.command import Record
from haldir.kernel import ids
from haldir.kernel.clock import HOUR, SECOND
from haldir.kernel.ids import OpId
from haldir.operations.approval_commands import DecideApproval, RequestApproval
from haldir.operations.call_commands import Admit
from haldir.operations.commands import AnyCommand
from haldir.operations.payment_commands import AuthorizePayment
from haldir.storage.rows import Row


def assert_what_is_held_passes_once(sessions: dict[str, Session], log: Sequence[tuple[Record, AnyCommand]]) -> None:
    court = _People(sessions)
    for record, command in log:
        court.look(record, command)


def assert_pending_is_counted(state: dict[str, list[Row]]) -> None:
    """Whoever counts the approvals finds what stands in the counts, of each session and of all."""
    pending, asked = Counter[str](), Counter[str]()
    for row in state["approval"]:
        assert isinstance(row, Approval)
        for holder in (TENANT_WIDE, row.session_id):
            pending[holder] += row.state == "pending"
            asked[holder] += 1
    counts = [row for row in state["pending_count"] if isinstance(row, PendingCount)]
    assert {row.holder: row.pending for row in counts} == dict(pending)
    assert {row.holder: row.asked for row in counts} == dict(asked)


class _People:
    """Who approved what, and under which rules: kept as plainly as can be."""

    def __init__(self, sessions: dict[str, Session]) -> None:
        self.sessions = sessions
        self.rules: dict[str, AddApprovalRule] = {}
        self.four_eyes, self.version = False, 0
        self.waiting: dict[str, dict[str, Any]] = {}

    def look(self, record: Record, command: AnyCommand) -> None:
        match command:
            case AddApprovalRule() | RemoveApprovalRule() | SetFourEyes() if record.allowed:
                self.change(command)
            case RequestApproval() if record.allowed:
                self.begin(command.approval_id, None, record, command)
            case Admit():
                self.admit(record, command)
            case AuthorizePayment():
                self.pay(record, command)
            case DecideApproval() if record.allowed:
                self.decide(record, command)
            case _:
                pass

    def change(self, command: AddApprovalRule | RemoveApprovalRule | SetFourEyes) -> None:
        self.version += 1
        match command:
            case AddApprovalRule():
                self.rules[f"{self.version}"] = command
            case RemoveApprovalRule(rule_id=gone):
                self.rules = {at: rule for at, rule in self.rules.items() if rule.rule_id != gone}
            case SetFourEyes(four_eyes=four_eyes):
                self.four_eyes = four_eyes

    def holding(self, amount_micros: int) -> list[AddApprovalRule]:
        return [
            rule
            for rule in self.rules.values()
            if rule.rule_kind == "all" or (rule.rule_kind == "spend_over" and amount_micros > rule.threshold_micros)
        ]

    def pay(self, record: Record, command: AuthorizePayment) -> None:
        exactly = (command.session_id, command.amount_micros, command.currency, command.description_digest)
        holding = self.holding(command.amount_micros)
        counts = [
            (approval_id, each)
            for approval_id, each in self.waiting.items()
            if each["exactly"] == (*exactly, command.capture)
            and each["version"] == self.version
            and record.at < each["ends"]
            and not each["used"]
        ]
        if record.allowed and holding:
            ((_, approval),) = counts
            assert not approval["denied"]
            assert len(approval["by"]) >= max(rule.approvers for rule in holding)
            approval["used"] = True
        elif record.code == "approval_required":
            assert holding
            assert all(len(each["by"]) < each["needed"] and not each["denied"] for _, each in counts)
            if not counts:
                approval_id = ids.approval_id(OpId(command.op_id))
                self.begin(approval_id, (*exactly, command.capture), record, command)
        elif record.code == "approval_denied":
            assert [each["denied"] for _, each in counts] == [True]

    def admit(self, record: Record, command: Admit) -> None:
        charge = command.charge
        where = (command.session_id, command.upstream, command.tool, command.arguments_digest)
        exactly = (*where, charge.micros, charge.currency, command.judgement.epoch)
        holding = self.holding(charge.micros)
        if record.allowed and holding:
            approved = [
                each
                for each in self.waiting.values()
                if each["exactly"] == exactly
                and each["version"] == self.version
                and record.at < each["ends"]
                and not (each["used"] or each["denied"])
                and len(each["by"]) >= max(rule.approvers for rule in holding)
            ]
            approved[-1]["used"] = True
        elif record.code == "approval_required":
            assert holding
            held = msgspec.json.decode(record.result, type=Held)
            if not held.again:
                self.begin(held.approval_id, exactly, record, command)

    def begin(
        self, approval_id: str, exactly: Any, record: Record, command: AuthorizePayment | RequestApproval | Admit
    ) -> None:
        ttl = command.ttl_seconds * SECOND if isinstance(command, RequestApproval) else HOUR
        holding = self.holding(command.charge.micros if isinstance(command, Admit) else command.amount_micros)
        chain = [self.sessions[command.session_id], *map(self.sessions.get, self.sessions[command.session_id].lineage)]
        self.waiting[approval_id] = {
            "exactly": exactly,
            "version": self.version,
            "ends": record.at + ttl,
            "needed": max((rule.approvers for rule in holding), default=1),
            "four_eyes": bool(holding) and (self.four_eyes or any(rule.four_eyes for rule in holding)),
            "part": {str(command.asked_by), *(link.opened_by for link in chain if link)},
            "by": set(),
            "denied": False,
            "used": False,
        }

    def decide(self, record: Record, command: DecideApproval) -> None:
        approval, by = self.waiting[command.approval_id], command.answers_for or str(command.asked_by)
        assert record.at < approval["ends"]
        assert approval["exactly"] is None or approval["version"] == self.version
        assert not approval["denied"]
        assert not approval["used"]
        assert len(approval["by"]) < approval["needed"]
        assert by not in approval["by"]
        assert command.asked_by.kind not in {"session", "agent"}
        if self.four_eyes or approval["four_eyes"]:
            assert by not in approval["part"]
        if command.verdict == "deny":
            approval["denied"] = True
        else:
            approval["by"].add(by)
