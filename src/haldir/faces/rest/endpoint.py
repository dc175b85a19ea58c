"""One path of the catalogue: from bytes to the operation's request struct, and from its response to bytes."""

import re
from typing import Any
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope, Send

from haldir.faces.body import discard_body, read_body
from haldir.faces.rest.idempotency import name_of, named, once
from haldir.faces.rest.json_body import BODY_BYTES_MAX, STRANGERS_BODY_BYTES_MAX, json_object
from haldir.faces.rest.reply import Reply, error_reply, exchange_of
from haldir.faces.rest.request_rate import RequestRate
from haldir.faces.rest.stream import Stream
from haldir.faces.rest.turn import Turn
from haldir.kernel.errors import HaldirError, InvalidRequest, MethodNotAllowed
from haldir.operations.authenticate import authenticate, authorize
from haldir.operations.caller import Caller
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.download import Download
from haldir.operations.wire import decode_request

QUERY_FIELDS_MAX = 64  # Far more than any operation has.

_BEARER = re.compile(r"\s*bearer\s+", re.IGNORECASE)


class Endpoint:
    """All operations of one path, by method."""

    def __init__(
        self, ctx: Context, operations: dict[str, Operation], rate: RequestRate | None, body_seconds_max: float
    ) -> None:
        self._ctx, self._operations, self._rate, self._body_seconds_max = ctx, operations, rate, body_seconds_max
        self._methods = ", ".join(sorted({*operations, "OPTIONS"} | ({"HEAD"} if "GET" in operations else set())))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = "GET" if scope["method"] == "HEAD" else scope["method"]
        operation = self._operations.get(method)
        if operation is not None:
            reply: Reply | Stream = await self._answer(operation, scope, receive)
        else:
            reply = method_reply(scope, self._methods)
        await reply.send(send)

    async def _answer(self, operation: Operation, scope: Scope, receive: Receive) -> Reply | Stream:
        exchange = exchange_of(scope)
        try:
            query = _query(scope["query_string"])
            caller = await self._admit(operation, scope, query)
        except HaldirError as error:
            await discard_body(receive, self._body_seconds_max)
            return error_reply(error, exchange.request_id)
        # Only now, for a body takes memory.
        bytes_max = BODY_BYTES_MAX if caller else STRANGERS_BODY_BYTES_MAX
        body = await read_body(receive, self._body_seconds_max, bytes_max)
        turn = Turn(operation, caller, exchange.request_id)
        try:
            members = json_object(body) if operation.has_body else {}
            request = _request(operation, members, query, scope["path_params"])
            name = name_of(scope["headers"]) if operation.repeatable else None
            if name is None:
                result = await operation.run(self._ctx, caller, request)
                if isinstance(result, Download):
                    return Stream(result, receive, head_only=scope["method"] == "HEAD")
                return turn.reply(result)
            return await once(self._ctx, turn, request, named(name, scope["path"], caller, members, query))
        except HaldirError as error:
            return turn.refuse(error)

    async def _admit(self, operation: Operation, scope: Scope, query: dict[str, str]) -> Caller | None:
        """Return who asks, once it is clear that they may ask this; None is a stranger who may."""
        bearer, session_id = credentials_of(scope)
        if bearer is None and operation.anonymous:
            return None
        if session_id is None and "session_id" not in operation.request.__struct_fields__:
            session_id = query.get("session_id")
        caller = await authenticate(self._ctx, bearer, session_id)
        if self._rate is not None:
            exchange_of(scope).headers += self._rate.take(caller)
            self._rate.check(caller)
        return await authorize(self._ctx, caller, operation)


def method_reply(scope: Scope, methods: str) -> Reply:
    """Answer OPTIONS, or say which methods there are."""
    allow = (b"allow", methods.encode())
    if scope["method"] == "OPTIONS":
        return Reply(200, b"{}", (allow,))
    refusal = MethodNotAllowed(f"{scope['method']} does not work here; {methods} do.")
    reply = error_reply(refusal, exchange_of(scope).request_id)
    return msgspec.structs.replace(reply, headers=(*reply.headers, allow))


def credentials_of(scope: Scope) -> tuple[str | None, str | None]:
    """Return the credential that was presented, and the session it is to act in."""
    authorization = api_key = session_id = None
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = _BEARER.sub("", value.decode("latin-1"), count=1).strip()
        elif name == b"x-api-key":
            api_key = value.decode("latin-1").strip()
        elif name == b"x-session-id":
            session_id = value.decode("latin-1").strip()
    return authorization or api_key or None, session_id or None


def _query(raw: bytes) -> dict[str, str]:
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
    except ValueError:
        raise InvalidRequest(f"the query has more than {QUERY_FIELDS_MAX} fields") from None
    query = dict(pairs)
    if len(query) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise InvalidRequest(f"`{twice}` stands twice in the query", twice)
    return query


def _request(
    operation: Operation, members: dict[str, Any], query: dict[str, str], path: dict[str, Any]
) -> msgspec.Struct:
    if operation.has_body:
        query = {name: query[name] for name in operation.from_query if name in query}
    return decode_request(operation.request, members, {**query, **path})
