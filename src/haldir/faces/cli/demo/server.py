"""The Haldir of the demo: `haldir` commands as child processes, in a folder and an environment of their own."""

import asyncio
import json
import shlex
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from pathlib import Path
from typing import Any

from haldir.client import Connection
from haldir.settings import environment_without_settings

READY_SECONDS = 30  # It takes one; a slow machine may take longer, a broken one is not waited for.
STOP_SECONDS = 30
HALDIR = (sys.executable, "-m", "haldir")
BOOKSHOP = shlex.join((sys.executable, "-m", "haldir.faces.cli.demo.bookshop"))


class DemoFailed(Exception):
    """The demo could not be played to its end; the message says what went wrong."""


class Server:
    """A running `haldir up` with the bookshop behind it."""

    def __init__(self, process: Process, ready: dict[str, Any]) -> None:
        self._process = process
        self.url, self.data = str(ready["url"]), Path(ready["data"])
        self.admin = Connection(self.url, Path(ready["admin_key_file"]).read_text().strip())

    async def stop(self) -> int:
        """Send SIGTERM, as an operator would, and return the exit code."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            return await asyncio.wait_for(self._process.wait(), STOP_SECONDS)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()


async def start(data: Path) -> Server:
    """Start a server on a free port and wait until it listens."""
    log = data.with_suffix(".log")
    arguments = ("up", "--data", str(data), "--port", "0", "--upstream", f"shop={BOOKSHOP}", "--json")
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *HALDIR, *arguments, stdin=DEVNULL, stdout=PIPE, stderr=errors, env=environment_without_settings()
        )
    assert process.stdout is not None
    try:
        line = await asyncio.wait_for(process.stdout.readline(), READY_SECONDS)
    except TimeoutError:
        process.kill()
        line = b""
    if not line:  # It has ended, or is about to: to kill it now would race with asyncio for its exit code.
        await process.wait()
        said = log.read_text(errors="replace").splitlines() or ["it said nothing"]
        raise DemoFailed(f"`haldir up` did not start: {said[-1]}")
    return Server(process, json.loads(line))


async def check(data: Path) -> tuple[int, dict[str, Any]]:
    """Run `haldir fsck` on a folder; return its exit code and report."""
    process = await asyncio.create_subprocess_exec(
        *HALDIR, "fsck", "--data", str(data), "--json", stdin=DEVNULL, stdout=PIPE, env=environment_without_settings()
    )
    out, _ = await process.communicate()
    try:
        report = json.loads(out)
    except ValueError:
        raise DemoFailed(f"`haldir fsck` said nothing that can be read (exit {process.returncode}).") from None
    assert process.returncode is not None
    return process.returncode, report
