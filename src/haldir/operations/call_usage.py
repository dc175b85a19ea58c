"""What the rows say of a call's open conditions: rates of the last minute, and meters of rules. Pure."""

from collections.abc import Iterator

import msgspec

from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import Micros
from haldir.policy.judgement import Judgement, Meter, Pending, Per, RateAbove
from haldir.policy.rates import after_call, count_within_minute, seconds_to_wait
from haldir.policy.residual import Shown, leaves_of, strikes
from haldir.policy.windows import least_within, most_within, with_more
from haldir.proxy.model import RateWindow, UsageWindow
from haldir.storage.rows import Find, Row

UNBOUNDED = 1 << 63  # More than any meter shows: what stands for a price that nobody can read.


class Usage(msgspec.Struct, frozen=True):
    """One call before the rows that count. `price_micros` None is a price that cannot be read or compared.

    `agent_id` None: its session is not loaded yet.
    """

    judgement: Judgement
    session_id: str
    agent_id: str | None
    price_micros: int | None

    def needs(self) -> Iterator[Find]:
        """Name the rows that are looked at."""
        for meter in self.judgement.meters:
            yield from self._need(meter)
        for pending in self.judgement.pending:
            for leaf in leaves_of(pending.when):
                yield from self._need(leaf if isinstance(leaf, RateAbove) else leaf.meter)

    def strikes(self, rows: WorkingSet, pending: Pending, now: Micros) -> bool:
        """Tell whether an open condition holds."""
        return strikes(
            pending.when,
            lambda rate: count_within_minute(self._rate(rows, rate).counts, now) >= rate.max_per_minute,
            lambda meter: self._shown(rows, meter, now),
        )

    def seconds_to_wait(self, rows: WorkingSet, rate: RateAbove, now: Micros) -> int:
        """Return after how many seconds a rate that is used up lets the next call through."""
        return seconds_to_wait(self._rate(rows, rate).counts, now, rate.max_per_minute)

    def counted(self, rows: WorkingSet, now: Micros) -> Iterator[Row]:
        """Return the rows with this call in them, now that it is let through.

        A rate in shadow mode counts only what it would have let through, as it would if it were enforced.
        """
        for pending in self.judgement.pending:
            if pending.shadow and self.strikes(rows, pending, now):
                continue
            for leaf in leaves_of(pending.when):
                if isinstance(leaf, RateAbove):
                    rate = self._rate(rows, leaf)
                    yield rate.but(counts=after_call(rate.counts, now))
        for meter in self.judgement.meters:
            if more := self._own(meter):
                window = self._window(rows, meter)
                yield window.but(counts=with_more(window.counts, now, meter.within_seconds, more))

    def _shown(self, rows: WorkingSet, meter: Meter, now: Micros) -> Shown:
        """Return what a meter shows with this call in it, if it is one that the meter measures."""
        counts = self._window(rows, meter).counts
        least, most = (sums(counts, now, meter.within_seconds) for sums in (least_within, most_within))
        if meter not in self.judgement.meters:
            return Shown(least, most)
        own = self._own(meter)
        return Shown(least + (own or 0), UNBOUNDED if own is None else most + own)

    def _own(self, meter: Meter) -> int | None:
        """Return what this call adds to a meter; None if nobody can tell."""
        return 1 if meter.what == "calls" else self.price_micros

    def _need(self, counter: RateAbove | Meter) -> Iterator[Find]:
        holder = self._holder(counter.holder if isinstance(counter, RateAbove) else counter.per)
        if holder is None:
            return
        if isinstance(counter, RateAbove):
            yield RateWindow.at(counter.policy_id, holder)
        else:
            yield UsageWindow.at(counter.name, holder)

    def _rate(self, rows: WorkingSet, rate: RateAbove) -> RateWindow:
        holder = self._holder(rate.holder) or ""
        return rows.get(RateWindow, rate.policy_id, holder) or RateWindow(rate.policy_id, holder)

    def _window(self, rows: WorkingSet, meter: Meter) -> UsageWindow:
        holder = self._holder(meter.per) or ""
        return rows.get(UsageWindow, meter.name, holder) or UsageWindow(meter.name, holder)

    def _holder(self, per: Per | str) -> str | None:
        """Return whose calls are counted together; None while that row is not loaded yet."""
        match per:
            case "session":
                return f"session:{self.session_id}"
            case "agent":
                return None if self.agent_id is None else f"agent:{self.agent_id}"
        return "tenant"
