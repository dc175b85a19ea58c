"""Whether a decision about an agent is out of the ordinary, by the tenant's rules and what they remember. Pure."""

from collections.abc import Iterator
from typing import assert_never

from haldir.journal.command import ANOMALY, NOTHING_SEEN, Notice, Observation
from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import HOUR, MINUTE, Micros
from haldir.kernel.money import format_amount
from haldir.policy.rates import after_call, count_within_minute
from haldir.storage.rows import Row
from haldir.watch.anomaly_rules import AnomalyRule, CallRate, FirstUse, OffHours, RefusalBurst, SpendSpike, within_hours
from haldir.watch.deed import Deed
from haldir.watch.model import Activity, AnomalyRules, ToolUsed

HOURS_KEPT = 25  # The present one, and a day of hours to hold it against.
HOURS_TO_COMPARE = 3  # Fewer say nothing about what is usual.


def examine(rows: WorkingSet, deed: Deed, now: Micros) -> Observation:
    """Return the flags of a decision, and what the rules will remember of it."""
    standing = rows.get(AnomalyRules)
    if standing is None or not standing.rules:
        return NOTHING_SEEN
    return _Examination(rows, standing.rules, deed, now).observation()


class _Examination:
    """One deed before all rules."""

    def __init__(self, rows: WorkingSet, rules: tuple[AnomalyRule, ...], deed: Deed, now: Micros) -> None:
        self._rows, self._rules, self._deed, self._now = rows, rules, deed, now
        self._before = rows.get(Activity, deed.holder) or Activity(deed.holder)
        self._used = self._first_use()

    def observation(self) -> Observation:
        activity = self._remembered()
        notices: list[Notice] = []
        quiet = {rule: until for rule, until in activity.quiet if until > self._now}
        for rule in self._rules:
            reason = self._finding(rule, activity)
            if reason and rule.id not in quiet:
                notices.append(Notice(ANOMALY, rule.id, f"{rule.kind}: {reason}"))
                quiet[rule.id] = self._now + rule.quiet_minutes * MINUTE
        return Observation(tuple(notices), tuple(self._changed(activity.but(quiet=tuple(quiet.items())))))

    def _remembered(self) -> Activity:
        """Return the holder's activity with this deed in it, as far as some rule will ask for it."""
        kinds, deed, before = {type(rule.condition) for rule in self._rules}, self._deed, self._before
        acts = after_call(before.acts, self._now) if deed.acts and CallRate in kinds else before.acts
        refused = not deed.allowed and RefusalBurst in kinds
        refusals = after_call(before.refusals, self._now) if refused else before.refusals
        hours = after_spending(before.hours, self._now, deed.spent_micros) if SpendSpike in kinds else before.hours
        return before.but(acts=acts, refusals=refusals, hours=hours)

    def _first_use(self) -> ToolUsed | None:
        """Return the row of a tool that is used for the first time, if a rule asks for that."""
        deed = self._deed
        wanted = any(isinstance(rule.condition, FirstUse) for rule in self._rules)
        if not (wanted and deed.acts and deed.allowed and deed.tool and deed.agent_id):
            return None
        known = self._rows.get(ToolUsed, deed.agent_id, deed.tool)
        return None if known else ToolUsed(deed.agent_id, deed.tool, self._now)

    def _changed(self, activity: Activity) -> Iterator[Row]:
        if activity != self._before:
            yield activity
        if self._used is not None:
            yield self._used

    def _finding(self, rule: AnomalyRule, activity: Activity) -> str:
        """Return what this rule has to say; nothing if the deed is as usual."""
        deed, who = self._deed, self._deed.holder
        match rule.condition:
            case CallRate(max_per_minute=most):
                over = deed.acts and count_within_minute(activity.acts, self._now) > most
                return f"{who} acted more than {most} times within a minute." if over else ""
            case RefusalBurst(max_per_minute=most):
                over = not deed.allowed and count_within_minute(activity.refusals, self._now) > most
                return f"{who} was refused more than {most} times within a minute." if over else ""
            case SpendSpike() as spike:
                found = deed.spent_micros > 0 and is_spike(activity.hours, spike)
                return f"{who} spent {format_amount(activity.hours[-1][1])} within an hour." if found else ""
            case FirstUse(learning_hours=hours):
                new = self._used is not None and self._now >= rule.created_at + hours * HOUR
                return f"{who} used the tool {deed.tool!r} for the first time." if new else ""
            case OffHours() as hours_of_week:
                outside = deed.acts and not within_hours(hours_of_week, self._now)
                return (
                    f"{who} acted outside {hours_of_week.start_hour}:00 to {hours_of_week.end_hour}:00."
                    if outside
                    else ""
                )
            case _ as never:
                assert_never(never)


def after_spending(hours: tuple[tuple[int, int], ...], now: Micros, micros: int) -> tuple[tuple[int, int], ...]:
    """Return the hours with this much more spent in the present one, without those that no longer matter."""
    if micros <= 0:
        return hours
    hour = now // HOUR
    if hours and hours[-1][0] >= hour:  # Or later: should a clock have stepped back, its money still counts.
        return (*hours[:-1], (hours[-1][0], hours[-1][1] + micros))
    return (*hours, (hour, micros))[-HOURS_KEPT:]


def is_spike(hours: tuple[tuple[int, int], ...], spike: SpendSpike) -> bool:
    """Tell whether the last hour stands out from those before it in which anything was spent."""
    *before, (_, present) = hours
    if len(before) < HOURS_TO_COMPARE or present < spike.at_least_micros:
        return False
    return present * len(before) > spike.factor * sum(micros for _, micros in before)
