"""A fast MCP server with one tool, as small as one can be: `python bench/upstream.py PORT`."""

import json
import sys
from typing import Any

import uvicorn

DEFINITION = {"name": "echo", "description": "Says the same again.", "inputSchema": {"type": "object"}}
RESULTS = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "bench", "version": "1"},
    },
    "tools/list": {"tools": [DEFINITION]},
    "tools/call": {"content": [{"type": "text", "text": "hello"}], "isError": False},
    "ping": {},
}


async def upstream(_scope: Any, receive: Any, send: Any) -> None:
    """Answer as a small server of the handshake era."""
    body = (await receive())["body"]
    asked = json.loads(body) if body else {}
    result = RESULTS.get(asked.get("method", ""))
    answer = {"result": result} if result is not None else {"error": {"code": -32601, "message": "no"}}
    answered = json.dumps({"jsonrpc": "2.0", "id": asked.get("id"), **answer}).encode() if "id" in asked else b""
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(answered)).encode())]
    await send({"type": "http.response.start", "status": 200 if answered else 202, "headers": headers})
    await send({"type": "http.response.body", "body": answered})


if __name__ == "__main__":
    uvicorn.run(upstream, port=int(sys.argv[1]), log_level="error", lifespan="off", access_log=False)
