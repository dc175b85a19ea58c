"""`haldir up` as a process of its own, the way an operator runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self

from harness.haldir import Haldir

SAMPLE = f"sample={sys.executable} {Path(__file__).parents[1] / 'upstreams' / 'sample.py'}"
START_SECONDS_MAX = 60  # Far above what it takes; a machine may be busy.
STOP_SECONDS_MAX = 60


class Up(Haldir):
    """A running server. Use as a context manager; leaving it kills what still runs.

    One that does not start has only its `code` and what it said on standard error.
    """

    def __init__(self, data: Path, *options: str, **environ: str) -> None:
        command = [sys.executable, "-m", "haldir", "up", "--data", str(data), "--port", "0", "--json", *options]
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env={**os.environ, **environ}
        )
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline().decode()
        if not self.line:
            self.code = self.process.wait(START_SECONDS_MAX)
            return
        self.ready: dict[str, str] = json.loads(self.line)
        super().__init__(self.ready["url"], Path(self.ready["data"]))

    def __enter__(self) -> Self:
        assert self.line, self.stderr()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(STOP_SECONDS_MAX)

    def stderr(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()
