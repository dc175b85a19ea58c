"""Asks an MCP server what standard input says, with whichever official client stands in this interpreter.

Run by the interpreter of the 1.x client: `old_client.py < {"url": …, "token": …, "steps": [[method, argument…], …]}`.
"""

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client


async def ask(url: str, token: str, steps: list[list[Any]]) -> list[Any]:
    """Return the results, as they would stand on the wire."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        create_mcp_http_client(headers=headers) as http_client,
        streamable_http_client(url, http_client=http_client) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        results = [await getattr(session, method)(*arguments) for method, *arguments in steps]
    return [result.model_dump(mode="json", by_alias=True, exclude_none=True) for result in results]


if __name__ == "__main__":
    json.dump(asyncio.run(ask(**json.load(sys.stdin))), sys.stdout)
