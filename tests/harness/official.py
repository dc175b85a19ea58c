"""The official MCP client, in front of a Haldir."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcp.client.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared._httpx_utils import create_mcp_http_client

from harness.haldir import Haldir


@asynccontextmanager
async def official_client(
    haldir: Haldir, path: str, token: str, mode: str = "auto", **options: Any
) -> AsyncIterator[Client]:
    """`legacy` shakes hands, `auto` tries 2026-07-28 first."""
    async with create_mcp_http_client(headers={"Authorization": f"Bearer {token}"}) as http_client:
        transport = streamable_http_client(f"{haldir.url}{path}", http_client=http_client)
        async with Client(transport, mode=mode, **options) as client:
            yield client
