"""What waits for a person, as rows: the rules that hold, the approvals, and the exact requests they are bound to."""

from typing import ClassVar, Literal

import msgspec

from haldir.kernel.clock import Micros
from haldir.kernel.money import CURRENCY
from haldir.storage.rows import Row, Table

RuleKind = Literal["spend_over", "tool_blocked", "destructive", "all"]
Effect = Literal["payment", "call", "ask"]  # What approval lets happen; an `ask` lets nothing happen by itself.
ApprovalState = Literal["pending", "approved", "denied", "used", "expired"]
Status = Literal["pending", "approved", "denied", "expired"]


class ApprovalRule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is held. `approvers` is how many must approve; with `four_eyes` none of them may have a part in it."""

    id: str
    kind: RuleKind
    created_at: Micros
    created_by: str
    threshold_micros: int = 0
    tools: tuple[str, ...] = ()
    approvers: int = 1
    four_eyes: bool = False


class ApprovalRules(Row, frozen=True):
    """All rules of the tenant in one row: there are few, and every payment and call looks at them.

    `version` counts their changes. An approval given under another version lets nothing through.
    """

    TABLE: ClassVar[Table] = Table("approval_rules", key=())

    version: int = 0
    four_eyes: bool = False
    rules: tuple[ApprovalRule, ...] = ()


NO_RULES = ApprovalRules()
TENANT_WIDE = ""  # The holder of the count of all approvals.


class Vote(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """One approval of those that a rule asks for: by which credential, and what it said, sealed.

    `answers_for` is the credential whose power that one has, if it is not its own. `op_id` is that of its entry.
    """

    by: str
    at: Micros
    note_digest: str = ""
    answers_for: str = ""
    op_id: str = ""

    @property
    def voter(self) -> str:
        return self.answers_for or self.by


class Approval(Row, frozen=True):
    """One request that waits, or waited, for a person. It is bound to what the fields up to `policy_epoch` say.

    `request_digest` covers the request exactly, and is all that a release compares. Words about it (a reason, a
    description, arguments) are sealed in the part `details_digest`.
    """

    TABLE: ClassVar[Table] = Table("approval", key=("id",))

    id: str
    effect: Effect
    session_id: str
    agent_id: str
    request_digest: str
    rules_version: int
    policy_epoch: int
    upstream: str
    tool: str
    action: str
    amount_micros: int
    currency: str
    details_digest: str
    rule_id: str
    rule_kind: str
    approvers: int
    four_eyes: bool
    asked_by: str  # Credentials as `kind:id`.
    openers: tuple[str, ...]  # Who opened the session, and each above it.
    created_at: Micros
    expires_at: Micros
    state: ApprovalState = "pending"
    votes: tuple[Vote, ...] = ()
    decided_by: str = ""
    decided_at: Micros | None = None
    note_digest: str = ""
    used_at: Micros | None = None
    used_by: str = ""  # The payment or call that it let through.
    rule_reason: str = ""  # Why it is held, where the rule is a policy and says so.
    decided_op: str = ""  # The op_id of the entry that decided it, and of the one that says that its time is over.
    expired_op: str = ""

    def status(self, now: Micros) -> Status:
        """Return how it stands: what was not used in time has expired, approved or not."""
        match self.state:
            case "pending" | "approved":
                return "expired" if now >= self.expires_at else self.state
            case "used":
                return "approved"
            case "denied" | "expired":
                return self.state


class Hold(Row, frozen=True):
    """Which approval one exact request of a session waits for, until it is used."""

    TABLE: ClassVar[Table] = Table("hold", key=("session_id", "request_digest"))

    session_id: str
    request_digest: str
    approval_id: str


class PendingCount(Row, frozen=True):
    """How many approvals of a session, or TENANT_WIDE, wait for a person, and how many were ever asked for.

    `version` counts the decisions that changed what waits: while it is the same, so is what waits.
    """

    TABLE: ClassVar[Table] = Table("pending_count", key=("holder",))

    holder: str
    pending: int = 0
    asked: int = 0
    version: int = 0


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, as rules and approvals look at it.

    `amount_micros` None is an amount that could not be read: over any threshold.
    """

    effect: Effect
    session_id: str
    agent_id: str
    asked_by: str
    openers: tuple[str, ...]
    request_digest: str
    details_digest: str
    action: str
    amount_micros: int | None
    policy_epoch: int = 0
    upstream: str = ""
    tool: str = ""
    currency: str = CURRENCY
    destructive: bool = False
