"""A running Haldir as its clients see it, over HTTP: REST as JSON, MCP as messages, and any bytes."""

import http.client
import json
from contextlib import closing
from pathlib import Path
from typing import Any

from harness.answers import Answer, answer_of
from harness.eventually import eventually
from harness.messages import ENVELOPE, MODERN, request

ANSWER_SECONDS_MAX = 60  # Far above what any answer takes; a machine may be busy.


class Haldir:
    """Asks with the first tenant's first key where no other is given. In names of headers `_` stands for a dash."""

    def __init__(self, url: str, data: Path) -> None:
        self.url, self.data = url, data
        self.port = int(url.rpartition(":")[2])
        self.key = (data / "admin.key").read_text(encoding="utf-8").strip()

    def ask(self, method: str, path: str, body: Any = None, *, key: str | None = "", **headers: str) -> Answer:
        """Send a request; bytes go as they are, anything else as JSON. `key` None sends no credential."""
        sent = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        told = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            told["authorization"] = f"Bearer {key or self.key}"
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=ANSWER_SECONDS_MAX)) as connection:
            connection.request(method, path, sent, told)
            return answer_of(connection.getresponse())

    def get(self, path: str, *, key: str | None = "", **headers: str) -> Answer:
        return self.ask("GET", path, key=key, **headers)

    def post(self, path: str, body: Any = None, *, key: str | None = "", **headers: str) -> Answer:
        return self.ask("POST", path, body, key=key, **headers)

    def delete(self, path: str, *, key: str | None = "", **headers: str) -> Answer:
        return self.ask("DELETE", path, key=key, **headers)

    def rest(self, method: str, path: str, body: Any = None) -> Any:
        """Ask what must succeed; return the JSON of the answer."""
        answer = self.ask(method, path, body)
        assert answer.status < 300, answer
        return answer.body

    def session(self, *scopes: str, **members: Any) -> Any:
        """Open a session, with the scopes that Haldir gives where none is named; return what was answered."""
        named = {"scopes": scopes} if scopes else {}
        return self.rest("POST", "/v1/sessions", {"agent_id": "tester", **named, **members})

    def token(self, *scopes: str, **members: Any) -> str:
        """Open a session that may call every tool, or what these scopes allow; return its token."""
        token: str = self.session(*(scopes or ("execute",)), **members)["token"]
        return token

    def calls(self, state: str) -> list[Any]:
        found: list[Any] = self.rest("GET", f"/v1/calls?state={state}")["calls"]
        return found

    def calls_let_through(self, session: Any) -> list[Any]:
        """Return the entries of the calls of a session that were let through."""
        entries = self.get(f"/v1/audit?session_id={session['session_id']}").body["entries"]
        return [entry for entry in entries if entry["kind"] == "call.admit" and entry["allowed"]]

    def wait_for_call(self, state: str) -> Any:
        """Return the one call that reaches a state, once it does."""
        return eventually(lambda: self.calls(state))[0]

    def rpc(self, path: str, message: Any, token: str, **headers: str) -> Answer:
        """POST a message as an MCP client of the handshake era does, unless the headers say otherwise."""
        given = {
            "authorization": f"Bearer {token}",
            "content_type": "application/json",
            "accept": "application/json, text/event-stream",
        }
        return self.ask("POST", path, message, key=None, **(given | headers))

    def ask_modern(self, path: str, method: str, params: dict[str, Any], token: str, **headers: str) -> Answer:
        """POST a request of 2026-07-28, with its envelope and the headers that repeat it."""
        named = {"mcp_name": params["name"]} if "name" in params else {}
        message = request(method, {**params, "_meta": {**ENVELOPE, **params.get("_meta", {})}})
        told = {"mcp_protocol_version": MODERN, "mcp_method": method} | named | headers
        return self.rpc(path, message, token, **told)
