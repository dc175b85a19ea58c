"""What anomaly rules are and what they remember, as rows."""

from typing import ClassVar

from haldir.kernel.clock import Micros
from haldir.policy.rates import Counts
from haldir.storage.rows import Row, Table
from haldir.watch.anomaly_rules import AnomalyRule


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
