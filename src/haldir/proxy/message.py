"""JSON-RPC messages, read only as far as routing needs; every member nobody asked about stays as it was."""

from collections.abc import Mapping
from typing import Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from haldir.kernel.errors import UpstreamError
from haldir.proxy.spans import spans_of

Members = dict[str, Raw]
MessageId = int | str | float | None
SettledState = Literal["posted", "voided"]

UNSUPPORTED_VERSION = -32022
HEADER_MISMATCH = -32020
RESOURCE_NOT_FOUND = -32002  # Till 2025-11-25; since then INVALID_PARAMS.
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INVALID_REQUEST = -32600
PARSE_ERROR = -32700
STATUS_BY_CODE = {
    PARSE_ERROR: 400,
    INVALID_REQUEST: 400,
    INVALID_PARAMS: 400,
    HEADER_MISMATCH: 400,
    -32021: 400,  # A capability the client lacks.
    UNSUPPORTED_VERSION: 400,
    METHOD_NOT_FOUND: 404,
}

PROGRESS = "progressToken"
SUBSCRIPTION_ID = "io.modelcontextprotocol/subscriptionId"


class Message(msgspec.Struct, frozen=True):
    """The members that tell a request, a notification and a response apart."""

    id: MessageId | UnsetType = UNSET
    method: str | UnsetType = UNSET
    result: Raw | UnsetType = UNSET
    error: Raw | UnsetType = UNSET

    @property
    def is_response(self) -> bool:
        return self.method is UNSET and (self.result is not UNSET or self.error is not UNSET)

    @property
    def is_request(self) -> bool:
        return self.method is not UNSET and self.id is not UNSET

    def answers(self, request_id: MessageId) -> bool:
        """Tell whether this ends the request; an error may come without an id when it could not be read."""
        if not self.is_response:
            return False
        return _same(self.id, request_id) or (self.error is not UNSET and self.id in (None, UNSET))

    def is_result_of_another(self, request_id: MessageId) -> bool:
        """Tell whether it brings a result, but not that of this request."""
        return self.result is not UNSET and not self.answers(request_id)


class _ToolResult(msgspec.Struct, rename="camel"):
    is_error: bool = False
    result_type: str = "complete"


class _RpcError(msgspec.Struct):
    code: int
    message: str


class Ending(msgspec.Struct, frozen=True):
    """How a tool call ended, as far as money is concerned, and in a word why."""

    state: SettledState
    error: str = ""


_read = msgspec.json.Decoder(Message).decode
_members = msgspec.json.Decoder(Members).decode
_result = msgspec.json.Decoder(_ToolResult).decode
_error = msgspec.json.Decoder(_RpcError).decode
_encode = msgspec.json.Encoder().encode


def read(message: bytes) -> Message:
    """Read a message that came from an upstream, which may have sent anything."""
    try:
        return _read(message)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise garbage() from None


def is_answer(body: bytes, request_id: MessageId) -> bool:
    """Tell whether a body, which may be anything, ends the request: what HTTP servers call an error may be none."""
    try:
        message = read(body)
    except UpstreamError:
        return False
    return message.answers(request_id) and (message.error is UNSET or _is_error(message.error))


def is_result_of_another(body: bytes, request_id: MessageId) -> bool:
    """Tell whether a body, which may be anything, brings the result of another request."""
    try:
        return read(body).is_result_of_another(request_id)
    except UpstreamError:
        return False


def members(encoded: bytes | Raw) -> Members:
    """Return the members of a JSON object, each as it was written."""
    try:
        return _members(encoded)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise garbage() from None


def strict_members(encoded: bytes | Raw) -> Members:
    """Return the members of an object in which none stands twice: whoever else reads it finds the same."""
    found = members(encoded)
    spans_of(bytes(encoded), found)
    return found


def ending_of(answer: bytes) -> Ending:
    """Judge the response to a tools/call: only a success is paid for.

    Raises UpstreamError for what is none, or would be taken for another ending by another reader.
    """
    try:
        answer.decode()
        parts = strict_members(answer)
        if ("result" in parts) == ("error" in parts):
            raise garbage()
        if "error" in parts:
            strict_members(parts["error"])
            if not _is_error(parts["error"]):
                raise garbage()
            return Ending("voided", "rpc_error")
        strict_members(parts["result"])
        result = _result(parts["result"])
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        raise garbage() from None
    if result.is_error:
        return Ending("voided", "tool_error")
    return Ending("voided", "input_required") if result.result_type == "input_required" else Ending("posted")


def _is_error(encoded: Raw) -> bool:
    try:
        _error(encoded)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


class _Error(msgspec.Struct):
    code: int = 0


def error_code(error: Raw) -> int:
    """Return the code of a JSON-RPC error; 0 if it has none."""
    try:
        return msgspec.json.decode(error, type=_Error).code
    except (msgspec.MsgspecError, RecursionError):
        return 0


def http_status(error: Raw) -> int:
    """Return the status under which 2026-07-28 sends this error."""
    return STATUS_BY_CODE.get(error_code(error), 200)


def garbage() -> UpstreamError:
    return UpstreamError("The upstream sent something that is not an MCP message.", sent=True)


def raw(value: object) -> Raw:
    """Encode a value as a member."""
    return Raw(_encode(value))


def build(parts: Mapping[str, Raw]) -> bytes:
    """Encode an object from its members."""
    return _encode(parts)


def request(request_id: int, method: str, params: Mapping[str, Raw]) -> bytes:
    """Return a request of ours."""
    return _encode({"jsonrpc": "2.0", "id": request_id, "method": method, "params": params})


def notification(method: str, params: Mapping[str, Raw] | None = None) -> bytes:
    return _encode({"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})})


def response(request_id: Raw, result: Raw) -> bytes:
    return _encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def with_meta(params: Members, changes: Mapping[str, Raw | None]) -> Members:
    """Return params whose `_meta` has these members; None takes one away, and an empty `_meta` goes."""
    meta = members(params["_meta"]) if "_meta" in params else {}
    for name, value in changes.items():
        if value is None:
            meta.pop(name, None)
        else:
            meta[name] = value
    kept = {name: value for name, value in params.items() if name != "_meta"}
    return kept | {"_meta": Raw(build(meta))} if meta else kept


def progress_token(params: Members) -> Raw | None:
    """Return the token under which a caller wants to hear of progress."""
    return members(params["_meta"]).get(PROGRESS) if "_meta" in params else None


def _same(one: MessageId | UnsetType, other: MessageId) -> bool:
    return one == other and isinstance(one, str) == isinstance(other, str)
