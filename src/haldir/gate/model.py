"""Who may act: tenants, API keys, agents and sessions, and requests that have a name, as rows."""

from typing import ClassVar, Literal

from haldir.gate.scopes import ADMINISTERING, key_covers
from haldir.kernel.clock import SECOND, Micros
from haldir.storage.rows import Row, Table

HeldSetting = Literal["auto", "plain", "stream", "input"]  # How a held MCP call comes back; auto: as its client can.


class Tenant(Row, frozen=True):
    """An isolated customer. Its data key lies beside the log as the part named here."""

    TABLE: ClassVar[Table] = Table("tenant", key=())

    name: str
    data_key_digest: str
    created_at: Micros


class ApiKey(Row, frozen=True):
    """The credential of a person or service. Named by the first 12 characters of the key."""

    TABLE: ClassVar[Table] = Table("api_key", key=("prefix",))

    prefix: str
    sha256: str
    name: str
    scopes: tuple[str, ...]
    created_at: Micros
    revoked_at: Micros | None = None
    held: HeldSetting = "auto"
    created_by: str = ""  # The credential that made it, as `kind:id`; "" for a tenant's first key.

    @property
    def administers(self) -> bool:
        """Tell whether it may make keys, and so give every power back that was lost."""
        return self.revoked_at is None and key_covers(self.scopes, ADMINISTERING)


class KeyUse(Row, frozen=True):
    """When a key was last shown, give or take a minute. It stands beside the log: no command reads it."""

    TABLE: ClassVar[Table] = Table("key_use", key=("prefix",))

    prefix: str
    last_used_at: Micros


class Agent(Row, frozen=True):
    """A named workload and the template of its sessions. Its key acts in `session_id` while that lives."""

    TABLE: ClassVar[Table] = Table("agent", key=("name",))

    name: str
    sha256: str
    scopes: tuple[str, ...]
    limit_micros: int | None
    ttl_seconds: int
    created_at: Micros
    revoked_at: Micros | None = None
    session_id: str | None = None
    held: HeldSetting = "auto"
    created_by: str = ""  # The credential that made it, as `kind:id`, and was told its key.


class Session(Row, frozen=True):
    """One run of an agent. `expires_at` None means until revoked."""

    TABLE: ClassVar[Table] = Table("session", key=("id",))

    id: str
    agent_id: str
    parent_id: str | None
    lineage: tuple[str, ...]  # Ancestors, nearest first; fixed at birth, so one load finds the chain.
    token_sha256: str
    scopes: tuple[str, ...]
    ttl_seconds: int
    created_at: Micros
    expires_at: Micros | None
    opened_by: str  # The credential that opened it, as `kind:id`.
    revoked_at: Micros | None = None

    def refusal(self, now: Micros) -> str | None:
        """Return the code of the refusal that this session earns by itself."""
        if self.revoked_at is not None:
            return "session_revoked"
        return "session_expired" if self.expires_at is not None and now >= self.expires_at else None


class Request(Row, frozen=True):
    """A request whose client named it by an Idempotency-Key. Until it is answered, `holder` is carrying it out.

    `digest` is of the credential, the path and that name, `body_digest` of what the request says; both are keyed.
    """

    TABLE: ClassVar[Table] = Table("request", key=("digest",))

    digest: str
    body_digest: str
    op_id: str  # Whatever the request does, it does under this name: done again, nothing happens twice.
    reserved_at: Micros
    holder: str
    held_until: Micros
    answer_digest: str = ""  # The part with the sealed answer, once there is one.


def expiry(now: Micros, ttl_seconds: int) -> Micros | None:
    return now + ttl_seconds * SECOND if ttl_seconds else None
