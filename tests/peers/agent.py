"""An agent to which a person says things: a program in `agents/`, run by the interpreter that has its framework."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple, Self

from outside.places import FRAMEWORKS

PROGRAMS = Path(__file__).parent / "agents"
INTERPRETERS = {"official": Path(sys.executable), **FRAMEWORKS}
END_SECONDS_MAX = 60  # Far above what it takes; a machine may be busy.


class Server(NamedTuple):
    """Where an agent finds its tools, as whom, and the one call that its model makes whenever it is told something."""

    url: str
    token: str
    tool: str
    arguments: dict[str, Any]


class Agent:
    """A running agent. Use as a context manager."""

    def __init__(self, framework: str, server: Server) -> None:
        command = [INTERPRETERS[framework], PROGRAMS / f"{framework}_agent.py"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self._send(server)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        errors = self._process.communicate(timeout=END_SECONDS_MAX)[1]
        assert self._process.returncode == 0, errors

    def told(self, prompt: str) -> str:
        """Tell it something; return what it says."""
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._send(prompt)
        line = self._process.stdout.readline()
        assert line, self._process.stderr.read()
        return str(json.loads(line))

    def _send(self, document: Any) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()
