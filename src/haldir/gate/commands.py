"""Commands on tenants, keys, agents and the end of sessions.

Sessions are opened in operations/session_commands.py: their budgets begin with them.
"""

from collections.abc import Iterable

from haldir.gate.model import Agent, ApiKey, HeldSetting, Session, Tenant
from haldir.gate.scopes import key_covers_all
from haldir.journal.command import Command, Decision, Subject, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.storage.rows import Credential, Find


class CreateTenant(Command, frozen=True, tag="tenant.create"):
    """Make a tenant with its first key, which may do everything, and the data key that seals its parts."""

    name: str
    data_key_digest: str
    key_prefix: str
    key_sha256: str
    key_name: str
    key_scopes: tuple[str, ...] = ("*",)

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Tenant.at()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        if rows.get(Tenant):
            return deny("exists", "The tenant exists already.")
        return allow(
            Tenant(self.name, self.data_key_digest, now),
            ApiKey(self.key_prefix, self.key_sha256, self.key_name, self.key_scopes, now),
            Credential(self.key_sha256, "key", self.key_prefix),
        )


class CreateKey(Command, frozen=True, tag="key.create"):
    """Make an API key, no broader than the key that asks."""

    prefix: str
    sha256: str
    name: str
    scopes: tuple[str, ...]
    held: HeldSetting = "auto"

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield ApiKey.at(self.prefix)
        yield ApiKey.at(self.asked_by.id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        if rows.get(ApiKey, self.prefix):
            return deny("exists", f"A key {self.prefix} exists already.")
        if self.asked_by.kind == "key":
            asker = rows.get(ApiKey, self.asked_by.id)
            if asker is None or not key_covers_all(asker.scopes, self.scopes):
                return deny("insufficient_scope", "A key can only make keys that are no broader than itself.")
        maker = str(self.asked_by)
        key = ApiKey(self.prefix, self.sha256, self.name, self.scopes, now, held=self.held, created_by=maker)
        return allow(key, Credential(self.sha256, "key", self.prefix))


class RevokeKey(Command, frozen=True, tag="key.revoke"):
    """End an API key, but not the last one that may make others. What it opened lives on until it is revoked itself."""

    prefix: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield ApiKey.at(self.prefix)
        key = rows.peek(ApiKey, self.prefix)
        if key is not None and key.administers:
            yield ApiKey.everywhere()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        key = rows.get(ApiKey, self.prefix)
        if key is None or key.revoked_at is not None:
            return deny("key_not_found", f"There is no key {self.prefix} to revoke.")
        if key.administers and not any(each.administers for each in rows.all(ApiKey) if each.prefix != key.prefix):
            return deny("last_admin", f"{key.prefix} is the last key that may make keys; without it nobody gets in.")
        return allow(key.but(revoked_at=now))


class SetKeyHeld(Command, frozen=True, tag="key.held"):
    """Say how held calls come back to the bearer of a key, and to the sessions it opened."""

    prefix: str
    held: HeldSetting

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield ApiKey.at(self.prefix)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        key = rows.get(ApiKey, self.prefix)
        if key is None or key.revoked_at is not None:
            return deny("key_not_found", f"There is no key {self.prefix} to change.")
        return allow(key.but(held=self.held))


class CreateAgent(Command, frozen=True, tag="agent.create"):
    """Name a workload: its key, and the template from which its sessions are opened."""

    name: str
    sha256: str
    scopes: tuple[str, ...]
    limit_micros: int | None
    ttl_seconds: int
    held: HeldSetting = "auto"

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Agent.at(self.name)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(agent_id=self.name)
        if rows.get(Agent, self.name):  # Also when revoked: in the log one name is one agent.
            return deny("exists", f"An agent {self.name!r} exists already, or did and was revoked.", about)
        agent = Agent(
            self.name,
            self.sha256,
            self.scopes,
            self.limit_micros,
            self.ttl_seconds,
            now,
            held=self.held,
            created_by=str(self.asked_by),
        )
        return allow(agent, Credential(self.sha256, "agent", self.name), about=about)


class RevokeAgent(Command, frozen=True, tag="agent.revoke"):
    """End an agent: its key, and every session that bears its name, from the next decision on."""

    name: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Agent.at(self.name)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(agent_id=self.name)
        agent = rows.get(Agent, self.name)
        if agent is None or agent.revoked_at is not None:
            return deny("agent_not_found", f"There is no agent {self.name!r} to revoke.", about)
        return allow(agent.but(revoked_at=now, session_id=None), about=about)


class SetAgentHeld(Command, frozen=True, tag="agent.held"):
    """Say how held calls come back to an agent, and to the sessions it opened."""

    name: str
    held: HeldSetting

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Agent.at(self.name)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        about = Subject(agent_id=self.name)
        agent = rows.get(Agent, self.name)
        if agent is None or agent.revoked_at is not None:
            return deny("agent_not_found", f"There is no agent {self.name!r} to change.", about)
        return allow(agent.but(held=self.held), about=about)


class RevokeSession(Command, frozen=True, tag="session.revoke"):
    """End a session, and with it all below it: every decision checks the whole chain."""

    session_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield Session.at(self.session_id)

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        session = rows.get(Session, self.session_id)
        if session is None:
            return deny("session_not_found", f"There is no session {self.session_id}.")
        about = Subject(session.id, session.agent_id)
        return allow(session if session.revoked_at is not None else session.but(revoked_at=now), about=about)
