"""`haldir up` as a process of its own, the way an operator runs it."""

import http.client
import json
import os
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any, Self

SAMPLE = f"sample={sys.executable} {Path(__file__).parent / 'upstreams' / 'sample.py'}"
START_SECONDS_MAX = 60  # Far above what it takes; a machine may be busy.


class Up:
    """A running server. Use as a context manager; leaving it kills what still runs."""

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
        self.port = int(self.ready["url"].rpartition(":")[2])
        self.key = Path(self.ready["admin_key_file"]).read_text(encoding="utf-8").strip()

    def __enter__(self) -> Self:
        assert self.line, self.stderr()
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {key or self.key}"}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.request(method, path, None if body is None else json.dumps(body).encode(), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())

    def post(self, path: str, **body: Any) -> Any:
        status, answer = self.ask("POST", path, body)
        assert status < 300, answer
        return answer

    def get(self, path: str) -> Any:
        status, answer = self.ask("GET", path)
        assert status < 300, answer
        return answer

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def stderr(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()
