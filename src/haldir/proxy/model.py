"""What stands behind Haldir, and what was asked of it: upstreams, tools, policies and calls, as rows."""

from typing import ClassVar, Literal

import msgspec

from haldir.kernel.clock import Micros
from haldir.kernel.money import CURRENCY
from haldir.storage.rows import Row, Table

DEADLINE_SECONDS = 30  # How long an upstream may take over one call, unless its operator says otherwise.
PAYLOAD_DAYS = 30  # How long it is kept what a call came with and was answered: last month can be looked into.
CallState = Literal["open", "posted", "voided", "indeterminate"]


class Price(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What one call of a tool costs: a fixed amount, or the number at a JSON pointer into its arguments."""

    fixed_micros: int | None = None
    pointer: str | None = None
    unit_micros: int = 1_000_000  # What the number 1 at the pointer is worth.
    currency: str = CURRENCY


class ToolRule(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the operator said of one tool: the scope it needs instead of execute:U:T, and its price."""

    tool: str
    scope: str | None = None
    price: Price | None = None


class Upstream(Row, frozen=True):
    """An MCP server behind Haldir. How to reach it is sealed in the part `config_digest`."""

    TABLE: ClassVar[Table] = Table("upstream", key=("name",))

    name: str
    transport: Literal["http", "stdio"]
    config_digest: str
    operator: bool  # From the operator's own configuration: may run commands and reach private addresses.
    tool_rules: tuple[ToolRule, ...]
    version: int  # The index-like count that Admit compares, so that no call runs by a rule that was changed.
    created_at: Micros

    def rule(self, tool: str) -> ToolRule | None:
        return next((rule for rule in self.tool_rules if rule.tool == tool), None)

    def scope_of(self, tool: str) -> str:
        """Return the session scope that a call of this tool needs."""
        rule = self.rule(tool)
        return rule.scope if rule and rule.scope else f"execute:{self.name}:{tool}"


class UpstreamConfig(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """How to reach an upstream. Kept sealed: headers and environment may hold credentials."""

    url: str = ""
    headers: dict[str, str] = {}
    command: tuple[str, ...] = ()
    env: dict[str, str] = {}
    deadline_seconds: float = DEADLINE_SECONDS


class UpstreamHealth(Row, frozen=True):
    """Whether an upstream was last said to be healthy; without a row it is."""

    TABLE: ClassVar[Table] = Table("upstream_health", key=("upstream",))

    upstream: str
    healthy: bool
    since: Micros


class Tool(Row, frozen=True):
    """What an upstream offers, pinned by the hash of its whole definition as Haldir first saw it."""

    TABLE: ClassVar[Table] = Table("tool", key=("upstream", "name"), index=("upstream",))

    upstream: str
    name: str
    pinned_sha256: str
    seen_sha256: str
    pinned_at: Micros

    @property
    def quarantined(self) -> bool:
        return self.seen_sha256 != self.pinned_sha256


class StoredPolicy(Row, frozen=True):
    """A policy in force. What it says is sealed in the part `definition_digest`: alone, or at `place` of a list."""

    TABLE: ClassVar[Table] = Table("policy", key=("id",))

    id: str
    kind: str
    definition_digest: str
    created_at: Micros
    place: int = 0
    since_epoch: int = 0

    def until(self, epoch: int) -> "PastPolicy":
        """Return what remains of it once version `epoch` has ended it."""
        return PastPolicy(
            self.id, self.since_epoch, epoch, self.kind, self.definition_digest, self.place, self.created_at
        )


class PastPolicy(Row, frozen=True):
    """What a policy said from version `since_epoch` up to, and not in, version `until_epoch`."""

    TABLE: ClassVar[Table] = Table("past_policy", key=("id", "since_epoch"))

    id: str
    since_epoch: int
    until_epoch: int
    kind: str
    definition_digest: str
    place: int
    created_at: Micros


class PolicyEpoch(Row, frozen=True):
    """How often the tenant's policies changed: the number of their version. A verdict from another one is stale."""

    TABLE: ClassVar[Table] = Table("policy_epoch", key=())

    epoch: int = 0


class PolicyVersion(Row, frozen=True):
    """One change of the tenant's policies; `restores` is the version it brought back, 0 for none."""

    TABLE: ClassVar[Table] = Table("policy_version", key=("epoch",))

    epoch: int
    changed_at: Micros
    changed_by: str
    put_count: int
    removed_count: int
    restores: int = 0


class RateWindow(Row, frozen=True):
    """Calls of the last minute that a rate policy counted, as (second, calls) pairs, oldest first."""

    TABLE: ClassVar[Table] = Table("rate_window", key=("policy_id", "holder"))

    policy_id: str
    holder: str
    counts: tuple[tuple[int, int], ...] = ()


class UsageWindow(Row, frozen=True):
    """What a meter of rules shows for one holder: (bucket, amount) pairs, oldest first; `meter` is its name."""

    TABLE: ClassVar[Table] = Table("usage_window", key=("meter", "holder"))

    meter: str
    holder: str
    counts: tuple[tuple[int, int], ...] = ()


class Call(Row, frozen=True):
    """One admitted tool call. Open until it is settled; never guessed."""

    TABLE: ClassVar[Table] = Table("call", key=("id",))

    id: str
    session_id: str
    agent_id: str
    upstream: str
    tool: str
    arguments_digest: str
    price_micros: int
    policy_epoch: int
    admitted_at: Micros
    deadline_at: Micros
    state: CallState = "open"
    error: str = ""
    result_digest: str = ""
    settled_at: Micros | None = None
    resolved_by: str = ""
