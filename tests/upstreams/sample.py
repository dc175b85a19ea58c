"""A real MCP server: `python sample.py` speaks stdio; `app()` is the same over Streamable HTTP."""

import asyncio
import os
import sys
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel, Field
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send


class Confirmation(BaseModel):
    sure: bool


def server() -> MCPServer:
    sample = MCPServer("sample", version="1.0")
    add_plain_tools(sample)
    add_odd_tools(sample)

    @sample.resource("note://one")
    def note() -> str:
        return "a note"

    @sample.resource("note://{book}/page/{number}")
    def page(book: str, number: str) -> str:
        return f"page {number} of {book}"

    @sample.prompt()
    def greet(name: str) -> str:
        return f"Hello {name}"

    return sample


def add_plain_tools(sample: MCPServer) -> None:
    @sample.tool()
    def add(a: int, b: int) -> int:
        """Add two numbers."""
        return a + b

    @sample.tool()
    def echo(text: str, amount: float | None = None) -> str:
        """Say the same again."""
        return text if amount is None else f"{text} for {amount}"

    @sample.tool()
    def fail(reason: str) -> str:
        """Report an error."""
        raise ToolError(reason)

    @sample.tool()
    async def count(ctx: Context, steps: int, pause_seconds: float = 0.0) -> str:
        """Count with progress."""
        for step in range(1, steps + 1):
            await ctx.report_progress(step, steps, f"step {step}")
            await asyncio.sleep(pause_seconds)
        return f"counted to {steps}"


def add_odd_tools(sample: MCPServer) -> None:
    @sample.tool()
    async def ask(ctx: Context) -> str:
        """Ask the client whether it is sure (handshake era only)."""
        answer = await ctx.elicit("Are you sure?", Confirmation)
        return f"{answer.action}"

    @sample.tool()
    def environment(name: str) -> str:
        """Tell one variable of this process."""
        return os.environ.get(name, "(unset)")

    @sample.tool()
    def crash() -> str:
        """End the process."""
        os._exit(3)

    @sample.tool()
    def routed(region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})]) -> str:
        """Repeat an argument in a header."""
        return region


class Recorder:
    """Wraps an app and remembers the headers of every request."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.seen: list[dict[str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            self.seen.append({name.decode(): value.decode() for name, value in scope["headers"]})
        await self._app(scope, receive, send)


def app(*, json_response: bool = False, stateless: bool = False) -> Starlette:
    return server().streamable_http_app(json_response=json_response, stateless_http=stateless)


if __name__ == "__main__":
    server().run(transport="stdio")
    sys.exit(0)
