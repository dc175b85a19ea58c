"""What a server answered: the bytes, and what they mean."""

import http.client
import json
from typing import Any, NamedTuple


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]  # By their names in lower case.
    raw: bytes

    @property
    def body(self) -> Any:
        """The JSON that came, or None where nothing did."""
        return json.loads(self.raw) if self.raw else None

    @property
    def message(self) -> Any:
        """The JSON-RPC response, out of JSON or of the last event."""
        if self.headers.get("content-type", "").startswith("text/event-stream"):
            return self.messages[-1]
        return self.body

    @property
    def messages(self) -> list[Any]:
        """The messages of a stream of events."""
        lines = self.raw.replace(b"\r\n", b"\n").split(b"\n")
        return [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: {")]


def answer_of(response: http.client.HTTPResponse) -> Answer:
    return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
