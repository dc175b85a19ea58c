"""Commands that open sessions: identity (gate) and money (ledger) begin together."""

from collections.abc import Iterable, Iterator

import msgspec

from haldir.gate.liveness import agent_refusal, chain, chain_needs, session_refusal
from haldir.gate.model import Agent, Session, expiry
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import SECOND, Micros
from haldir.kernel.errors import Refusal
from haldir.kernel.money import format_amount
from haldir.kernel.scopes import covers
from haldir.ledger.budgets import budget_needs, budgets_of, free_micros
from haldir.ledger.model import Budget
from haldir.storage.rows import Credential, Find

TTL_SECONDS = 3600  # WIRE.md §2: what a session lives when nobody says.
DEPTH_MAX = 8  # WIRE.md §2, max_delegation_depth: a longer chain is a loop in somebody's program.


class SessionOpened(msgspec.Struct, frozen=True):
    """What was granted: `expires_at` None is until revoked, `limit_micros` None is no limit of its own."""

    session_id: str
    ttl_seconds: int
    expires_at: Micros | None
    limit_micros: int | None
    scopes: tuple[str, ...] = ()
    depth: int = 0


class CreateSession(Command, frozen=True, tag="session.create"):
    """Open a session; under a parent it may only narrow what the parent has.

    `ttl_seconds` None is the default, cut to the parent's life; 0 is until revoked. Without a limit and
    without the scope `spend` a session can spend nothing; a limit implies that scope.
    """

    session_id: str
    agent_id: str
    token_sha256: str
    scopes: tuple[str, ...]
    limit_micros: int | None = None
    ttl_seconds: int | None = None
    parent_id: str | None = None

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Session.at(self.session_id)
        yield Agent.at(self.agent_id)
        if self.parent_id is not None:
            yield from family_needs(rows, self.parent_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(self.session_id, self.agent_id)
        if rows.get(Session, self.session_id):
            return deny("exists", f"A session {self.session_id} exists already.", about)
        agent = rows.get(Agent, self.agent_id)
        if agent is not None and (refusal := agent_refusal(agent, self.agent_id)):
            return deny(*refusal, about)
        parent = rows.get(Session, self.parent_id) if self.parent_id else None
        if self.parent_id is not None and (refusal := self._exceeds(rows, parent, now)):
            return deny(*refusal, about)
        session, budget = self.opened(parent, now)
        result = SessionOpened(
            session.id,
            session.ttl_seconds,
            session.expires_at,
            budget.limit_micros,
            session.scopes,
            len(session.lineage),
        )
        credential = Credential(self.token_sha256, "session", self.session_id)
        return allow(session, budget, credential, about=about, result=result)

    def opened(self, parent: Session | None, now: Micros) -> tuple[Session, Budget]:
        """Return the rows that this command makes, once nothing speaks against it."""
        expires_at, scopes = self._expires_at(parent, now), self.scopes
        if self.limit_micros is not None and not covers(scopes, "spend"):
            scopes = (*scopes, "spend")
        session = Session(
            self.session_id,
            self.agent_id,
            parent.id if parent else None,
            (parent.id, *parent.lineage) if parent else (),
            self.token_sha256,
            scopes,
            (expires_at - now) // SECOND if expires_at is not None else 0,
            now,
            expires_at,
            str(self.asked_by),
        )
        return session, Budget(session.id, self.limit_micros if covers(scopes, "spend") else 0)

    def _expires_at(self, parent: Session | None, now: Micros) -> Micros | None:
        if self.ttl_seconds is not None:
            return expiry(now, self.ttl_seconds)
        latest = now + TTL_SECONDS * SECOND
        return min(latest, parent.expires_at) if parent and parent.expires_at is not None else latest

    def _exceeds(self, rows: WorkingSet, parent: Session | None, now: Micros) -> Refusal | None:
        if refusal := session_refusal(rows, self.parent_id or "", now):
            return refusal
        assert parent is not None
        if len(parent.lineage) + 1 > DEPTH_MAX:
            return "depth_exceeded", f"Sessions may stand at most {DEPTH_MAX} deep below the first."
        if beyond := next((scope for scope in self.scopes if not covers(parent.scopes, scope)), None):
            return "scope_exceeds_parent", f"The parent session does not have the scope {beyond!r}."
        expires_at = self._expires_at(parent, now)
        if parent.expires_at is not None and (expires_at is None or expires_at > parent.expires_at):
            return "life_exceeds_parent", "The session would outlive its parent."
        if self.limit_micros is None:
            return None
        if not covers(parent.scopes, "spend"):
            return "scope_exceeds_parent", "The parent session does not have the scope 'spend'."
        free = free_micros(budgets_of(rows, [link.id for link in chain(rows, parent)]))
        if free is not None and self.limit_micros > free:
            return "budget_exceeds_parent", f"The sessions above have {format_amount(free)} left."
        return None


class OpenAgentSession(Command, frozen=True, tag="agent.session"):
    """Give an agent its current session: the one it has while that lives, else a new one from its template."""

    agent: str
    session_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Agent.at(self.agent)
        agent = rows.peek(Agent, self.agent)
        if agent and agent.session_id:
            yield from chain_needs(rows, agent.session_id)
            yield Budget.at(agent.session_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(self.session_id, self.agent)
        agent = rows.get(Agent, self.agent)
        if refusal := agent_refusal(agent, self.agent):
            return deny(*refusal, about)
        assert agent is not None
        if agent.session_id and not session_refusal(rows, agent.session_id, now):
            return self._current(rows, rows.the(Session, agent.session_id))
        template = CreateSession(
            op_id=self.op_id,
            asked_by=self.asked_by,
            session_id=self.session_id,
            agent_id=self.agent,
            token_sha256="",  # Nobody bears a token of it: the agent key is the credential.
            scopes=agent.scopes,
            limit_micros=agent.limit_micros,
            ttl_seconds=agent.ttl_seconds,
        )
        session, budget = template.opened(None, now)
        result = SessionOpened(session.id, session.ttl_seconds, session.expires_at, budget.limit_micros)
        return allow(session, budget, agent.but(session_id=session.id), about=about, result=result)

    def _current(self, rows: WorkingSet, session: Session) -> Decision:
        budget = rows.the(Budget, session.id)
        result = SessionOpened(session.id, session.ttl_seconds, session.expires_at, budget.limit_micros)
        return allow(about=Subject(session.id, self.agent), result=result)


def family_needs(rows: WorkingSet, session_id: str) -> Iterator[Find]:
    """Name the rows of a session, all above it, and their budgets."""
    yield from chain_needs(rows, session_id)
    session = rows.peek(Session, session_id)
    if session is not None:
        yield from budget_needs([session.id, *session.lineage])
