"""The program `haldir-mcp`: finds Haldir by the environment, and serves its pipes until they are closed."""

import sys
from collections.abc import Iterator
from typing import BinaryIO

from haldir.faces.stdio.bridge import KEY_HINT, START_HINT, Bridge
from haldir.faces.stdio.output import Complaints, Output
from haldir.faces.stdio.post import Address
from haldir.settings import HOST, PORT, load_client

LINE_BYTES_MAX = 4 << 20  # As much as `/mcp` takes in one message.
WRONG_SETTING = 2
INTERRUPTED = 130  # As a shell says of a program that was ended by SIGINT.
USAGE = """\
usage: haldir-mcp

Speaks MCP over standard input and output with the Haldir that listens at HALDIR_BASE_URL
[http://127.0.0.1:4253], as HALDIR_API_KEY: an agent key, an API key or a session token.
It is meant to be started by an MCP client."""


def main() -> None:
    """Serve standard input and output, and exit."""
    if sys.argv[1:]:
        sys.exit(_usage(sys.argv[1:]))
    sys.exit(serve())


def serve() -> int:
    """Serve standard input and output until they are closed; return the exit code."""
    settings, complaints = load_client(), Complaints()
    if settings.api_key is None:
        complaints.say(f"HALDIR_API_KEY is not set. {KEY_HINT}")
        return WRONG_SETTING
    try:
        address = Address(settings.base_url or f"http://{HOST}:{PORT}", settings.api_key)
    except ValueError as error:
        complaints.say(f"HALDIR_BASE_URL cannot be used: {error}. {START_HINT}")
        return WRONG_SETTING
    try:
        Bridge(address, Output(sys.stdout.fileno()), complaints).serve(_lines(sys.stdin.buffer))
    except KeyboardInterrupt:
        return INTERRUPTED
    return 0


def _usage(arguments: list[str]) -> int:
    asked = arguments in (["--help"], ["-h"])
    (sys.stdout if asked else sys.stderr).write(f"{USAGE}\n")
    return 0 if asked else WRONG_SETTING


def _lines(source: BinaryIO) -> Iterator[bytes | None]:
    """Yield the lines as they come, None for each that is too long to be a message."""
    while line := source.readline(LINE_BYTES_MAX + 1):
        if len(line) <= LINE_BYTES_MAX:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = source.readline(LINE_BYTES_MAX)
        yield None
