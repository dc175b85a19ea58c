"""Policies that strike where a condition holds: they deny, hold, or only name what they allow."""

from collections.abc import Callable
from typing import Literal

import msgspec

from haldir.kernel.clock import Micros
from haldir.policy.conditions.names import OF_SESSION, ByName
from haldir.policy.conditions.node import Node, Sense
from haldir.policy.conditions.times import TimeIs
from haldir.policy.conditions.usage import MeterIs
from haldir.policy.facts import Facts
from haldir.policy.judgement import Holding, Meter, Pending, Terms
from haldir.policy.looks import remembered
from haldir.policy.policy import PASSED, CallPolicy, Examine, Verdict, passed

Effect = Literal["allow", "deny", "hold"]
APPROVERS_MAX = 10

NextLook = Callable[[Micros], Micros]


class Strike(msgspec.Struct, frozen=True):
    """What a policy does where its condition holds, and what the caller is told."""

    effect: Effect
    reason: str
    terms: Terms = Terms()


class ConditionalPolicy(CallPolicy, frozen=True):
    """Strikes where `condition` holds, or cannot be told; one that only names what it allows, where it surely holds."""

    def condition(self) -> Node | None:
        """Return when it strikes; None is always."""
        raise NotImplementedError

    def strike(self, policy_id: str) -> Strike:
        """Return what it does then."""
        raise NotImplementedError

    def compiled(self, policy_id: str, names: tuple[str, str] | None = None) -> Examine:
        """Return the function that examines calls, or with `names` those of this upstream and tool alone."""
        strike = self.strike(policy_id)
        condition = self.condition()
        holding = Holding(policy_id, self.KIND, strike.reason, strike.terms) if strike.effect == "hold" else None
        struck = _struck(strike, holding)
        if condition is None:
            return lambda _facts: struck
        if names is not None and condition.excluded(names, wanted=True):
            return passed
        test = condition.test(Sense(wanted=True, unknown=strike.effect != "allow", names=names))

        def examine(facts: Facts) -> Verdict:
            found = test(facts)
            if isinstance(found, bool):
                return struck if found else PASSED
            return Verdict(pending=Pending(policy_id, strike.reason, found, holding))

        looks = [leaf.next_look() for leaf in condition.leaves() if isinstance(leaf, TimeIs)]
        return _until_next_look(examine, looks) if looks else examine

    def concerns(self) -> frozenset[str] | None:
        condition = self.condition()
        return None if condition is None else condition.concerns(wanted=True)

    def meters(self) -> tuple[Meter, ...]:
        condition = self.condition()
        leaves = () if condition is None else condition.leaves()
        return tuple(leaf.meter for leaf in leaves if isinstance(leaf, MeterIs))

    def by_name_alone(self) -> bool:
        condition = self.condition()
        return condition is None or all(isinstance(leaf, ByName) for leaf in condition.leaves())

    def looks_at_session(self) -> bool:
        condition = self.condition()
        return condition is not None and any(isinstance(leaf, OF_SESSION) for leaf in condition.leaves())


def _struck(strike: Strike, holding: Holding | None) -> Verdict:
    match strike.effect:
        case "deny":
            return Verdict(strike.reason)
        case "hold":
            return Verdict(holding=holding)
        case "allow":
            return Verdict(allowance=strike.reason)


def _until_next_look(examine: Examine, looks: list[NextLook]) -> Examine:
    """Return the examination that also says from when on a look at the clock may change its verdict."""

    def look(at: Micros) -> tuple[Verdict, Micros]:
        until = min(next_look(at) for next_look in looks)
        return Verdict(valid_until=until), until

    passing = remembered(look)

    def timed(facts: Facts) -> Verdict:
        verdict, passed_until = examine(facts), passing(facts)
        if verdict is PASSED:
            return passed_until
        return msgspec.structs.replace(verdict, valid_until=passed_until.valid_until)

    return timed
