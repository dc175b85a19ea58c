"""Recorded calls held against a candidate set of policies: which verdicts would flip. Pure.

The world is as it was recorded: sessions, arguments, prices, times, and what was let through. Only that counts in
rates and windows, whatever the candidate would have made of it.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NoReturn

import msgspec

from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import SECOND, Micros
from haldir.operations.call_commands import POLICY_REFUSALS
from haldir.operations.call_usage import Usage
from haldir.operations.recorded_call import RecordedCall
from haldir.policy.compile import compile_policies
from haldir.policy.conditions.usage import measures
from haldir.policy.facts import Facts
from haldir.policy.judgement import Judgement, Pending, RateAbove
from haldir.policy.kinds.rate_limit import RateLimit
from haldir.policy.policy import Policy
from haldir.policy.residual import leaves_of
from haldir.policy.windows import bucket_seconds

RATE_SECONDS = 61  # A rate looks at a minute, and at the second in which that begins.

Effect = Literal["allow", "hold", "deny"]


class Ruled(msgspec.Struct, frozen=True):
    """What policies make of a call: the effect, and of the policy that has it the id and what it says."""

    effect: Effect
    policy_id: str = ""
    reason: str = ""


class ArgumentsGone(Exception):
    """A policy looks at arguments that are erased, or never were kept."""


class GoneArguments(dict[str, Any]):
    """Stands for arguments that nobody has: whoever looks at them raises ArgumentsGone."""

    def _gone(self, *_: object) -> NoReturn:
        raise ArgumentsGone

    __contains__ = __getitem__ = __iter__ = __len__ = __eq__ = __ne__ = __bool__ = _gone
    get = keys = values = items = _gone
    __hash__ = None  # As a dict has it.


class Replay:
    """Takes recorded calls one after the other, oldest first: each is ruled on if asked for, then counted."""

    def __init__(self, candidate: Sequence[tuple[str, Policy]]) -> None:
        enforced = [(policy_id, policy) for policy_id, policy in candidate if policy.mode == "enforce"]
        self._policies = compile_policies(enforced, 0)
        self._meters = tuple(dict.fromkeys(meter for _, policy in enforced for meter in policy.meters()))
        self._rates = tuple(_rates(enforced))
        self._recorded, self._supposed = WorkingSet(), WorkingSet()
        self._kept: dict[int, set[str]] = {}  # Counters that Haldir kept itself, by the version of the policies.

    def was(self, call: RecordedCall) -> Ruled:
        """Return what the policies of that time made of a call: not what an approval, or an approval rule, did."""
        ruled = _finished(call, call.admit.judgement, _looked_up(self._recorded, call.usage(call.admit.judgement)))
        if call.record.code in POLICY_REFUSALS:
            return Ruled("deny", ruled.policy_id if ruled.effect == "deny" else "", call.record.reason)
        return Ruled("allow") if ruled.effect == "deny" else ruled

    def would_be(self, call: RecordedCall, scopes: tuple[str, ...], arguments: dict[str, Any]) -> Ruled:
        """Return what the candidate makes of a call. Raises ArgumentsGone."""
        admit, price = call.admit, call.admit.charge.comparable_micros
        agent_id, at = call.record.about.agent_id, call.record.at
        facts = Facts(admit.upstream, admit.tool, arguments, admit.session_id, agent_id, at, scopes, price)
        judgement = self._policies.judge(facts)
        return _finished(call, judgement, self._counters(call, call.usage(judgement)))

    def count(self, call: RecordedCall) -> None:
        """Count a call, if it was let through, where Haldir did, and where it would have with the candidate."""
        judgement = call.admit.judgement
        self._kept.setdefault(judgement.epoch, set()).update(_counters_of(judgement))
        if not call.record.allowed:
            return
        meters = tuple(meter for meter in self._meters if measures(meter, call.admit.upstream, call.admit.tool))
        for rows, counted in (
            (self._recorded, judgement),
            (self._supposed, Judgement(0, pending=self._rates, meters=meters)),
        ):
            usage = call.usage(counted)
            rows.change(usage.counted(_looked_up(rows, usage), call.record.at), ())
            rows.take_changes()

    def _counters(self, call: RecordedCall, usage: Usage) -> WorkingSet:
        """Return what each counter showed where Haldir kept it then, and would have shown where it did not."""
        judgement = call.admit.judgement
        kept = self._kept.get(judgement.epoch, set()) | _counters_of(judgement)
        shown = WorkingSet()
        for find in usage.needs():
            rows = self._recorded if find.values[0] in kept else self._supposed
            row = rows.peek(find.row_type, *find.values)
            shown.adopt([find], [row] if row else [])
        return shown


def reach_of(policies: Sequence[Policy]) -> Micros:
    """Return how far back these policies look: what was let through earlier makes no difference to them."""
    seconds = [within + bucket_seconds(within) for policy in policies for within in _windows(policy)]
    return max([*seconds, *(RATE_SECONDS for policy in policies if isinstance(policy, RateLimit))], default=0) * SECOND


def _windows(policy: Policy) -> Iterator[int]:
    yield from (meter.within_seconds for meter in policy.meters())


def _rates(policies: Sequence[tuple[str, Policy]]) -> Iterator[Pending]:
    nothing = Facts("", "", {}, "", "", 0)
    for policy_id, policy in policies:
        if isinstance(policy, RateLimit) and (pending := policy.compiled(policy_id)(nothing).pending):
            yield pending


def _finished(call: RecordedCall, judgement: Judgement, rows: WorkingSet) -> Ruled:
    """Return what a judgement comes to with these counters: as Admit finishes it under the log's head."""
    if judgement.denied_by:
        return Ruled("deny", judgement.denied_by, judgement.reason)
    usage, at = call.usage(judgement), call.record.at
    struck = [each for each in judgement.pending if not each.shadow and usage.strikes(rows, each, at)]
    if denial := next((each for each in struck if each.holds is None), None):
        return Ruled("deny", denial.policy_id, denial.reason)
    holds = [*judgement.holds, *(each.holds for each in struck if each.holds)]
    return Ruled("hold", holds[0].policy_id, holds[0].reason) if holds else Ruled("allow")


def _looked_up(rows: WorkingSet, usage: Usage) -> WorkingSet:
    """Return the rows, in which what was never counted is known to be nothing."""
    rows.adopt(list(rows.missing(usage.needs())), ())
    return rows


def _counters_of(judgement: Judgement) -> set[str]:
    """Name the counters that a judgement looks at or adds to, as the keys of their rows begin."""
    leaves = (leaf for pending in judgement.pending for leaf in leaves_of(pending.when))
    looked_at = {leaf.policy_id if isinstance(leaf, RateAbove) else leaf.meter.name for leaf in leaves}
    return looked_at | {meter.name for meter in judgement.meters}
