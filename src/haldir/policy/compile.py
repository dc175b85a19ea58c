"""All policies of a tenant as one function of a call: deny beats hold beats allow.

What no policy forbids or holds is allowed. Policies are indexed by the tools and upstreams they name, once per epoch,
so that a call only meets those that concern it.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, final

import msgspec

from haldir.kernel.clock import Micros
from haldir.policy.bounds import bounded, few_holds, few_meters, few_shadows
from haldir.policy.conditional import ConditionalPolicy
from haldir.policy.conditions.names import keys_of
from haldir.policy.conditions.usage import measures
from haldir.policy.facts import Facts
from haldir.policy.judgement import Holding, Judgement, Meter, Pending, Remark
from haldir.policy.policy import PASSED, Examine, Policy, Verdict, passed

Named = tuple[str, Policy]

CONCERNED_MAX = 4096  # Tools that are remembered with the policies that concern them; callers choose their names.


def compile_policies(policies: Sequence[Named], epoch: int) -> "PolicySet":
    """Compile policies, each with its id, as they stand at `epoch`. Their order makes no difference."""
    return PolicySet(sorted(policies, key=lambda named: named[0]), epoch)


class _Compiled(NamedTuple):
    """A policy that was compiled, and the id it goes by."""

    policy_id: str
    policy: Policy
    examine: Examine
    by_name: bool

    def narrowed(self, upstream: str, tool: str) -> "_Compiled":
        """Return the policy compiled once more, for the calls of one tool."""
        if not isinstance(self.policy, ConditionalPolicy):
            return self
        return self._replace(examine=self.policy.compiled(self.policy_id, (upstream, tool)))


class _Concerned(NamedTuple):
    """What concerns the calls of one tool: policies in the order of their ids, narrowed to it, and meters."""

    enforced: tuple[_Compiled, ...]
    shadows: tuple[_Compiled, ...]
    meters: tuple[Meter, ...]
    shadow_meters: tuple[Meter, ...]  # Of which only shadows ask.


@final
class PolicySet:
    """The compiled policies. Judging the same call at the same instant gives the same answer, always."""

    def __init__(self, policies: Sequence[Named], epoch: int) -> None:
        self.epoch = epoch
        self.looks_at_session = any(
            policy.looks_at_session() for _, policy in policies if isinstance(policy, ConditionalPolicy)
        )
        self._all: list[_Compiled] = []
        self._general: list[int] = []  # Places in `_all` of policies that may concern any call.
        self._named: dict[str, list[int]] = {}  # And of those that concern only calls with a key.
        self._measurer = ""  # The first policy that measures.
        self._meters: dict[Meter, None] = {}
        self._shadow_meters: dict[Meter, None] = {}  # What shadows measure must never be too much for an entry.
        self._known: dict[tuple[str, str], _Concerned] = {}
        for policy_id, policy in policies:
            self._add(policy_id, policy)

    def judge(self, facts: Facts) -> Judgement:
        """Return the verdict on one call: denied or held for certain, and what remains for the journal to decide."""
        concerned = self._concerned(facts.upstream, facts.tool)
        shadowed, shadows = _shadowed(concerned.shadows, facts) if concerned.shadows else ((), ())
        found = _Found()
        for each in concerned.enforced:
            verdict = each.examine(facts)
            if verdict is PASSED:
                continue
            if verdict.denial:
                return Judgement(
                    self.epoch, each.policy_id, verdict.denial, valid_until=verdict.valid_until, shadowed=shadowed
                )
            found.add(each.policy_id, verdict)
        judgement = Judgement(
            self.epoch,
            pending=(*found.pending, *shadows),
            valid_until=found.valid_until,
            holds=few_holds(found.holds) if found.holds else (),
            meters=concerned.meters + concerned.shadow_meters,
            shadowed=shadowed,
            allowed_by=found.allowed_by,
        )
        return bounded(judgement, concerned.meters, self._measurer)

    def certainly_denies(self, upstream: str, tool: str) -> bool:
        """Tell whether every call of this tool is forbidden, whatever it asks and whenever it comes."""
        facts = Facts(upstream, tool, {}, "", "", 0)
        enforced = self._concerned(upstream, tool).enforced
        return any(each.by_name and bool(each.examine(facts).denial) for each in enforced)

    def _add(self, policy_id: str, policy: Policy) -> None:
        place = len(self._all)
        self._all.append(_Compiled(policy_id, policy, policy.compiled(policy_id), policy.by_name_alone()))
        for meter in policy.meters():
            self._measurer = self._measurer or policy_id
            (self._meters if policy.mode == "enforce" else self._shadow_meters).setdefault(meter)
        keys = policy.concerns()
        if keys is None:
            self._general.append(place)
            return
        for key in keys:
            self._named.setdefault(key, []).append(place)

    def _concerned(self, upstream: str, tool: str) -> _Concerned:
        known = self._known.get((upstream, tool))
        if known is None:
            if len(self._known) >= CONCERNED_MAX:
                self._known.clear()
            known = self._known[upstream, tool] = self._sought(upstream, tool)
        return known

    def _only_by_shadows(self) -> Iterator[Meter]:
        return (meter for meter in self._shadow_meters if meter not in self._meters)

    def _sought(self, upstream: str, tool: str) -> _Concerned:
        named = {place for key in keys_of(upstream, tool) for place in self._named.get(key, ())}
        places = sorted({*self._general, *named})
        narrowed = (self._all[place].narrowed(upstream, tool) for place in places)
        found = [each for each in narrowed if each.examine is not passed]
        return _Concerned(
            tuple(each for each in found if each.policy.mode == "enforce"),
            tuple(each for each in found if each.policy.mode == "shadow"),
            tuple(meter for meter in self._meters if measures(meter, upstream, tool)),
            few_meters([meter for meter in self._only_by_shadows() if measures(meter, upstream, tool)]),
        )


class _Found:
    """What the policies that do not deny make of a call, together."""

    __slots__ = ("allowed_by", "holds", "pending", "valid_until")

    def __init__(self) -> None:
        self.pending: list[Pending] = []
        self.holds: list[Holding] = []
        self.allowed_by: Remark | None = None
        self.valid_until: Micros | None = None

    def add(self, policy_id: str, verdict: Verdict) -> None:
        if verdict.pending is not None:
            self.pending.append(verdict.pending)
        elif verdict.holding is not None:
            self.holds.append(verdict.holding)
        elif verdict.allowance and self.allowed_by is None:
            self.allowed_by = Remark(policy_id, verdict.allowance)
        until = verdict.valid_until
        if until is not None:
            self.valid_until = until if self.valid_until is None else min(until, self.valid_until)


def _shadowed(shadows: Iterable[_Compiled], facts: Facts) -> tuple[tuple[Remark, ...], tuple[Pending, ...]]:
    """Return what policies in shadow mode would have done, and what they might do by rows."""
    remarks: list[Remark] = []
    pending: list[Pending] = []
    for each in shadows:
        verdict = each.examine(facts)
        if verdict.pending is not None:
            pending.append(msgspec.structs.replace(verdict.pending, shadow=True))
        elif verdict.denial:
            remarks.append(Remark(each.policy_id, verdict.denial))
        elif verdict.holding is not None:
            remarks.append(Remark(each.policy_id, verdict.holding.reason))
    return few_shadows(remarks, pending)
