"""One request as it came: strict before any meaning is read, so that no upstream can read it differently."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Literal, TypeVar

import msgspec
from msgspec import Raw
from starlette.types import Receive

from haldir.faces.mcp.bridged import is_bridged
from haldir.faces.mcp.faults import NO_ID, RpcFault
from haldir.kernel import strict_json
from haldir.kernel.strict_json import Malformed, Number
from haldir.proxy.era import CAPABILITIES_KEY, HANDSHAKE_VERSIONS, VERSION_KEY
from haldir.proxy.exchange import EVENT_STREAM, VERSION_HEADER
from haldir.proxy.message import INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR, PROGRESS, MessageId

T = TypeVar("T")

ENVELOPE = frozenset({"jsonrpc", "id", "method", "params", "result", "error"})
GOVERNED_PARAMS = frozenset({"name", "arguments", "_meta"})
NOTIFICATIONS = "notifications/"
ID_CHARS_MAX = 256  # Ids are kept while a request is open; no client needs longer ones.


class CallerLeft(Exception):
    """The client closed its response stream: where `ends_by_leaving`, that is how a call is cancelled."""


class Inbound(msgspec.Struct, frozen=True):
    """A POSTed message, with the tree of its params and the bytes it came in."""

    kind: Literal["request", "notification", "response"]
    body: bytes
    id: MessageId
    id_raw: Raw
    method: str
    params: dict[str, Any]
    is_modern: bool
    headers: dict[str, str]
    receive: Receive

    @property
    def ends_by_leaving(self) -> bool:
        """Tell whether its client cancels it by closing the connection; others may come back for the answer."""
        return self.is_modern or is_bridged(self.headers)

    @property
    def takes_stream(self) -> bool:
        """Tell whether its client takes a stream of events for an answer."""
        return EVENT_STREAM in self.headers.get("accept", "")

    @property
    def progress_token(self) -> Raw | None:
        """Return the token under which its client wants to hear of progress."""
        token = self.meta.get(PROGRESS)
        return Raw(strict_json.encode(token)) if isinstance(token, str | Number) else None

    @property
    def meta(self) -> dict[str, Any]:
        found = self.params.get("_meta")
        return found if isinstance(found, dict) else {}

    @property
    def arguments(self) -> Any:
        """Return what a tool is called with; {} where nothing is said."""
        return self.params.get("arguments", {})

    @property
    def beside(self) -> dict[str, Any]:
        """Return what else a tool call says to its tool: all but `_meta`, which is about the message."""
        return {name: value for name, value in self.params.items() if name not in {"name", "arguments", "_meta"}}

    async def unless_left(self, work: Coroutine[Any, Any, T]) -> T:
        """Await work, but stop it and raise CallerLeft once the client closes the stream."""
        task, left = asyncio.create_task(work), asyncio.create_task(has_left(self.receive))
        try:
            await asyncio.wait({task, left}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise CallerLeft
            return task.result()
        finally:
            left.cancel()
            if not task.done():
                task.cancel()
                await asyncio.wait({task})


async def has_left(receive: Receive) -> None:
    """Return once the client is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass


def parse(body: bytes, headers: dict[str, str], receive: Receive) -> Inbound:
    """Read one message. Raises RpcFault."""
    try:
        tree = strict_json.decode(body)
    except Malformed as error:
        raise RpcFault(400, PARSE_ERROR, f"Parse error: {error.reason}", _field(error.field)) from None
    if not isinstance(tree, dict):
        raise RpcFault(400, INVALID_REQUEST, "The body must be one JSON-RPC message; batches are not accepted.")
    _check_names(tree, ENVELOPE)
    if tree.get("jsonrpc") != "2.0":
        raise RpcFault(400, INVALID_REQUEST, 'A message has "jsonrpc": "2.0".')
    params = tree.get("params", {})
    if not isinstance(params, dict):
        raise RpcFault(400, INVALID_REQUEST, "`params` must be an object.")
    kind = _kind(tree)
    if tree.get("method") == "tools/call":
        _check_call(params)
    version = headers.get(VERSION_HEADER)
    return Inbound(
        kind=kind,
        body=body,
        id=_id(tree) if kind == "request" else None,
        id_raw=_id_raw(tree) if kind == "request" else NO_ID,
        method=tree.get("method", ""),
        params=params,
        is_modern=_is_modern(version, tree.get("method"), params),
        headers=headers,
        receive=receive,
    )


def _kind(tree: dict[str, Any]) -> Literal["request", "notification", "response"]:
    answers = ("result" in tree) + ("error" in tree)
    if "method" not in tree:
        if answers == 1 and "id" in tree:
            return "response"
        raise RpcFault(400, INVALID_REQUEST, "A message is a request, a notification or a response.")
    if answers or not isinstance(tree["method"], str):
        raise RpcFault(400, INVALID_REQUEST, "A message is a request, a notification or a response.")
    if "id" not in tree:
        if not tree["method"].startswith(NOTIFICATIONS):
            # An upstream that acts on it all the same would act ungoverned.
            raise RpcFault(400, INVALID_REQUEST, f"A request has an `id`; only {NOTIFICATIONS}* come without.")
        return "notification"
    _id(tree)
    return "request"


def _id(tree: dict[str, Any]) -> MessageId:
    match tree["id"]:
        case str() as text if len(text) <= ID_CHARS_MAX:
            return text
        case Number(text=text) if len(text) <= ID_CHARS_MAX and text.removeprefix("-").isdigit():
            return int(text)
    raise RpcFault(400, INVALID_REQUEST, f"`id` must be an integer or a string of at most {ID_CHARS_MAX} characters.")


def _id_raw(tree: dict[str, Any]) -> Raw:
    return Raw(strict_json.encode(tree["id"]))


def _check_names(members: dict[str, Any], governed: frozenset[str]) -> None:
    """Refuse a member that differs from a governed one only by case: some readers would take it for that."""
    for name in members:
        if name not in governed and name.casefold() in governed:
            raise RpcFault(400, INVALID_REQUEST, f"The member {name!r} differs from a known one only by case.")


def _check_call(params: dict[str, Any]) -> None:
    _check_names(params, GOVERNED_PARAMS)
    name = params.get("name")
    if not isinstance(name, str) or not name:
        raise RpcFault(400, INVALID_PARAMS, "`params.name` must be the name of a tool.", _field("name"))
    if not isinstance(params.get("arguments", {}), dict):
        raise RpcFault(400, INVALID_PARAMS, "`params.arguments` must be an object.", _field("arguments"))
    if not isinstance(params.get("_meta", {}), dict):
        raise RpcFault(400, INVALID_PARAMS, "`params._meta` must be an object.", _field("_meta"))


def _is_modern(version: str | None, method: object, params: dict[str, Any]) -> bool:
    """The request itself tells its era: by its version header, or by the envelope in its params."""
    if version is not None and version not in HANDSHAKE_VERSIONS:
        return True
    meta = params.get("_meta")
    return method != "initialize" and isinstance(meta, dict) and VERSION_KEY in meta and CAPABILITIES_KEY in meta


def _field(name: str | None) -> dict[str, str] | None:
    return {"field": name} if name else None
