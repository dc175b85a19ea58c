"""An upstream's answer, put into the era of the caller, which need not be that of the upstream."""

from msgspec import UNSET, Raw

from haldir.faces.mcp.inbound import Inbound
from haldir.proxy import message as rpc
from haldir.proxy.message import Members

CACHEABLE = frozenset({"resources/read"})


def in_callers_era(answer: bytes, inbound: Inbound) -> bytes:
    """Return the answer with the caller's id, as the caller's revision has it."""
    parts = rpc.members(answer) | {"id": inbound.id_raw}
    if rpc.read(answer).result is not UNSET:
        result = rpc.members(parts["result"])
        parts["result"] = Raw(rpc.build(_modern(result, inbound) if inbound.is_modern else _before(result)))
    return rpc.build(parts)


def status_of(answer: bytes, inbound: Inbound) -> int:
    """Return the HTTP status of an answer: only 2026-07-28 tells errors by it."""
    error = rpc.read(answer).error if answer else UNSET
    return rpc.http_status(error) if inbound.is_modern and error is not UNSET else 200


def _modern(result: Members, inbound: Inbound) -> Members:
    """2026-07-28 wants a resultType, and of what was read whether it may be kept: by this caller alone."""
    kept = {"ttlMs": rpc.raw(0), **result, "cacheScope": rpc.raw("private")} if inbound.method in CACHEABLE else result
    return {"resultType": rpc.raw("complete"), **kept}


def _before(result: Members) -> Members:
    """Strict clients of earlier revisions want no resultType."""
    return {name: value for name, value in result.items() if name != "resultType"}
