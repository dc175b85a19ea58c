"""What goes wrong at this face, as JSON-RPC and HTTP tell it."""

from typing import Any

import msgspec
from msgspec import Raw

from haldir.kernel.errors import (
    HaldirError,
    InvalidRequest,
    Overloaded,
    PayloadTooLarge,
    Refused,
    Unauthenticated,
    Unavailable,
    UpstreamError,
)
from haldir.proxy.message import INVALID_PARAMS, INVALID_REQUEST

# JSON-RPC leaves -32000 to -32019 to implementations (MCP 2026-07-28); -32002 was used by older revisions.
UNAUTHENTICATED = -32001
REFUSED = -32003
UNAVAILABLE = -32004
UPSTREAM = -32005
INTERNAL = -32603
NO_ID = Raw(b"null")
UNAUTHORIZED, FORBIDDEN = 401, 403

Header = tuple[bytes, bytes]


class RpcFault(HaldirError):
    """A message that is not as JSON-RPC, MCP or HTTP ask."""

    code = "invalid_request"

    def __init__(self, http_status: int, rpc_code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.http_status, self.rpc_code, self.data = http_status, rpc_code, data


class Fault(msgspec.Struct, frozen=True):
    """A fault as it goes out."""

    status: int
    body: bytes
    headers: tuple[Header, ...] = ()


def fault_of(error: HaldirError, request_id: Raw) -> Fault:
    """Render an error as HTTP status and JSON-RPC error."""
    match error:
        case RpcFault():
            return Fault(error.http_status, rpc_error(request_id, error.rpc_code, error.message, error.data))
        case Refused():
            code = UNAUTHENTICATED if error.status == UNAUTHORIZED else REFUSED
            data = {"code": error.code, "hint": error.hint, "blocked_by": "haldir"}
            return Fault(error.status, rpc_error(request_id, code, error.message, data), _challenge(error.status))
        case _:
            data = {"code": error.code} | ({"hint": error.hint} if error.hint else {})
            body = rpc_error(request_id, _rpc_code(error), error.message, data)
            return Fault(error.status, body, (*_challenge(error.status), *_patience(error)))


def rpc_error(request_id: Raw, code: int, message: str, data: object = None) -> bytes:
    error = {"code": code, "message": message} | ({"data": data} if data is not None else {})
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "error": error})


def tool_answer(request_id: Raw, said: dict[str, Any], *, modern: bool, failed: bool = True) -> bytes:
    """Return the result of a tool that did not run, or not well: a machine reads it as JSON in its text."""
    content = [{"type": "text", "text": msgspec.json.encode(said).decode()}]
    result = {"content": content, "isError": failed} | ({"resultType": "complete"} if modern else {})
    return msgspec.json.encode({"jsonrpc": "2.0", "id": request_id, "result": result})


def _rpc_code(error: HaldirError) -> int:
    match error:
        case Unauthenticated():
            return UNAUTHENTICATED
        case InvalidRequest():
            return INVALID_PARAMS
        case Unavailable():
            return UNAVAILABLE
        case UpstreamError():
            return UPSTREAM
        case PayloadTooLarge():
            return INVALID_REQUEST
        case _:
            return REFUSED if error.status == FORBIDDEN else INTERNAL


def _challenge(status: int) -> tuple[Header, ...]:
    return ((b"www-authenticate", b'Bearer realm="haldir"'),) if status == UNAUTHORIZED else ()


def _patience(error: HaldirError) -> tuple[Header, ...]:
    seconds = error.retry_after_seconds if isinstance(error, Unavailable | Overloaded) else None
    return ((b"retry-after", str(seconds).encode()),) if seconds is not None else ()
