"""What a process holds, as Linux tells it."""

from pathlib import Path
from typing import NamedTuple

KIBIBYTE = 1 << 10


class Footprint(NamedTuple):
    """`descriptors` are open files and sockets; `children` are processes, ended ones that nobody waited for too."""

    resident_bytes: int
    descriptors: int
    children: int
    threads: int


def footprint(pid: int) -> Footprint:
    process = Path("/proc") / str(pid)
    status = dict(line.split(":", 1) for line in (process / "status").read_text(encoding="utf-8").splitlines())
    tasks = list((process / "task").iterdir())
    children = [child for task in tasks for child in (task / "children").read_text(encoding="utf-8").split()]
    resident_bytes = int(status["VmRSS"].split()[0]) * KIBIBYTE
    return Footprint(resident_bytes, len(list((process / "fd").iterdir())), len(children), len(tasks))
