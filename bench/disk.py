"""What the disk takes to make one write durable: the floor under any commit, measured in the same run."""

import os
import statistics
import time
from pathlib import Path

WRITES = 300
BLOCK = bytes(4096)
PREALLOCATED_BLOCKS = 512  # Written over and over, as SQLite does with its WAL.


def fdatasync_ms(folder: Path) -> float:
    """Return the median time of a 4 KiB write over a file's own blocks, made durable by fdatasync."""
    path = folder / "fdatasync"
    took = []
    with path.open("wb", buffering=0) as file:
        file.write(BLOCK * PREALLOCATED_BLOCKS)
        os.fsync(file.fileno())
        for number in range(WRITES):
            started = time.perf_counter()
            os.pwrite(file.fileno(), BLOCK, number % PREALLOCATED_BLOCKS * len(BLOCK))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - started)
    path.unlink()
    return statistics.median(took) * 1e3
