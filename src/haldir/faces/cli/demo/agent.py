"""The agent of the demo: the official MCP client, pointed at Haldir and holding a session token."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import msgspec
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.exceptions import MCPError

TIMEOUT_SECONDS = 30


class Answer(msgspec.Struct, frozen=True):
    """What came back: a result, or the code of a refusal and why."""

    refusal: str
    text: str


class Agent:
    """Lists tools and calls them as any MCP client does."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def tools(self) -> list[str]:
        return sorted(tool.name for tool in (await self._client.list_tools()).tools)

    async def call(self, tool: str, arguments: dict[str, Any]) -> Answer:
        try:
            result = await self._client.call_tool(tool, arguments)
        except MCPError as error:
            return Answer(_Refusal.of(error.data).code, error.message)
        text = "\n".join(block.text for block in result.content if block.type == "text")
        if not result.is_error:
            return Answer("", text)
        refusal = _Refusal.of(text)
        return Answer(refusal.code, refusal.error or text)


class _Refusal(msgspec.Struct, frozen=True):
    """What Haldir says of a call that it refused, for a model to read and for a program."""

    code: str = "error"
    error: str = ""

    @classmethod
    def of(cls, document: Any) -> "_Refusal":
        try:
            return (
                msgspec.json.decode(document, type=cls) if isinstance(document, str) else msgspec.convert(document, cls)
            )
        except msgspec.MsgspecError:  # An error of the tool's own, which is no refusal.
            return cls()


@asynccontextmanager
async def connected(url: str, token: str) -> AsyncIterator[Agent]:
    """Connect to one upstream through Haldir."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        # No proxy of this user's environment stands between two processes of this machine.
        httpx2.AsyncClient(headers=headers, timeout=TIMEOUT_SECONDS, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        yield Agent(client)
