"""The same commands through every engine give the same outcomes, the same rows and the same tree.

And because equal engines cannot see a rule that is wrong, for they share it, every story is held against laws
that are written from the outside: money, revocation, rates and narrowing are worked out anew from the log.
"""

import asyncio
import itertools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, multiple, rule, run_state_machine_as_test

from haldir.approvals.commands import AddApprovalRule, ExpireApproval, RemoveApprovalRule, SetFourEyes
from haldir.gate.commands import (
    CreateAgent,
    CreateKey,
    CreateTenant,
    RevokeAgent,
    RevokeKey,
    RevokeSession,
    SetAgentHeld,
    SetKeyHeld,
)
from haldir.gate.request_commands import ForgetRequests, KeepAnswer, ReleaseRequest, ReserveRequest
from haldir.gate.visit_commands import BeginVisit, EndVisit
from haldir.journal.checkpoint import verify_checkpoint
from haldir.journal.command import SYSTEM, Command, CredentialRef, Outcome
from haldir.journal.errors import Unstorable
from haldir.journal.journal import Journal
from haldir.journal.witness import NoWitness
from haldir.kernel import ids
from haldir.kernel.clock import DAY, SECOND, Micros
from haldir.kernel.ids import OpId, TenantId
from haldir.operations.approval_commands import DecideApproval, RequestApproval
from haldir.operations.audit_commands import LogAction
from haldir.operations.call_commands import Admit, Charge
from haldir.operations.call_ending_commands import Lapse, Resolve, Settle
from haldir.operations.commands import AnyCommand
from haldir.operations.credentials import credential_refusal
from haldir.operations.observer import Guardian
from haldir.operations.payload_commands import (
    ErasePayload,
    ExpirePayloads,
    ReadPayload,
    ReplayPolicies,
    part_name,
)
from haldir.operations.payment_commands import AuthorizePayment, CapturePayment, VoidPayment
from haldir.operations.refusals import RecordRefusal
from haldir.operations.secret_commands import RevealSecret
from haldir.operations.session_commands import CreateSession, OpenAgentSession
from haldir.policy.hours import WEEKDAYS
from haldir.policy.judgement import Judgement, Pending
from haldir.proxy.commands import AcceptTool, AddUpstream, NoteUpstreamHealth, ObserveTools, RemoveUpstream, SeenTool
from haldir.proxy.model import PolicyEpoch, StoredPolicy, ToolRule, Upstream
from haldir.proxy.policy_commands import AddPolicy, PutPolicy, RemovePolicy, ReplacePolicies
from haldir.storage.engine import Engine
from haldir.storage.memory import MemoryEngine
from haldir.storage.postgres import PostgresEngine
from haldir.storage.rows import Entry, Part, Tile
from haldir.storage.sqlite import SqliteEngine
from haldir.vault.commands import DeleteSecret, RewrapSecrets, RotateTenantKey, StoreSecret, WrappedSecret
from haldir.vault.model import SecretVersion, TenantKeyVersions
from haldir.watch.anomaly_rules import AnomalyRule, CallRate, Condition, FirstUse, OffHours, RefusalBurst, SpendSpike
from haldir.watch.commands import AddAnomalyRule, RemoveAnomalyRule
from haldir.webhooks.commands import (
    DisableWebhook,
    EnableWebhook,
    RegisterWebhook,
    RemoveWebhook,
    ReplayEvents,
    RotateWebhookSecret,
    TriggerEvent,
)
from journal_laws import RATES, asked, assert_lawful, replayed
from journal_samples import SIGNER, entries_of, rows_of, state_of, tree_of

AGENTS, TOOLS, UPSTREAMS, POLICIES = ("alpha", "beta"), ("read", "write", "pay"), ("files", "bank"), ("p1", "p2", "p3")
SCOPES = ("read", "execute", "execute:files", "execute:bank:pay", "spend", "*")
SECRETS = ("s1", "s2")
STORIES = 80
STEPS = 40

scopes = st.lists(st.sampled_from(SCOPES), unique=True, max_size=4).map(tuple)
CONDITIONS: dict[str, Condition] = {
    "a": CallRate(2),
    "b": RefusalBurst(1),
    "c": SpendSpike(2, 1),
    "d": FirstUse(0),
    "e": OffHours(0, 1, "UTC", WEEKDAYS, ((0, 0),)),
}
limits = st.none() | st.integers(0, 40)
amounts = st.integers(0, 15)
requests = st.sampled_from(["r2", "r3"])
holders = st.sampled_from(["h", "i"])
names = {
    kind: st.sampled_from(values) for kind, values in (("agent", AGENTS), ("tool", TOOLS), ("upstream", UPSTREAMS))
}


class Lab:
    """One event loop and one durable engine of each kind for all stories; each story is a new tenant."""

    def __init__(self, runner: asyncio.Runner, engines: dict[str, Engine]) -> None:
        self.runner, self.engines = runner, engines
        self.tenants = (TenantId(f"{n:016x}") for n in itertools.count())
        self.seen = Counter[str]()


@pytest.fixture(scope="module")
def lab(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    async def opened(path: Path) -> dict[str, Engine]:
        return {"sqlite": await SqliteEngine.open(path), "postgres": await PostgresEngine.open(postgres_dsn)}

    with asyncio.Runner() as runner:
        lab = Lab(runner, runner.run(opened(tmp_path_factory.mktemp("lab") / "haldir.db")))
        yield lab
        for engine in lab.engines.values():
            runner.run(engine.close())


class Story(RuleBasedStateMachine):
    """Commands come in bursts; those of a burst are asked for at once, so they may share a batch."""

    lab: ClassVar[Lab]

    keys, sessions, calls, payments = Bundle("keys"), Bundle("sessions"), Bundle("calls"), Bundle("payments")

    def __init__(self) -> None:
        super().__init__()
        self.memory = MemoryEngine()
        self.engines: dict[str, Engine] = {"memory": self.memory, **self.lab.engines}
        self.tenant = next(self.lab.tenants)
        self.now: Micros = 1_000 * SECOND
        self.numbers = itertools.count()
        self.burst: list[tuple[Command, list[Part]]] = []
        self.asked: list[Command] = []
        self.entered: set[str] = set()
        self.journals: dict[str, Journal] = {}
        self._open()

    # What may be asked.

    @initialize(target=sessions, limit=limits)
    def begin(self, limit: int | None) -> Any:
        """Live a whole life first, so that what follows has something to act on and no command goes untold."""
        self._ask(CreateTenant, name="t", data_key_digest="d", key_prefix="hld_0", key_sha256=self._sha(), key_name="k")
        self._name_requests()
        self._ask(CreateKey, prefix="hld_y", sha256=self._sha(), name="k", scopes=("*",))
        self._ask(CreateKey, prefix="hld_x", sha256=self._sha(), name="k", scopes=("*",))
        self._ask(SetKeyHeld, prefix="hld_x", held="plain")
        for name in (*AGENTS, "gamma"):
            self._ask(CreateAgent, name=name, sha256=self._sha(), scopes=("*",), limit_micros=limit, ttl_seconds=600)
        for name in UPSTREAMS:
            rules = (ToolRule("read", scope="read"),) if name == "files" else ()
            self._ask(AddUpstream, name=name, transport="http", config_digest="d", tool_rules=rules)
            self._ask(ObserveTools, upstream=name, tools=tuple(SeenTool(tool, "1") for tool in TOOLS))
        parent = self._session("alpha", ("*",), limit, 3_000, None)
        child = self._session("alpha", ("execute", "read", "spend"), None, 2_000, parent)
        rich = self._session("beta", ("*",), 1_000, 3_000, None)
        self._live(rich)
        return multiple(parent, child)

    def _name_requests(self) -> None:
        """Answer one request and release another, a day before all else, and forget them."""
        for request in ("r0", "r1"):
            self._ask(ReserveRequest, request=request, body_digest="b", request_op=f"op_of_{request}", holder="h")
        parts = [Part("kept", 1, b"kept")]
        self._ask(KeepAnswer, parts=parts, request="r0", request_op="op_of_r0", answer_digest="kept")
        self._ask(ReleaseRequest, request="r1", request_op="op_of_r1", holder="h", forget=False)
        self._send()
        self.now += DAY
        self._ask(ForgetRequests, requests=("r0", "r1"))

    def _live(self, rich: str) -> None:
        """Let each command be allowed once."""
        self._ask(OpenAgentSession, CredentialRef("agent", "gamma"), agent="gamma", session_id="ses_gamma")
        self._ask(AuthorizePayment, payment_id="auth_x", session_id=rich, amount_micros=5)
        for payment_id in ("auth_y", "auth_z"):
            self._ask(AuthorizePayment, payment_id=payment_id, session_id=rich, amount_micros=5, capture=False)
        self._ask(CapturePayment, payment_id="auth_y", amount_micros=3)
        self._ask(VoidPayment, payment_id="auth_z")
        self._have_approvals(rich)
        self._ask(LogAction, session_id=rich, action="a")
        self._ask(RecordRefusal, operation="GET /", code="forbidden", reason="No.")
        self._send()
        posted, voided, lost = (self._admit(rich, "bank", "pay", cost, SYSTEM) for cost in (3, 4, 5))
        self._ask(Settle, call_id=posted, state="posted")
        self._ask(Settle, call_id=voided, state="voided")
        self._ask(ReadPayload, call_id=posted)
        self._ask(ErasePayload, call_id=posted)
        self._ask(ExpirePayloads, calls=(posted, voided))
        self._ask(ReplayPolicies, first=0, end=1)
        self._ask(BeginVisit, CredentialRef("key", "hld_0"), visit_id="v")
        self._ask(EndVisit, CredentialRef("key", "hld_0"), visit_id="v")
        self.time_passes(100)
        self._ask(Lapse, call_id=lost)
        self._ask(Resolve, CredentialRef("key", "hld_0"), call_id=lost, state="posted", amount_micros=2)
        self._ask(AddPolicy, policy_id="p0", policy_kind="rate_limit", definition_digest="d")
        self._ask(RemovePolicy, policy_id="p0")
        self._ask(ReplacePolicies, expected_epoch=2, definitions_digest="d", puts=(PutPolicy("p0", "rate_limit"),))
        self._ask(ReplacePolicies, expected_epoch=3, definitions_digest="", removes=("p0",), restores=2)
        self._ask(AddUpstream, name="gone", transport="http", config_digest="d")
        self._ask(ObserveTools, upstream="gone", tools=(SeenTool("read", "1"),))
        self._ask(AcceptTool, upstream="gone", tool="read", sha256="1")
        self._ask(NoteUpstreamHealth, upstream="gone", healthy=False, reason="It fails.")
        self._ask(RemoveUpstream, name="gone")
        self._ask(AddAnomalyRule, rule=AnomalyRule("gone", CallRate(1), 0))
        self._ask(RemoveAnomalyRule, rule_id="gone")
        self._ask(RegisterWebhook, name="w", events=("all",), url_digest="u", secret_digest="s")
        self._change_webhook(1)
        self._ask(RotateTenantKey, version=2, digest="key2")
        self._store_secret("s0", "read", 2)
        self._ask(RewrapSecrets, key_version=2, wrapped=(WrappedSecret("s0", 1),))
        self._send()
        standing = self._standing("s0")
        assert standing is not None
        self._ask(RevealSecret, name="s0", session_id=rich, value_digest=standing.digest)
        self._ask(DeleteSecret, name="s0")
        self._ask(RevokeSession, session_id=rich)
        self._ask(SetAgentHeld, name="gamma", held="stream")
        self._ask(RevokeAgent, name="gamma")
        self._ask(RevokeKey, prefix="hld_x")
        self._send()

    def _have_approvals(self, rich: str) -> None:
        self._ask(AddApprovalRule, rule_id="r0", rule_kind="all", approvers=2)
        self._ask(RemoveApprovalRule, rule_id="r0")
        self._ask(SetFourEyes, four_eyes=False)
        self._ask(RequestApproval, approval_id="apr_x", session_id=rich, action="a")
        self._ask(DecideApproval, CredentialRef("key", "hld_0"), approval_id="apr_x", verdict="approve")
        self._ask(RequestApproval, approval_id="apr_y", session_id=rich, ttl_seconds=1)
        self.time_passes(1)
        self._ask(ExpireApproval, approval_id="apr_y")

    @rule(target=keys, scopes=scopes, asker=keys | st.just("hld_0"))
    def create_key(self, scopes: tuple[str, ...], asker: str) -> str:
        prefix = f"hld_{next(self.numbers)}"
        self._ask(CreateKey, CredentialRef("key", asker), prefix=prefix, sha256=self._sha(), name="k", scopes=scopes)
        return prefix

    @rule(target=sessions, agent=names["agent"])
    def open_agent_session(self, agent: str) -> str:
        session_id = f"ses_{next(self.numbers)}"
        self._ask(OpenAgentSession, CredentialRef("agent", agent), agent=agent, session_id=session_id)
        return session_id

    @rule(
        target=sessions,
        agent=names["agent"],
        scopes=scopes,
        limit=limits,
        ttl=st.none() | st.integers(0, 2_500),
        parent=st.none() | sessions,
    )
    def create_session(
        self, agent: str, scopes: tuple[str, ...], limit: int | None, ttl: int | None, parent: str | None
    ) -> str:
        return self._session(agent, scopes, limit, ttl, parent)

    @rule(kind=st.sampled_from("kssa"), prefix=keys, session_id=sessions, agent=names["agent"])
    def revoke(self, kind: str, prefix: str, session_id: str, agent: str) -> None:
        match kind:
            case "k":
                self._ask(RevokeKey, prefix=prefix)
            case "s":
                self._ask(RevokeSession, session_id=session_id)
            case _:
                self._ask(RevokeAgent, name=agent)

    @rule(target=payments, session_id=sessions, amount=amounts, capture=st.booleans(), data=st.data())
    def pay(self, session_id: str, amount: int, capture: bool, data: st.DataObject) -> str:  # noqa: FBT001 - as below.
        asker = data.draw(self._askers(session_id))
        payment_id = f"auth_{next(self.numbers)}"
        how: dict[str, Any] = {"amount_micros": amount, "capture": capture}
        self._ask(AuthorizePayment, asker, payment_id=payment_id, session_id=session_id, **how)
        return payment_id

    @rule(
        which=st.sampled_from(["r1", "r2"]),
        add=st.booleans(),
        threshold=st.integers(0, 8),
        approvers=st.sampled_from([1, 1, 2]),
        four_eyes=st.none() | st.booleans(),
    )
    def change_approval_rules(self, which: str, threshold: int, approvers: int, **how: Any) -> None:
        if how["four_eyes"] is not None:
            self._ask(SetFourEyes, four_eyes=how["four_eyes"])
        elif how["add"]:
            said: dict[str, Any] = {"rule_kind": "spend_over", "threshold_micros": threshold, "approvers": approvers}
            self._ask(AddApprovalRule, CredentialRef("key", "hld_0"), rule_id=which, **said)
        else:
            self._ask(RemoveApprovalRule, rule_id=which)

    @rule(
        session_id=st.none() | sessions,
        amounts_asked=st.lists(st.sampled_from([3, 4, 4, 9]), min_size=1, max_size=3),
        verdicts=st.lists(st.sampled_from(["approve", "approve", "deny"]), max_size=2),
        approvers=st.sampled_from([1, 1, 2]),
        calls=st.booleans(),
        ends=st.booleans(),
    )
    def have_it_held(self, session_id: str | None, amounts_asked: list[int], verdicts: list[Any], **how: Any) -> None:
        """Ask for the same payments or calls time and again, while people say this and that."""
        session_id = session_id or self._session("beta", ("spend", "execute"), None, 2_000, None)
        rule_id = f"r{next(self.numbers)}"
        said: dict[str, Any] = {"rule_kind": "spend_over", "threshold_micros": 3, "approvers": how["approvers"]}
        self._ask(AddApprovalRule, CredentialRef("key", "hld_0"), rule_id=rule_id, **said)
        for verdict in (*verdicts, "approve", "approve"):
            for amount in amounts_asked:
                if how["calls"]:
                    self._admit(session_id, "bank", "pay", amount, SYSTEM)
                else:
                    payment_id = f"auth_{next(self.numbers)}"
                    self._ask(AuthorizePayment, payment_id=payment_id, session_id=session_id, amount_micros=amount)
                approval_id = ids.approval_id(OpId(self.asked[-1].op_id))
                for asker in ("hld_0", "hld_0", "hld_y"):
                    self._ask(DecideApproval, CredentialRef("key", asker), approval_id=approval_id, verdict=verdict)
        if how["ends"]:
            self._ask(RemoveApprovalRule, rule_id=rule_id)

    @rule(session_id=sessions, ttl=st.integers(1, 70), tell=st.booleans())
    def ask_a_person(self, session_id: str, ttl: int, **how: Any) -> None:
        approval_id = f"apr_{next(self.numbers)}"
        self._ask(RequestApproval, approval_id=approval_id, session_id=session_id, ttl_seconds=ttl)
        if how["tell"]:
            self._ask(DecideApproval, CredentialRef("key", "hld_0"), approval_id=approval_id, verdict="deny")
        self._ask(ExpireApproval, approval_id=approval_id)

    @rule(payment_id=payments, session_id=sessions, amount=st.none() | amounts, void=st.booleans(), data=st.data())
    def end_a_payment(
        self,
        payment_id: str,
        session_id: str,
        amount: int | None,
        void: bool,  # noqa: FBT001 - as below.
        data: st.DataObject,
    ) -> None:
        asker = data.draw(self._askers(session_id))
        if void:
            self._ask(VoidPayment, asker, payment_id=payment_id)
        else:
            self._ask(CapturePayment, asker, payment_id=payment_id, amount_micros=amount)

    @rule(session_id=sessions, data=st.data(), note=st.sampled_from(["", "n1", "n2"]))
    def log(self, session_id: str, data: st.DataObject, note: str) -> None:
        parts = [Part(note, 1, note.encode() + b"%d" % next(self.numbers))] if note else []
        self._ask(LogAction, data.draw(self._askers(session_id)), parts, session_id=session_id, action="a", tool="t")

    @rule(
        target=calls,
        session_id=sessions,
        upstream=names["upstream"],
        tool=names["tool"],
        cost=amounts,
        ruled=st.booleans(),
        drift=st.sampled_from([0, 0, 0, 0, 0, 1]),
        rates=st.sets(st.sampled_from(POLICIES), max_size=2),
        times=st.integers(1, 4),
        data=st.data(),
    )
    def admit(  # noqa: PLR0917 - as below.
        self,
        session_id: str,
        upstream: str,
        tool: str,
        cost: int,
        ruled: bool,  # noqa: FBT001 - hypothesis hands arguments over by name.
        drift: int,
        rates: set[str],
        times: int,
        data: st.DataObject,
    ) -> Any:
        asker = data.draw(self._askers(session_id))
        how = {"ruled": ruled, "drift": drift, "rates": sorted(rates)}
        return multiple(*(self._admit(session_id, upstream, tool, cost, asker, **how) for _ in range(times)))

    @rule(call_id=calls, state=st.sampled_from(["posted", "posted", "voided", "indeterminate"]))
    def settle(self, call_id: str, state: Any) -> None:
        result = Part(part_name(call_id, "result"), 1, state.encode(), self.now)
        self._ask(Settle, parts=[result], call_id=call_id, state=state, result_kept="yes")

    @rule(call_id=calls, how=st.sampled_from(["read", "erase", "expire"]))
    def read_or_erase_a_payload(self, call_id: str, how: str) -> None:
        match how:
            case "read":
                self._ask(ReadPayload, call_id=call_id)
            case "erase":
                self._ask(ErasePayload, CredentialRef("key", "hld_0"), call_id=call_id)
            case "expire":
                self._ask(ExpirePayloads, calls=(call_id,))

    @rule(session_id=sessions, state=st.sampled_from(["posted", "voided"]), amount=st.none() | st.integers(0, 5))
    def lose_a_call_and_resolve_it(self, session_id: str, state: Any, amount: int | None) -> None:
        call_id = self._admit(session_id, "bank", "pay", 4, SYSTEM)
        self._ask(Settle, call_id=call_id, state="indeterminate")
        self._ask(Resolve, CredentialRef("key", "hld_0"), call_id=call_id, state=state, amount_micros=amount)

    @rule(session_id=sessions)
    def be_refused_elsewhere(self, session_id: str) -> None:
        self._ask(RecordRefusal, operation="GET /", code="forbidden", reason="No.", session_id=session_id)

    @rule(request=requests, body=st.sampled_from("ab"), holder=holders)
    def reserve(self, request: str, body: str, holder: str) -> None:
        op = f"op_of_{request}"  # Each time the same one, so that it is answered and released as well.
        self._ask(ReserveRequest, request=request, body_digest=body, request_op=op, holder=holder)

    @rule(request=requests)
    def answer(self, request: str) -> None:
        digest = f"answer_{next(self.numbers)}"
        parts = [Part(digest, 1, digest.encode())]
        self._ask(KeepAnswer, parts=parts, request=request, request_op=f"op_of_{request}", answer_digest=digest)

    @rule(request=requests, holder=holders, forget=st.booleans())
    def release(self, request: str, holder: str, forget: bool) -> None:  # noqa: FBT001 - as above.
        self._ask(ReleaseRequest, request=request, request_op=f"op_of_{request}", holder=holder, forget=forget)

    @rule()
    def forget_requests(self) -> None:
        self._ask(ForgetRequests, requests=("r2", "r3", "r4"))

    @rule(call_id=calls)
    def lapse(self, call_id: str) -> None:
        self._ask(Lapse, call_id=call_id)

    @rule(call_id=calls, state=st.sampled_from(["posted", "voided"]), amount=st.none() | amounts)
    def resolve(self, call_id: str, state: Any, amount: int | None) -> None:
        self._ask(Resolve, CredentialRef("key", "hld_0"), call_id=call_id, state=state, amount_micros=amount)

    @rule(upstream=names["upstream"], add=st.booleans(), operator=st.booleans())
    def change_upstream(self, upstream: str, add: bool, operator: bool) -> None:  # noqa: FBT001 - as above.
        if add:
            self._ask(AddUpstream, name=upstream, transport="stdio", config_digest="e", operator=operator)
        else:
            self._ask(RemoveUpstream, name=upstream, operator=operator)

    @rule(upstream=names["upstream"], tool=names["tool"], version=st.sampled_from("12"), accept=st.booleans())
    def change_tool(self, upstream: str, tool: str, version: str, accept: bool) -> None:  # noqa: FBT001 - as above.
        if accept:
            self._ask(AcceptTool, upstream=upstream, tool=tool, sha256=version)
        else:
            self._ask(ObserveTools, upstream=upstream, tools=(SeenTool(tool, version),))

    @rule(upstream=names["upstream"], healthy=st.booleans())
    def note_health(self, upstream: str, healthy: bool) -> None:  # noqa: FBT001 - as above.
        self._ask(NoteUpstreamHealth, upstream=upstream, healthy=healthy)

    @rule(policy=st.sampled_from(POLICIES), add=st.booleans())
    def change_policies(self, policy: str, add: bool) -> None:  # noqa: FBT001 - as above.
        if add:
            self._ask(AddPolicy, policy_id=policy, policy_kind="rate_limit", definition_digest="d")
        else:
            self._ask(RemovePolicy, policy_id=policy)

    @rule(policies=st.permutations(POLICIES), puts=st.integers(0, len(POLICIES)), drift=st.integers(0, 1))
    def replace_policies(self, policies: list[str], puts: int, drift: int) -> None:
        put = tuple(PutPolicy(policy, "rate_limit") for policy in policies[:puts])
        standing = {row.id for row in self.lab.runner.run(rows_of(self.memory, self.tenant, StoredPolicy))}
        removes = tuple(policy for policy in policies[puts:] if policy in standing)
        epochs = self.lab.runner.run(rows_of(self.memory, self.tenant, PolicyEpoch))
        expected = epochs[0].epoch + drift if epochs else drift
        self._ask(ReplacePolicies, expected_epoch=expected, definitions_digest="d", puts=put, removes=removes)

    @rule(name=st.sampled_from("abcde"), quiet=st.integers(0, 2), add=st.booleans())
    def change_anomaly_rules(self, name: str, quiet: int, add: bool) -> None:  # noqa: FBT001 - as above.
        if add:
            self._ask(AddAnomalyRule, rule=AnomalyRule(name, CONDITIONS[name], quiet))
        else:
            self._ask(RemoveAnomalyRule, rule_id=name)

    @rule(events=st.sampled_from([("all",), ("anomaly",)]))
    def register_a_webhook(self, events: tuple[str, ...]) -> None:
        self._ask(RegisterWebhook, name="w", events=events, url_digest="u", secret_digest="s")

    @rule(
        session_id=sessions,
        makers=st.lists(st.sampled_from(["hld_0", "hld_y"]), min_size=1, max_size=3),
        end=st.booleans(),
    )
    def decide_by_links(self, session_id: str, makers: list[str], end: bool) -> None:  # noqa: FBT001 - as above.
        """Have a payment held, and decided by the links of webhooks that keys made."""
        rule_id = f"r{next(self.numbers)}"
        self._ask(AddApprovalRule, rule_id=rule_id, rule_kind="all", approvers=2)
        self._ask(AuthorizePayment, payment_id=f"auth_{next(self.numbers)}", session_id=session_id, amount_micros=1)
        approval_id = ids.approval_id(OpId(self.asked[-1].op_id))
        for maker in makers:
            key = CredentialRef("key", maker)
            self._ask(RegisterWebhook, key, name="w", events=("all",), url_digest="u", secret_digest="s", links=True)
        for webhook_id in range(1, len(makers) + 2):
            link = CredentialRef("link", str(webhook_id))
            said: dict[str, Any] = {"approval_id": approval_id, "verdict": "approve"}
            for answers_for in makers:
                self._ask(DecideApproval, link, answers_for=f"key:{answers_for}", **said)
            if end:
                self._ask(DisableWebhook, webhook_id=webhook_id)
                self._ask(DecideApproval, link, **said)
        self._ask(RemoveApprovalRule, rule_id=rule_id)

    @rule(webhook_id=st.integers(1, 5))
    def change_a_webhook(self, webhook_id: int) -> None:
        self._change_webhook(webhook_id)

    @rule(name=st.sampled_from(SECRETS), scope=st.sampled_from(["read", "pay"]), behind=st.sampled_from([0, 0, 0, 1]))
    def store_secret(self, name: str, scope: str, behind: int) -> None:
        self._store_secret(name, scope, self._key_version() - behind)

    @rule(name=st.sampled_from(SECRETS))
    def delete_secret(self, name: str) -> None:
        self._ask(DeleteSecret, name=name)

    @rule(name=st.sampled_from(SECRETS), session_id=sessions, data=st.data())
    def reveal_secret(self, name: str, session_id: str, data: st.DataObject) -> None:
        asker, standing = data.draw(self._askers(session_id)), self._standing(name)
        digest = standing.digest if standing else ""
        self._ask(RevealSecret, asker, name=name, session_id=session_id, value_digest=digest)

    @rule(names=st.sets(st.sampled_from(SECRETS)), rotate=st.booleans())
    def rotate(self, names: set[str], rotate: bool) -> None:  # noqa: FBT001 - as above.
        key_version = self._key_version() + rotate
        if rotate:
            self._ask(RotateTenantKey, parts=[Part(f"key{key_version}", 0, b"")], version=key_version, digest="k")
        standing = [each for each in map(self._standing, sorted(names)) if each]
        parts = [Part(each.digest, key_version, b"wrapped by %d" % key_version) for each in standing]
        wrapped = tuple(WrappedSecret(each.name, each.version) for each in standing)
        self._ask(RewrapSecrets, parts=parts, key_version=key_version, wrapped=wrapped)

    @rule(data=st.data())
    def ask_again(self, data: st.DataObject) -> None:
        self.burst.append((data.draw(st.sampled_from(self.asked)), []))

    @rule(data=st.data())
    def use_an_op_id_for_something_else(self, data: st.DataObject) -> None:
        before = data.draw(st.sampled_from(self.asked))
        self.burst.append((LogAction(op_id=before.op_id, session_id="ses_other", action="reuse"), []))

    @rule(seconds=st.sampled_from([1, 20, 61, 700]))
    def time_passes(self, seconds: int) -> None:
        self._send()
        self.now += seconds * SECOND

    @rule()
    def send(self) -> None:
        self._send()

    @rule()
    def restart(self) -> None:
        self._send()
        self._close()
        self._open()

    def teardown(self) -> None:
        self._send()
        self._close()
        self.lab.runner.run(self._assert_equal_and_lawful())

    # How it is asked.

    def _session(
        self, agent: str, scopes: tuple[str, ...], limit: int | None, ttl: int | None, parent: str | None
    ) -> str:
        session_id = f"ses_{next(self.numbers)}"
        self._ask(
            CreateSession,
            session_id=session_id,
            agent_id=agent,
            token_sha256=self._sha(),
            scopes=scopes,
            limit_micros=limit,
            ttl_seconds=ttl,
            parent_id=parent,
        )
        return session_id

    def _admit(
        self,
        session_id: str,
        upstream: str,
        tool: str,
        cost: int,
        asked_by: CredentialRef,
        *,
        ruled: Any = True,
        drift: Any = 0,
        rates: Any = (),
    ) -> str:
        call_id = f"call_{next(self.numbers)}"
        epoch, version = self._epoch_and_version(upstream)
        name = part_name(call_id, "arguments")
        self._ask(
            Admit,
            asked_by,
            parts=[Part(name, 1, b"{}", self.now)],
            call_id=call_id,
            session_id=session_id,
            upstream=upstream,
            upstream_version=version,
            tool=tool,
            arguments_digest="d",
            judgement=Judgement(
                epoch + drift, pending=tuple(Pending(policy, "Slower.", RATES[policy]) for policy in rates)
            ),
            deadline_ms=5_000,
            charge=Charge(cost, ruled=ruled),
            details_digest=name,
        )
        return call_id

    def _change_webhook(self, webhook_id: int) -> None:
        """Do everything with a webhook, and remove it."""
        self._ask(RotateWebhookSecret, webhook_id=webhook_id, secret_digest="t", grace_seconds=60)
        self._ask(TriggerEvent, event="anomaly", webhook_id=webhook_id)
        self._ask(ReplayEvents, webhook_id=webhook_id, event_count=1)
        self._ask(DisableWebhook, webhook_id=webhook_id)
        self._ask(EnableWebhook, webhook_id=webhook_id)
        self._ask(RemoveWebhook, webhook_id=webhook_id)

    def _ask(
        self, kind: type[Command], asked_by: CredentialRef = SYSTEM, parts: Sequence[Part] = (), **fields: Any
    ) -> None:
        command = kind(op_id=f"op{next(self.numbers):04d}", asked_by=asked_by, **fields)
        self.asked.append(command)
        self.burst.append((command, list(parts)))

    def _store_secret(self, name: str, scope: str, key_version: int) -> None:
        digest = f"secret{next(self.numbers)}"
        self._ask(
            StoreSecret,
            parts=[Part(digest, key_version, digest.encode())],
            name=name,
            value_digest=digest,
            key_version=key_version,
            scope_required=scope,
            exposure="reveal",
        )

    def _standing(self, name: str) -> SecretVersion | None:
        """Return the version of a secret that the last burst left."""
        versions = self.lab.runner.run(rows_of(self.memory, self.tenant, SecretVersion))
        return next((each for each in versions if each.name == name and each.erased_at is None), None)

    def _key_version(self) -> int:
        versions = self.lab.runner.run(rows_of(self.memory, self.tenant, TenantKeyVersions))
        return versions[0].newest if versions else 1

    def _askers(self, session_id: str) -> st.SearchStrategy[CredentialRef]:
        own = CredentialRef("session", session_id)
        return st.sampled_from([SYSTEM, SYSTEM, own, CredentialRef("key", "hld_0"), CredentialRef("agent", "alpha")])

    def _sha(self) -> str:
        return f"{self.tenant}{next(self.numbers)}"

    def _epoch_and_version(self, upstream: str) -> tuple[int, int]:
        """Return what the last burst left: a change within this one makes a judgement stale."""
        epochs = self.lab.runner.run(rows_of(self.memory, self.tenant, PolicyEpoch))
        upstreams = self.lab.runner.run(rows_of(self.memory, self.tenant, Upstream))
        version = next((row.version for row in upstreams if row.name == upstream), 0)
        return (epochs[0].epoch if epochs else 0), version

    def _send(self) -> None:
        burst, self.burst = self.burst, []
        if not burst:
            return
        told = {name: self.lab.runner.run(self._told(journal, burst)) for name, journal in self.journals.items()}
        assert told["sqlite"] == told["memory"]
        assert told["postgres"] == told["memory"]
        for (command, _), answer in zip(burst, told["memory"], strict=True):
            assert answer is not Unstorable, command
            if isinstance(answer, Outcome):
                self.lab.seen[f"{type(command).__name__} {answer.code or 'allowed'}"] += 1
                if not answer.stale:
                    self.entered.add(command.op_id)

    async def _told(self, journal: Journal, burst: Sequence[tuple[Command, list[Part]]]) -> list[Any]:
        asks = (journal.apply(self.tenant, command, parts) for command, parts in burst)
        answers = await asyncio.gather(*asks, return_exceptions=True)
        return [type(answer) if isinstance(answer, Exception) else answer for answer in answers]

    def _open(self) -> None:
        for name, engine in self.engines.items():
            self.journals[name] = Journal(
                engine, SIGNER, lambda: self.now, NoWitness(), credential_refusal, observer=Guardian()
            )
            self.lab.runner.run(self.journals[name].__aenter__())

    def _close(self) -> None:
        for journal in self.journals.values():
            self.lab.runner.run(journal.__aexit__())

    # What must be true of it.

    async def _assert_equal_and_lawful(self) -> None:
        kept = {name: await self._kept(engine) for name, engine in self.engines.items()}
        assert kept["sqlite"] == kept["memory"]
        assert kept["postgres"] == kept["memory"]
        entries = await entries_of(self.memory, self.tenant)
        head = await self.journals["memory"].head(self.tenant)
        tree, signed = tree_of(entries), verify_checkpoint(head.checkpoint, SIGNER.verifier_key(self.tenant))
        assert (signed.size, signed.root) == (tree.size, tree.root())
        assert {entry.op_id for entry in entries} == self.entered
        assert len(entries) == len(self.entered)
        state = await state_of(self.memory, self.tenant)
        assert await replayed(self.tenant, entries) == (state, head.checkpoint)
        assert_lawful(state, [asked(entry) for entry in entries])

    async def _kept(self, engine: Engine) -> Any:
        beside = [await rows_of(engine, self.tenant, kind) for kind in (Entry, Tile, Part)]
        return await state_of(engine, self.tenant), beside, await engine.load(self.tenant, Entry, (), [()]) == []


def test_every_engine_tells_the_same_story_and_keeps_the_law(lab: Lab) -> None:
    class Told(Story):
        pass

    Told.lab = lab
    run_state_machine_as_test(
        Told,
        settings=settings(
            max_examples=STORIES, stateful_step_count=STEPS, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
    untold = {f"{kind.__name__} allowed" for kind in AnyCommand.__args__} - set(lab.seen)
    assert untold == {"RecordRefusal allowed"}, f"the stories never had {untold}"
