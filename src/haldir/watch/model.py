"""What the watch keeps beside the log, as rows: anomaly rules, what they remember, and tallies."""

from typing import ClassVar, Literal

from haldir.kernel.clock import Micros
from haldir.policy.rates import Counts
from haldir.storage.rows import Row, Table
from haldir.watch.anomaly_rules import AnomalyRule

TallyKind = Literal["day", "agent", "tool"]


class AnomalyRules(Row, frozen=True):
    """All rules of a tenant, in the order they were added: one row, so that a decision looks once."""

    TABLE: ClassVar[Table] = Table("anomaly_rules", key=())

    rules: tuple[AnomalyRule, ...] = ()


class Activity(Row, frozen=True):
    """What rules remember of a `holder`: `agent:NAME`, or a credential that was refused without an agent.

    `hours` are (hour since 1970, micro-units spent) of the hours in which it spent, oldest first; `quiet` says until
    when a rule flags nothing more.
    """

    TABLE: ClassVar[Table] = Table("activity", key=("holder",))

    holder: str
    acts: Counts = ()
    refusals: Counts = ()
    hours: tuple[tuple[int, int], ...] = ()
    quiet: tuple[tuple[str, Micros], ...] = ()


class ToolUsed(Row, frozen=True):
    """That an agent used a tool, and when first."""

    TABLE: ClassVar[Table] = Table("tool_used", key=("agent_id", "tool"))

    agent_id: str
    tool: str
    first_at: Micros


class Tally(Row, frozen=True):
    """What was done on a `day` (`2026-11-25`, UTC), by an `agent`, or with a `tool` (`upstream.tool`).

    `actions` are tool calls, payments and reports, the refused ones too; `spent_micros` is what was posted or reported.
    """

    TABLE: ClassVar[Table] = Table("tally", key=("kind", "name"))

    kind: TallyKind
    name: str
    actions: int = 0
    refused: int = 0
    flagged: int = 0
    spent_micros: int = 0


class ReportedSpend(Row, frozen=True):
    """What was reported to have cost, in all, by a `holder`: `session:ID`, `agent:NAME` or `tenant`.

    Under the tool "" stands everything, with and without a tool; under another, what was reported of that tool.
    """

    TABLE: ClassVar[Table] = Table("reported_spend", key=("holder", "tool"))

    holder: str
    tool: str
    cost_micros: int = 0
    actions: int = 0
