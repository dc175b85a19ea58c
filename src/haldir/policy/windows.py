"""How much within a window: amounts per bucket of time, (bucket, amount) pairs, oldest first.

A window is cut into sixty buckets, none shorter than a second, so that a row stays small. What a bucket holds
may lie inside the window or just before it, so there are two sums: the most that can be inside, and the least.
"""

from haldir.kernel.clock import SECOND, Micros

Counts = tuple[tuple[int, int], ...]

BUCKETS = 60


def bucket_seconds(within_seconds: int) -> int:
    """Return how long a bucket is: that is how far off a window's edge may be."""
    return -(-within_seconds // BUCKETS)


def most_within(counts: Counts, now: Micros, within_seconds: int) -> int:
    """Return the most that can have come within the window that ends with `now`."""
    length, begins = bucket_seconds(within_seconds) * SECOND, now - within_seconds * SECOND
    return sum(amount for bucket, amount in counts if (bucket + 1) * length - 1 > begins)


def least_within(counts: Counts, now: Micros, within_seconds: int) -> int:
    """Return what has certainly come within the window that ends with `now`."""
    length, begins = bucket_seconds(within_seconds) * SECOND, now - within_seconds * SECOND
    return sum(amount for bucket, amount in counts if bucket * length > begins)


def with_more(counts: Counts, now: Micros, within_seconds: int, amount: int) -> Counts:
    """Return the counts with an amount at `now`, without the buckets that no longer matter."""
    length, begins = bucket_seconds(within_seconds) * SECOND, now - within_seconds * SECOND
    kept = tuple(pair for pair in counts if (pair[0] + 1) * length - 1 > begins)
    if kept and kept[-1][0] >= now // length:  # Or later: should a clock have stepped back, it counts for longer.
        bucket, before = kept[-1]
        return (*kept[:-1], (bucket, before + amount))
    return (*kept, (now // length, amount))
