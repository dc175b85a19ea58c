"""Who is alive: whether a credential, a session and all above it still count, at one instant.

Asked under the log head by every decision, so that a revocation holds from the entry after its own.
"""

from collections.abc import Iterator

from haldir.gate.model import Agent, ApiKey, Session
from haldir.journal.command import CredentialRef
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.kernel.errors import Refusal
from haldir.storage.rows import Find

_REASONS = {
    "session_revoked": "The session {id} was revoked.",
    "session_expired": "The session {id} has expired.",
}


def credential_refusal(rows: WorkingSet, ref: CredentialRef, now: Micros) -> Refusal | None:
    """Return why the credential no longer counts, or None."""
    match ref.kind:
        case "system":
            return None
        case "key":
            key = rows.get(ApiKey, ref.id)
            return None if key and key.revoked_at is None else ("key_revoked", f"The key {ref.id} was revoked.")
        case "agent":
            return agent_refusal(rows.get(Agent, ref.id), ref.id)
        case "session":
            return session_refusal(rows, ref.id, now)
    return "key_revoked", f"There is no credential of the kind {ref.kind!r}."


def session_refusal(rows: WorkingSet, session_id: str, now: Micros) -> Refusal | None:
    """Return why nothing may be done in this session: unknown, ended, or something above it has ended."""
    session = rows.get(Session, session_id)
    if session is None:
        return "session_not_found", f"There is no session {session_id}."
    for link in chain(rows, session):
        if code := link.refusal(now):
            return code, _REASONS[code].format(id=link.id)
        agent = rows.get(Agent, link.agent_id)
        if agent is not None and (refusal := agent_refusal(agent, link.agent_id)):
            return refusal
    return None


def foreign_refusal(asked_by: CredentialRef, session: Session) -> Refusal | None:
    """Return why a credential may not act in a session: agents and tokens act in their own, keys in any."""
    own = {"session": session.id, "agent": session.agent_id}
    if own.get(asked_by.kind, asked_by.id) == asked_by.id:
        return None
    return "session_not_found", f"There is no session {session.id} for this credential."


def agent_refusal(agent: Agent | None, name: str) -> Refusal | None:
    if agent is None:
        return "agent_not_found", f"There is no agent {name!r}."
    return ("agent_revoked", f"The agent {name!r} was revoked.") if agent.revoked_at is not None else None


def chain(rows: WorkingSet, session: Session) -> list[Session]:
    """Return the session and its ancestors, nearest first."""
    return [session, *(rows.the(Session, ancestor) for ancestor in session.lineage)]


def openers(rows: WorkingSet, session: Session) -> tuple[str, ...]:
    """Return who opened the session and each above it, as `kind:id`; behind an agent stands who made it."""
    found: dict[str, None] = {}
    for link in chain(rows, session):
        found[link.opened_by] = None
        if not link.token_sha256:  # Opened by the agent's key, for its use.
            found[rows.the(Agent, link.agent_id).created_by] = None
    return tuple(found)


def chain_needs(rows: WorkingSet, session_id: str) -> Iterator[Find]:
    """Name the rows that `session_refusal` looks at."""
    yield Session.at(session_id)
    session = rows.peek(Session, session_id)
    if session is not None:
        yield Agent.at(session.agent_id)
        for ancestor in session.lineage:
            yield Session.at(ancestor)
            if above := rows.peek(Session, ancestor):
                yield Agent.at(above.agent_id)
