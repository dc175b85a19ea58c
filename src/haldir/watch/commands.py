"""Commands on anomaly rules."""

from collections.abc import Iterable

from haldir.journal.command import Command, Decision, allow, deny
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.storage.rows import Find
from haldir.watch.anomaly_rules import RULES_MAX, AnomalyRule
from haldir.watch.model import AnomalyRules


class AddAnomalyRule(Command, frozen=True, tag="anomaly.add"):
    """Let a rule look at what is decided from now on."""

    rule: AnomalyRule

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield AnomalyRules.at()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        standing = rows.get(AnomalyRules) or AnomalyRules()
        if len(standing.rules) >= RULES_MAX:
            return deny("too_many_rules", f"There are {RULES_MAX} anomaly rules already.")
        added = AnomalyRule(self.rule.id, self.rule.condition, self.rule.quiet_minutes, now)
        return allow(AnomalyRules((*standing.rules, added)))


class RemoveAnomalyRule(Command, frozen=True, tag="anomaly.remove"):
    """Take a rule away; what it flagged stays flagged."""

    rule_id: str

    def needs(self, rows: WorkingSet) -> Iterable[Find]:
        yield AnomalyRules.at()

    def decide(self, rows: WorkingSet, now: Micros) -> Decision:
        standing = rows.get(AnomalyRules) or AnomalyRules()
        kept = tuple(rule for rule in standing.rules if rule.id != self.rule_id)
        if len(kept) == len(standing.rules):
            return deny("anomaly_rule_not_found", f"There is no anomaly rule {self.rule_id}.")
        return allow(AnomalyRules(kept))
