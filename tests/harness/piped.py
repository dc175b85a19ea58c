"""`haldir-mcp` as an MCP client starts it: a program with pipes, and lines in both directions."""

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self

from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

PROGRAM = str(Path(sys.executable).parent / "haldir-mcp")
ANSWER_SECONDS_MAX = 60  # Far above what any answer takes; a machine may be busy.


class Piped:
    """A running bridge. Use as a context manager; leaving it kills what still runs."""

    def __init__(self, url: str, credential: str | None, *command: str) -> None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("HALDIR_")}
        key = {"HALDIR_API_KEY": credential} if credential is not None else {}
        self.process = subprocess.Popen(
            command or (PROGRAM,),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**clean, "HALDIR_BASE_URL": url, **key},
        )
        self._lines: queue.Queue[bytes] = queue.Queue()
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        for stream in (self.process.stdin, self.process.stderr):
            if stream is not None:
                stream.close()
        self._reading.join()

    def send(self, message: Any) -> None:
        """Send a message; bytes go as they are."""
        assert self.process.stdin is not None
        line = message if isinstance(message, bytes) else json.dumps(message).encode()
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def line(self) -> bytes:
        """Return the next line as it came."""
        return self._lines.get(timeout=ANSWER_SECONDS_MAX)

    def receive(self) -> Any:
        return json.loads(self.line())

    def ask(self, message: Any) -> Any:
        """Send a request and return the line that comes next."""
        self.send(message)
        return self.receive()

    def end(self) -> tuple[int, list[Any], str]:
        """Close its input; return how it ended, what else it said, and what it told people."""
        assert self.process.stdin is not None
        assert self.process.stderr is not None
        self.process.stdin.close()
        code = self.process.wait(ANSWER_SECONDS_MAX)
        self._reading.join()
        left = [json.loads(self._lines.get()) for _ in range(self._lines.qsize())]
        return code, left, self.process.stderr.read().decode()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self._lines.put(line)


def started_client(url: str, credential: str, mode: str, **options: Any) -> AbstractAsyncContextManager[Client]:
    """Return the official client, with the program started as its configuration says."""
    environment = {"HALDIR_API_KEY": credential, "HALDIR_BASE_URL": url}
    return Client(stdio_client(StdioServerParameters(command=PROGRAM, env=environment)), mode=mode, **options)
