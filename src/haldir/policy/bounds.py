"""How much a judgement may hold: it stands in the entry of its call, which has a bound. What is beyond fails closed.

And how much policies that stand together may measure, which is refused before they stand.
"""

from collections.abc import Iterator, Sequence

import msgspec

from haldir.policy.judgement import Holding, Judgement, Meter, Pending, Remark, Terms
from haldir.policy.policy import Policy

METERS_MAX = 32  # Each is a row that every call it measures writes.
LEFT_OPEN_BYTES_MAX = 20 << 10  # Of 64 KiB that an entry may have.
SHADOW_BYTES_MAX = (
    8 << 10
)  # Of the same, for what policies in shadow mode leave open, and as much for what they measure.
HOLDS_MAX = 4  # One is named; the rest is for whoever reads the log.
SHADOW_METERS_MAX = 16
SHADOWS_MAX = 8  # What they say stands in an entry twice.


def bounded(judgement: Judgement, meters: Sequence[Meter], measurer: str) -> Judgement:
    """Return the judgement, or a denial if policies that are enforced leave more open than an entry can hold.

    `meters` are theirs, `measurer` is the first policy that measures.
    """
    open_ones = [each for each in judgement.pending if not each.shadow]
    if (not open_ones and not meters) or _bytes(open_ones, meters) <= LEFT_OPEN_BYTES_MAX:
        return judgement
    named = open_ones[0].policy_id if open_ones else measurer
    reason = "The policies on this tool measure more than the entry of a call can hold; make them fewer."
    return Judgement(judgement.epoch, named, reason, shadowed=judgement.shadowed)


def few_holds(holds: Sequence[Holding]) -> tuple[Holding, ...]:
    """Return the holds; of very many the first, the last of them with the strictest terms of the rest."""
    if len(holds) <= HOLDS_MAX:
        return tuple(holds)
    kept, rest = holds[: HOLDS_MAX - 1], holds[HOLDS_MAX - 1 :]
    terms = Terms(max(each.terms.approvers for each in rest), any(each.terms.four_eyes for each in rest))
    return (*kept, msgspec.structs.replace(rest[0], terms=terms))


def few_shadows(
    remarks: Sequence[Remark], pending: Sequence[Pending]
) -> tuple[tuple[Remark, ...], tuple[Pending, ...]]:
    """Return what policies in shadow mode say; of very many the first, and how many are left out."""
    kept, said = list(pending[: SHADOWS_MAX // 2]), remarks[: SHADOWS_MAX // 2]
    while _bytes(kept) > SHADOW_BYTES_MAX:
        kept.pop()
    left_out = len(remarks) + len(pending) - len(kept) - len(said)
    more = (Remark("", f"{left_out} more policies in shadow mode are left out."),) if left_out else ()
    return (*said, *more), tuple(kept)


def few_meters(meters: Sequence[Meter]) -> tuple[Meter, ...]:
    """Return the meters that only policies in shadow mode ask for; of very many the first."""
    kept = list(meters[:SHADOW_METERS_MAX])
    while _bytes(kept) > SHADOW_BYTES_MAX:
        kept.pop()
    return tuple(kept)


def too_many_windows(policies: Sequence[tuple[str, Policy]]) -> Iterator[tuple[str, str]]:
    """Yield (name, message) for each policy with which more windows are measured than a call can write into."""
    meters: set[Meter] = set()
    for name, policy in policies:
        before = len(meters)
        meters.update(policy.meters() if policy.mode == "enforce" else ())
        if before < len(meters) > METERS_MAX:
            yield name, f"With it the policies measure {len(meters)} different windows; {METERS_MAX} are the most."


def _bytes(*parts: Sequence[msgspec.Struct]) -> int:
    return len(msgspec.json.encode(parts))
