"""FastMCP's proxy in front of an HTTP upstream: `fastmcp_proxy.py PORT URL fresh|shared`, in its own environment.

Stateless and with JSON answers: the lighter of what it offers for HTTP. `fresh` is what its documentation sets up for
a URL: a session with the upstream for each request. `shared` hands it a connected client, for all requests: its
fastest way, of which it warns that the contexts of concurrent requests may mix.
"""

import asyncio
import sys

from fastmcp import Client
from fastmcp.server import create_proxy


async def main(port: int, url: str, sessions: str) -> None:
    options = {"host": "127.0.0.1", "port": port, "stateless_http": True, "json_response": True}
    quiet = {"show_banner": False, "log_level": "error", "uvicorn_config": {"access_log": False}}
    if sessions == "shared":
        async with Client(url) as client:
            await create_proxy(client, name="bench").run_http_async(**options, **quiet)
    else:
        await create_proxy(url, name="bench").run_http_async(**options, **quiet)


asyncio.run(main(int(sys.argv[1]), *sys.argv[2:]))
