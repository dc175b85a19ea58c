"""One message of the client on its way to `/mcp` and back."""

from typing import final

from msgspec import UNSET, Raw

from haldir.faces.stdio.message import ClientMessage
from haldir.faces.stdio.output import Output
from haldir.faces.stdio.post import Address, NotReached, Post
from haldir.faces.stdio.repeated import Repeated, wants_headers
from haldir.proxy import message as rpc


@final
class Errand:
    """What comes back on the way goes straight to the client; the answer is what `run` returns."""

    def __init__(self, message: ClientMessage, address: Address, repeated: Repeated, output: Output) -> None:
        self.message, self.cancelled, self.status = message, False, 0
        self._address, self._repeated, self._output = address, repeated, output
        self._post: Post | None = None
        self._answer: bytes | None = None

    def run(self, agreed: str | None) -> bytes | None:
        """Return the answer, if any came. Raises NotReached, or UpstreamError for what is no message."""
        self._send(agreed)
        if self._answer is not None and self.message.is_modern_call and wants_headers(self._answer):
            self._repeated.learn(self.message)
            self._send(agreed)
        if self._answer is None and self._post is not None and self._post.streamed:
            raise NotReached("Its answer broke off.", sent=True)
        return self._answer

    def cancel(self) -> None:
        """End it, from any thread: whatever still comes back is not wanted."""
        self.cancelled = True
        if self._post is not None:
            self._post.cancel()

    def _send(self, agreed: str | None) -> None:
        self._answer = None
        headers = self.message.headers(agreed) | self._repeated.headers(self.message)
        self._post = Post(self._address, self.message.body, headers)
        if self.cancelled:
            self._post.cancel()
        self.status = self._post.run(self._hear)

    def _hear(self, data: bytes) -> None:
        said = rpc.read(data)
        if self.message.id_raw is UNSET or not said.answers(self.message.id):
            if said.method is not UNSET and not self.cancelled:
                self._output.write(data)
        else:
            self._answer = data if said.id == self.message.id else _with_id(data, self.message.id_raw)


def _with_id(answer: bytes, request_id: Raw) -> bytes:
    """Return an error that came without an id, for it was decided before anyone read the message, with its id."""
    return rpc.build(rpc.members(answer) | {"id": request_id})
