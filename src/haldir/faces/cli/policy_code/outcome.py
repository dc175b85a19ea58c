"""What policies make of a case: what the journal would decide, with the counts that the case gives."""

from typing import NamedTuple

from haldir.faces.cli.policy_code.cases import Case, Expected
from haldir.policy.compile import PolicySet
from haldir.policy.facts import Facts
from haldir.policy.judgement import Judgement, Meter, Pending
from haldir.policy.residual import Shown, strikes


class Outcome(NamedTuple):
    """The verdict, the policies that make it, and what the caller is told. `timed`: it depends on the time."""

    verdict: Expected
    by: tuple[str, ...]
    reason: str
    timed: bool

    @property
    def told(self) -> str:
        by = f" by {', '.join(self.by)}" if self.by else ""
        return f"{self.verdict}{by}" + (f": {self.reason}" if self.reason else "")


def outcome_of(policies: PolicySet, case: Case) -> Outcome:
    """Return what becomes of a case. Deny beats hold beats allow; a policy in shadow mode changes nothing."""
    call = case.call
    facts = Facts(
        call.upstream, call.tool, call.arguments, call.session, call.agent, case.at, call.scopes, int(call.price)
    )
    judgement = policies.judge(facts)
    timed = judgement.valid_until is not None
    if judgement.denied_by:
        return Outcome("deny", (judgement.denied_by,), judgement.reason, timed)
    struck = [each for each in judgement.pending if not each.shadow and _strikes(judgement, case, each)]
    if denial := next((each for each in struck if each.holds is None), None):
        return Outcome("deny", (denial.policy_id,), denial.reason, timed)
    if holds := [*judgement.holds, *(each.holds for each in struck if each.holds)]:
        reason = " ".join(each.reason for each in holds)
        return Outcome("hold", tuple(each.policy_id for each in holds), reason, timed)
    named = judgement.allowed_by
    return Outcome("allow", (named.policy_id,) if named else (), named.reason if named else "", timed)


def _strikes(judgement: Judgement, case: Case, pending: Pending) -> bool:
    calls, spent_micros = case.calls.of(pending.policy_id), case.spent_micros.of(pending.policy_id)

    def shown(meter: Meter) -> Shown:
        before, own = (calls, 1) if meter.what == "calls" else (spent_micros, int(case.call.price))
        now = before + own if meter in judgement.meters else before
        return Shown(now, now)

    return strikes(pending.when, lambda rate: calls >= rate.max_per_minute, shown)
