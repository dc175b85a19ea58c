"""How much was done, by day, agent and tool: counted with each decision, so that nobody counts the log. Pure."""

import functools
from collections.abc import Iterator

from haldir.journal.working_set import WorkingSet
from haldir.kernel.clock import DAY, Micros, moment
from haldir.storage.rows import Find
from haldir.watch.deed import Deed
from haldir.watch.model import Tally, TallyKind
from haldir.watch.spend import TOTAL_MICROS_MAX


def tally_needs(agent_id: str, tool: str) -> Iterator[Find]:
    """Name the tallies of an agent and a tool; that of the day depends on the time, which is not known yet."""
    if agent_id:
        yield Tally.at("agent", agent_id)
    if tool:
        yield Tally.at("tool", tool)


def tallied(rows: WorkingSet, deed: Deed, now: Micros, *, flagged: bool) -> Iterator[Tally]:
    """Return the tallies with a deed in them."""
    if not deed.acts and not deed.spent_micros:
        return
    names: tuple[tuple[TallyKind, str], ...] = (("day", day_of(now)), ("agent", deed.agent_id), ("tool", deed.tool))
    for kind, name in names:
        if name:
            before = rows.get(Tally, kind, name) or Tally(kind, name)
            yield Tally(
                kind,
                name,
                before.actions + deed.acts,
                before.refused + (deed.acts and not deed.allowed),
                before.flagged + flagged,
                min(before.spent_micros + deed.spent_micros, TOTAL_MICROS_MAX),
            )


def day_of(now: Micros) -> str:
    """Return the day, UTC, as ISO 8601 spells it: it sorts as time does."""
    return _spelled(now // DAY)


@functools.lru_cache(maxsize=2)
def _spelled(day: int) -> str:
    return moment(day * DAY).date().isoformat()
