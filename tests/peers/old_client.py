"""Asks an MCP server what standard input says, with whichever official client stands in this interpreter.

Run by the interpreter of the 1.x client: `old_client.py < {"url": …, "token": …, "steps": [[method, argument…], …]}`,
or with `command`, `env` and perhaps `args` instead of `url` and `token` for a server that is a program.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp import ClientSession, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


async def ask(steps: list[list[Any]], **server: Any) -> list[Any]:
    """Return the results, as they would stand on the wire."""
    reached = by_pipes(**server) if "command" in server else by_http(**server)
    async with reached as (reading, writing), ClientSession(reading, writing) as session:
        await session.initialize()
        results = [await getattr(session, method)(*arguments) for method, *arguments in steps]
    return [result.model_dump(mode="json", by_alias=True, exclude_none=True) for result in results]


@asynccontextmanager
async def by_http(url: str, token: str) -> AsyncIterator[tuple[Any, Any]]:
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        create_mcp_http_client(headers=headers) as http_client,
        streamable_http_client(url, http_client=http_client) as streams,
    ):
        yield streams[0], streams[1]


@asynccontextmanager
async def by_pipes(command: str, env: dict[str, str], args: tuple[str, ...] = ()) -> AsyncIterator[tuple[Any, Any]]:
    async with stdio_client(StdioServerParameters(command=command, args=list(args), env=env)) as streams:
        yield streams[0], streams[1]


if __name__ == "__main__":
    json.dump(asyncio.run(ask(**json.load(sys.stdin))), sys.stdout)
