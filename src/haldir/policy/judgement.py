"""What judging a call yields: what is certain, and what only the journal can finish."""

import hashlib
from typing import Literal

import msgspec

from haldir.kernel.clock import Micros

Per = Literal["session", "agent", "tenant"]


class RateAbove(msgspec.Struct, frozen=True, tag="rate_above"):
    """True once `holder` made `max_per_minute` calls within the last 60 seconds."""

    policy_id: str
    holder: str  # "session", "agent" or "tenant": whose calls are counted together.
    max_per_minute: int


class Meter(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is measured of the calls that were let through: their number, or what they cost.

    `per`: whose calls are measured together. `tools`: only calls of these, each `TOOL` or `UPSTREAM.TOOL`; none is all.
    """

    what: Literal["calls", "spend"]
    per: Per
    within_seconds: int
    tools: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return what its rows go by: meters that measure the same share them, whichever policy asks."""
        named = f"{self.what}/{self.within_seconds}"
        return f"{named}/{hashlib.sha256(' '.join(self.tools).encode()).hexdigest()[:32]}" if self.tools else named


class MeterAbove(msgspec.Struct, frozen=True, tag="meter_above"):
    """True unless it is certain that the meter, this call included, shows at most `bound`."""

    meter: Meter
    bound: int


class MeterBelow(msgspec.Struct, frozen=True, tag="meter_below"):
    """True unless it is certain that the meter, this call included, shows at least `bound`."""

    meter: Meter
    bound: int


class AllOf(msgspec.Struct, frozen=True, tag="all"):
    parts: tuple["Condition", ...]


class AnyOf(msgspec.Struct, frozen=True, tag="any"):
    parts: tuple["Condition", ...]


Condition = RateAbove | MeterAbove | MeterBelow | AllOf | AnyOf
"""Without `not`: it is pushed down to the leaves, whose opposites are leaves again."""


class Terms(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many people must approve what is held, and whether none of them may have a part in it."""

    approvers: int = 1
    four_eyes: bool = False


class Holding(msgspec.Struct, frozen=True, omit_defaults=True):
    """A policy that holds the call until people approve it, and what its caller is told."""

    policy_id: str
    kind: str
    reason: str
    terms: Terms = Terms()


class Pending(msgspec.Struct, frozen=True, omit_defaults=True):
    """A denial that depends on rows, or with `holds` a hold: it strikes if `when` turns out true under the log head.

    With `shadow` it only says so.
    """

    policy_id: str
    reason: str
    when: Condition
    holds: Holding | None = None
    shadow: bool = False


class Remark(msgspec.Struct, frozen=True):
    """What a policy has to say that changes nothing: it stands in the entry."""

    policy_id: str
    reason: str


class Judgement(msgspec.Struct, frozen=True, omit_defaults=True):
    """The verdict of all policies on one call, as of one instant and one epoch.

    `denied_by` is the id of the policy that certainly denies ("" for none), `holds` are those that certainly hold.
    `pending` is the residual. `meters` measure the call if it is let through. `allowed_by` is the rule that names it
    as allowed; it, and `shadowed` (what policies in shadow mode would have done), change nothing. From `valid_until`
    on (microseconds) a time window has opened or closed, and it must be judged anew.
    """

    epoch: int
    denied_by: str = ""
    reason: str = ""
    pending: tuple[Pending, ...] = ()
    valid_until: Micros | None = None
    holds: tuple[Holding, ...] = ()
    meters: tuple[Meter, ...] = ()
    shadowed: tuple[Remark, ...] = ()
    allowed_by: Remark | None = None
