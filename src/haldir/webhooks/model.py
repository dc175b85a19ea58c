"""Who is told what: endpoints as rows that follow from the log, and how far each was served, which does not.

The last three tables are no state of the journal's: no command reads them, and replay does not make them
(docs/adr/0010-deliveries-beside-the-log.md).
"""

from typing import ClassVar, Literal

from haldir.kernel.clock import Micros
from haldir.storage.rows import Row, Table

Format = Literal["haldir", "slack", "teams", "email"]  # For programs, or for people in one of these.


class Webhook(Row, frozen=True):
    """An endpoint. Its URL (`mailto:` for letters) and secrets are sealed in the parts named here.

    With `links` its messages about approvals let whoever reads them decide; `made_by`, as `kind:id`, answers for that.
    """

    TABLE: ClassVar[Table] = Table("webhook", key=("id",))

    id: int
    name: str
    events: tuple[str, ...]
    url_digest: str
    secret_digest: str
    previous_secret_digest: str | None
    previous_until: Micros | None  # Until then deliveries bear the previous secret's signature too.
    created_at: Micros
    since_op: str  # It hears what comes after this command's entry: its registration, or its last enabling.
    disabled_at: Micros | None = None
    disabled_reason: str = ""
    format: Format = "haldir"
    links: bool = False
    made_by: str = ""

    @property
    def active(self) -> bool:
        return self.disabled_at is None

    def secrets_kept(self) -> tuple[str, ...]:
        """Return the names of the secrets that are stored, the newest first."""
        return (self.secret_digest, *([self.previous_secret_digest] if self.previous_secret_digest else []))

    def secret_digests(self, now: Micros) -> tuple[str, ...]:
        """Return the names of the secrets to sign with, the newest first."""
        in_grace = self.previous_until is not None and now < self.previous_until
        return self.secrets_kept() if in_grace else self.secrets_kept()[:1]


class WebhookCount(Row, frozen=True):
    """How many endpoints stand, and the highest id that was ever given: none is given twice."""

    TABLE: ClassVar[Table] = Table("webhook_count", key=())

    last_id: int = 0
    standing: int = 0


class WebhookProgress(Row, frozen=True):
    """How far an endpoint was served: `place` is that of the first event not yet delivered, or a little before.

    `attempts` counts the failures of that one event, `failures` those of the endpoint since its last success.
    Nothing is tried before `retry_at`. One worker at a time has the lease.
    """

    TABLE: ClassVar[Table] = Table("webhook_progress", key=("webhook_id",))

    webhook_id: int
    since_op: str  # Of the webhook row this was begun for: another one means to begin anew.
    place: int
    attempts: int = 0
    failures: int = 0
    retry_at: Micros = 0
    failing_since: Micros | None = None
    delivered_count: int = 0
    failed_count: int = 0
    leased_by: str = ""
    leased_until: Micros = 0


class WebhookRetry(Row, frozen=True):
    """An event that is owed out of order: set aside after failures while later ones arrive, or asked for again."""

    TABLE: ClassVar[Table] = Table("webhook_retry", key=("webhook_id", "place"), index=("webhook_id",))

    webhook_id: int
    place: int
    attempts: int
    retry_at: Micros


class WebhookDelivery(Row, frozen=True):
    """One attempt, for people to read."""

    TABLE: ClassVar[Table] = Table("webhook_delivery", key=("id",))

    id: str
    webhook_id: int
    event_id: str
    event: str
    place: int
    attempt: int
    status_code: int | None
    response_excerpt: str
    error: str
    duration_ms: int
    created_at: Micros
