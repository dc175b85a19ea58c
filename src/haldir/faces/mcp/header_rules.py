"""Which headers count once, must say what the body says, and may travel in either direction."""

from collections.abc import Mapping, Sequence

from haldir.faces.mcp.faults import Header, RpcFault
from haldir.faces.mcp.inbound import Inbound
from haldir.proxy.era import (
    CAPABILITIES_KEY,
    METHOD_HEADER,
    NAME_HEADER,
    NAMED_BY,
    PARAM_PREFIX,
    VERSION_KEY,
    read_header_value,
)
from haldir.proxy.exchange import SESSION_HEADER, VERSION_HEADER
from haldir.proxy.message import HEADER_MISMATCH, INVALID_PARAMS

ONCE = frozenset(
    {
        "authorization",
        "content-type",
        "host",
        "last-event-id",
        "origin",
        "x-api-key",
        "x-session-id",
        METHOD_HEADER,
        NAME_HEADER,
        SESSION_HEADER,
        VERSION_HEADER,
    }
)
# What an upstream gets of a caller's headers, and a caller of an upstream's. Everything else stays here: the
# caller's credentials, cookies and session above all.
ONWARD = frozenset(
    {"accept", "content-type", "last-event-id", "traceparent", "tracestate", METHOD_HEADER, NAME_HEADER, VERSION_HEADER}
)
BACK = frozenset({"allow", "cache-control", "content-type", "retry-after", "x-accel-buffering", VERSION_HEADER})


def read_headers(pairs: Sequence[Header]) -> dict[str, str]:
    """Return headers by lower-case name. Raises RpcFault where two readers would take different ones."""
    found: dict[str, str] = {}
    for name_bytes, value in pairs:
        name = name_bytes.decode("latin-1")
        if name in found:
            if name in ONCE or name.startswith(PARAM_PREFIX):
                raise RpcFault(400, HEADER_MISMATCH, f"The header {name} appears more than once.")
            found[name] += f", {value.decode('latin-1')}"
        else:
            found[name] = value.decode("latin-1")
    return found


def check_against_body(inbound: Inbound) -> None:
    """Raise RpcFault unless the routing headers say what the body says; only 2026-07-28 wants them all."""
    if inbound.kind != "request":
        return
    headers = inbound.headers
    if inbound.is_modern:
        _check_envelope(inbound)
    if (inbound.is_modern or METHOD_HEADER in headers) and headers.get(METHOD_HEADER) != inbound.method:
        raise RpcFault(400, HEADER_MISMATCH, f"The header {METHOD_HEADER} does not match the body's method.")
    member = NAMED_BY.get(inbound.method)
    if member is None or not (inbound.is_modern or NAME_HEADER in headers):
        return
    name, given = inbound.params.get(member), headers.get(NAME_HEADER)
    if name is not None and (given is None or read_header_value(given) != name):
        raise RpcFault(400, HEADER_MISMATCH, f"The header {NAME_HEADER} does not match the body's {member!r}.")


def onward_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return what of a caller's headers travels to the upstream."""
    return {name: value for name, value in headers.items() if name in ONWARD or name.startswith(PARAM_PREFIX)}


def back_headers(headers: Mapping[str, str]) -> list[Header]:
    """Return what of an upstream's headers travels to the caller; its session id is sealed by who knows whose it is."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items() if name in BACK]


def _check_envelope(inbound: Inbound) -> None:
    missing = [key for key in (VERSION_KEY, CAPABILITIES_KEY) if key not in inbound.meta]
    if missing:
        raise RpcFault(400, INVALID_PARAMS, f"`params._meta` lacks {', '.join(missing)}.")
    if inbound.headers.get(VERSION_HEADER) != inbound.meta[VERSION_KEY]:
        raise RpcFault(400, HEADER_MISMATCH, f"The header {VERSION_HEADER} does not match the body's version.")
