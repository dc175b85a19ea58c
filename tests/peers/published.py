"""The published distribution `haldir` 0.4.2 as others have it: its clients and its programs, in their own environment."""

import json
import os
import subprocess
from pathlib import Path
from typing import Any, NamedTuple, Self

from harness.haldir import Haldir
from outside.places import PUBLISHED, PUBLISHED_PYTHON

SCRIPT = Path(__file__).parent / "published_client.py"
PROGRAM_SECONDS_MAX = 60  # Far above what it takes; a machine may be busy.


class Refused(NamedTuple):
    """What the client raised: the name of its class, the status, and what the server called it."""

    error: str
    status: int = 0
    code: str | None = None


class Published:
    """A client, called by the names of its methods. Use as a context manager.

    `names` are its methods, `called` those that have been called, with any result.
    """

    def __init__(self, haldir: Haldir, door: str = "sync", key: str = "") -> None:
        self._process = subprocess.Popen(
            [PUBLISHED_PYTHON, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.names = set(self._ask([door, haldir.url, key or haldir.key]))
        self.called: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=PROGRAM_SECONDS_MAX)

    def __call__(self, name: str, *arguments: Any, **named: Any) -> Any:
        """Call what must succeed."""
        answer = self._call(name, arguments, named)
        assert "returned" in answer, answer
        return answer["returned"]

    def refused(self, name: str, *arguments: Any, **named: Any) -> Refused:
        """Call what must fail."""
        answer = self._call(name, arguments, named)
        assert "raised" in answer, answer
        return Refused(answer["raised"], answer["status"], answer["body"].get("code"))

    def _call(self, name: str, arguments: tuple[Any, ...], named: dict[str, Any]) -> Any:
        self.called.add(name)
        return self._ask([name, arguments, named])

    def _ask(self, document: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(document) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def command(haldir: Haldir, home: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Run the published command line, which finds the server by its environment."""
    return subprocess.run(
        [PUBLISHED / "haldir", *arguments],
        env=environment(haldir) | {"HOME": str(home), "PATH": os.defpath},
        cwd=home,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS_MAX,
        check=False,
    )


def environment(haldir: Haldir) -> dict[str, str]:
    return {"HALDIR_API_KEY": haldir.key, "HALDIR_BASE_URL": haldir.url}
