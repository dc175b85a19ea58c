"""The official client 2.x instead of an agent: each prompt is the same call of a tool, whose text is the answer.

Speaks as `pydantic_ai_agent.py` does.
"""

import asyncio
import json
import sys
from typing import Any

from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client
from mcp.types import TextContent


async def answer_prompts(url: str, token: str, tool: str, arguments: dict[str, Any]) -> None:
    async with (
        create_mcp_http_client(headers={"Authorization": f"Bearer {token}"}) as http_client,
        Client(streamable_http_client(url, http_client=http_client)) as client,
    ):
        while await asyncio.to_thread(sys.stdin.readline):
            result = await client.call_tool(tool, arguments)
            [said] = result.content
            assert isinstance(said, TextContent)
            print(json.dumps(said.text), flush=True)


if __name__ == "__main__":
    asyncio.run(answer_prompts(*json.loads(sys.stdin.readline())))
