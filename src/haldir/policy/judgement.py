"""What judging a call yields: what is certain, and what only the journal can finish."""

import msgspec

from haldir.kernel.clock import Micros


class RateAbove(msgspec.Struct, frozen=True, tag="rate_above"):
    """True once `holder` made `max_per_minute` calls within the last 60 seconds."""

    policy_id: str
    holder: str  # "session", "agent" or "tenant": whose calls are counted together.
    max_per_minute: int


Condition = RateAbove  # Issue by issue a union: leaves over counters, windows and money, then all, any, not.


class Pending(msgspec.Struct, frozen=True):
    """A denial that depends on rows: it strikes if `when` turns out true under the log head."""

    policy_id: str
    reason: str
    when: Condition


class Judgement(msgspec.Struct, frozen=True, omit_defaults=True):
    """The verdict of all policies on one call, as of one instant and one epoch.

    `denied_by` is the id of the policy that certainly denies ("" for none). `pending` is the residual.
    From `valid_until` on (microseconds) a time window has opened or closed, and it must be judged anew.
    """

    epoch: int
    denied_by: str = ""
    reason: str = ""
    pending: tuple[Pending, ...] = ()
    valid_until: Micros | None = None
