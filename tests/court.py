"""A journal on the memory engine with a clock that the test moves: commands in, outcomes and rows out."""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from haldir.approvals.commands import AddApprovalRule
from haldir.approvals.holds import Held
from haldir.approvals.model import Approval, RuleKind
from haldir.gate.commands import CreateKey
from haldir.journal.checkpoint import Signer
from haldir.journal.command import SYSTEM, Command, CredentialRef, Outcome, Record
from haldir.journal.journal import Journal
from haldir.journal.witness import NoWitness
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.ids import TenantId
from haldir.operations.approval_commands import DecideApproval
from haldir.operations.call_commands import Admit, Charge
from haldir.operations.call_ending_commands import Settle
from haldir.operations.credentials import credential_refusal
from haldir.operations.observer import Guardian
from haldir.operations.payment_commands import AuthorizePayment, CapturePayment, VoidPayment
from haldir.operations.session_commands import CreateSession
from haldir.policy.judgement import Judgement
from haldir.proxy.commands import AddUpstream, ObserveTools, SeenTool
from haldir.proxy.model import ToolRule, Upstream
from haldir.storage.memory import MemoryEngine
from haldir.storage.rows import BUNDLE, Entry, Part, Row

TENANT = TenantId("0123456789abcdef")
START: Micros = 1_800_000_000 * SECOND
R = TypeVar("R", bound=Row)


class Court:
    """One tenant. Every verb applies one command and returns its outcome.

    Whatever is applied is also held against a law that no outcome shows: a command names all rows it looks at.
    """

    def __init__(self, runner: asyncio.Runner) -> None:
        self.now: Micros = START
        self.engine = MemoryEngine()
        self._runner = runner
        signer = Signer("court.example", Ed25519PrivateKey.from_private_bytes(b"k" * 32))
        self._journal = Journal(
            self.engine, signer, lambda: self.now, NoWitness(), credential_refusal, observer=Guardian()
        )
        self._numbers = itertools.count(1)
        runner.run(self._journal.__aenter__())

    def op(self) -> str:
        return f"{next(self._numbers):032x}"

    def apply(self, command: Command, parts: Sequence[Part] = ()) -> Outcome:
        self._runner.run(self._decide_by_what_it_names(command))
        return self._runner.run(self._journal.apply(TENANT, command, parts))

    def row(self, row_type: type[R], *key: Any) -> R | None:
        found = self._runner.run(self._load(row_type, key))
        return found[0] if found else None

    def approval(self, approval_id: str) -> Approval:
        found = self.row(Approval, approval_id)
        assert found is not None
        return found

    def entry(self, outcome: Outcome) -> tuple[str, Record]:
        """Return the kind and the record of the entry that an outcome stands in."""
        entry = self.row(Entry, *divmod(outcome.index, BUNDLE))
        assert entry is not None
        return entry.kind, msgspec.json.decode(entry.body, type=Record)

    def rows(self, row_type: type[R]) -> list[R]:
        async def load() -> list[Any]:
            return list(await self.engine.load(TENANT, row_type, (), [()]))

        return self._runner.run(load())

    def session(self, name: str, *scopes: str, parent: str | None = None, **fields: Any) -> Outcome:
        command = CreateSession(
            op_id=self.op(),
            session_id=name,
            agent_id=fields.pop("agent_id", f"agent-of-{name}"),
            token_sha256=f"sha-{name}",
            scopes=scopes or ("execute",),
            parent_id=parent,
            **fields,
        )
        return self.apply(command)

    def pay(self, session: str, micros: int, **fields: Any) -> Outcome:
        op_id = self.op()
        fields.setdefault("payment_id", f"pay-{op_id}")
        return self.apply(AuthorizePayment(op_id=op_id, session_id=session, amount_micros=micros, **fields))

    def capture(self, payment_id: str, micros: int | None = None, **fields: Any) -> Outcome:
        return self.apply(CapturePayment(op_id=self.op(), payment_id=payment_id, amount_micros=micros, **fields))

    def void(self, payment_id: str, **fields: Any) -> Outcome:
        return self.apply(VoidPayment(op_id=self.op(), payment_id=payment_id, **fields))

    def key(self, prefix: str) -> CredentialRef:
        """Make a key that may do everything; return it."""
        assert self.apply(CreateKey(op_id=self.op(), prefix=prefix, sha256=prefix, name=prefix, scopes=("*",))).allowed
        return key_ref(prefix)

    def hold_rule(self, kind: RuleKind = "spend_over", **fields: Any) -> str:
        op_id = self.op()
        assert self.apply(AddApprovalRule(op_id=op_id, rule_id=f"rule-{op_id}", rule_kind=kind, **fields)).allowed
        return f"rule-{op_id}"

    def decide(self, approval_id: str, verdict: Any = "approve", by: CredentialRef = SYSTEM) -> Outcome:
        return self.apply(DecideApproval(op_id=self.op(), asked_by=by, approval_id=approval_id, verdict=verdict))

    def upstream(self, name: str = "shop", *tools: str, rules: tuple[ToolRule, ...] = ()) -> None:
        added = AddUpstream(op_id=self.op(), name=name, transport="http", config_digest="d", tool_rules=rules)
        assert self.apply(added).allowed
        seen = tuple(SeenTool(tool, f"hash-of-{tool}") for tool in tools or ("buy",))
        assert self.apply(ObserveTools(op_id=self.op(), upstream=name, tools=seen)).allowed

    def admit(
        self,
        session: str,
        tool: str = "buy",
        *,
        call_id: str | None = None,
        micros: int = 0,
        parts: Sequence[Part] = (),
        **fields: Any,
    ) -> Outcome:
        op_id = self.op()
        fields.setdefault("charge", Charge(micros))
        fields.setdefault("judgement", Judgement(0))
        fields.setdefault("upstream_version", self.upstream_version(fields.get("upstream", "shop")))
        command = Admit(
            op_id=op_id,
            call_id=call_id or f"call-{op_id}",
            session_id=session,
            upstream=fields.pop("upstream", "shop"),
            tool=tool,
            arguments_digest=fields.pop("arguments_digest", "digest"),
            deadline_ms=30_000,
            **fields,
        )
        return self.apply(command, parts)

    def settle(self, call_id: str, state: Any = "posted") -> Outcome:
        return self.apply(Settle(op_id=self.op(), call_id=call_id, state=state))

    def upstream_version(self, name: str) -> int:
        row = self.row(Upstream, name)
        return row.version if row else 0

    async def _decide_by_what_it_names(self, command: Command) -> None:
        """Decide with no other rows than the command names: NotLoaded would cost a batch another look at the store."""
        rows = WorkingSet()
        while missing := list(rows.missing(command.needs(rows))):
            for find in missing:
                rows.adopt([find], await self.engine.load(TENANT, find.row_type, find.columns, [find.values]))
        command.decide(rows, self.now)

    async def _load(self, row_type: type[Row], key: tuple[Any, ...]) -> list[Any]:
        return list(await self.engine.load(TENANT, row_type, row_type.TABLE.key, [key]))


def key_ref(prefix: str) -> CredentialRef:
    return CredentialRef("key", prefix)


def told(outcome: Outcome, kind: type[Any]) -> Any:
    return msgspec.json.decode(outcome.result, type=kind)


def approval_of(outcome: Outcome) -> str:
    """Return the approval that a held request waits for."""
    assert (outcome.allowed, outcome.code) == (False, "approval_required"), outcome
    return str(told(outcome, Held).approval_id)
