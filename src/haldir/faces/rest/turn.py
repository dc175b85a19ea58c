"""One request's turn at an operation: it runs, and whatever comes of it becomes an answer."""

import msgspec

from haldir.faces.rest.reply import CHALLENGE, ERRORS_FROM, UNAUTHORIZED, Reply, encode, error_reply
from haldir.kernel.errors import HaldirError
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.wire import StatusResponse


class Turn(msgspec.Struct, frozen=True):
    """Who asks for which operation; no caller is a stranger who may."""

    operation: Operation
    caller: Caller | None
    request_id: str

    async def run(self, ctx: Context, request: msgspec.Struct) -> Reply:
        """Carry the operation out. Raises HaldirError."""
        return self.reply(await self.operation.run(ctx, self.caller, request))

    def reply(self, result: msgspec.Struct) -> Reply:
        if not isinstance(result, StatusResponse):
            return Reply(self.operation.status, encode(result))
        body = bytes(result.body)
        if result.status >= ERRORS_FROM:
            members = body.lstrip()[1:].lstrip()
            comma = b"" if members.startswith(b"}") else b","
            body = b'{"request_id":' + encode(self.request_id) + comma + members
        headers = (CHALLENGE,) if result.status == UNAUTHORIZED else ()
        return Reply(result.status, body, headers, final=result.final)

    def refuse(self, error: HaldirError) -> Reply:
        extras = self.operation.refusal_extras(error) if self.operation.refusal_extras else None
        return error_reply(error, self.request_id, extras)
