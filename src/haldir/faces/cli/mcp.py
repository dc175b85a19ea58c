"""`haldir mcp`: Haldir as an MCP server that a client starts as a program."""

import sys

import click

from haldir.faces.stdio.main import serve as serve_pipes


@click.group()
def mcp() -> None:
    """Haldir as an MCP server over standard input and output."""


@mcp.command()
def serve() -> None:
    """Serve what /mcp offers over standard input and output, as the program haldir-mcp does.

    HALDIR_API_KEY is an agent key, an API key or a session token; HALDIR_BASE_URL is where Haldir listens
    [http://127.0.0.1:4253].
    """
    sys.exit(serve_pipes())
