"""The fastest servers of the handshake era there can be, for load: an ASGI app, and a shell script over stdio.

The script takes numbers as request ids, and no white space around what it looks for but one space.
"""

import itertools
import json
from typing import Any

from starlette.types import Receive, Scope, Send

TOOLS = {"tools": [{"name": "do", "description": "Does it.", "inputSchema": {"type": "object"}}]}
RESULTS: dict[str, Any] = {
    "initialize": {
        "protocolVersion": "2025-11-25",
        "capabilities": {"tools": {}},
        "serverInfo": {"name": "tiny", "version": "1"},
    },
    "tools/list": TOOLS,
    "tools/call": {"content": [{"type": "text", "text": "ok"}], "isError": False},
}


class TinyServer:
    """Counts the sessions that are open."""

    def __init__(self) -> None:
        self.open: set[bytes] = set()
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if scope["method"] == "DELETE":
            self.open.remove(headers[b"mcp-session-id"])
            await _answer(send, 200, b"", [])
            return
        if scope["method"] == "GET":
            await _answer(send, 405, b"", [])
            return
        message = json.loads((await receive())["body"])
        session = []
        if message["method"] == "initialize":
            session_id = str(next(self._numbers)).encode()
            self.open.add(session_id)
            session = [(b"mcp-session-id", session_id)]
        if "id" not in message:
            await _answer(send, 202, b"", [])
            return
        result = RESULTS.get(message["method"])
        said = {"result": result} if result is not None else {"error": {"code": -32601, "message": "no"}}
        body = json.dumps({"jsonrpc": "2.0", "id": message["id"], **said}).encode()
        await _answer(send, 200, body, [(b"content-type", b"application/json"), *session])


async def _answer(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    sized = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": sized})
    await send({"type": "http.response.body", "body": body})


def shell_command() -> tuple[str, ...]:
    """Return the command of the server over stdio: it answers by method, with the id that stands in the request."""
    cases = "\n".join(
        f"""*'"method":"{method}"'*|*'"method": "{method}"'*) result='"result":{json.dumps(result)}' ;;"""
        for method, result in RESULTS.items()
    )
    script = f"""
while IFS= read -r line; do
  case $line in *'"id"'*) ;; *) continue ;; esac
  number=${{line#*\\"id\\":}}; number=${{number# }}; number=${{number%%[,\\}}]*}}
  case $line in
  {cases}
  *) result='"error":{{"code":-32601,"message":"no"}}' ;;
  esac
  printf '{{"jsonrpc":"2.0","id":%s,%s}}\\n' "$number" "$result"
done
"""
    return ("/bin/sh", "-c", script)
