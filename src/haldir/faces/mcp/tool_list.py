"""Answers to tools/list, cut by the byte: what the session may not use is left out, all else stays as it was."""

import re
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Raw

from haldir.kernel.errors import UpstreamError
from haldir.proxy import message as rpc
from haldir.proxy.discovery import tool_name

Span = tuple[int, int]

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BEFORE_KEY = re.compile(rb"[\s,{]*")
_BEFORE_VALUE = re.compile(rb"\s*:\s*")


def definitions_in(answer: bytes) -> list[bytes]:
    """Return the definitions in a response, without those whose name the protocol does not allow."""
    found = _tools(answer)
    return [] if found is None else [bytes(each) for each in found if tool_name(each) is not None]


def filtered(answer: bytes, may_use: Callable[[str], bool]) -> bytes:
    """Return the response without the tools that may not be used, and fit for no cache but the caller's own."""
    tools = _tools(answer)
    if tools is None:
        return answer
    result = rpc.members(answer)["result"]
    start = _spans(answer, rpc.members(answer), 0)["result"][0]
    inner = _spans(bytes(result), rpc.members(result), start)
    cuts: list[tuple[Span, bytes]] = []
    kept = [each for each in tools if (name := tool_name(each)) is not None and may_use(name)]
    if len(kept) != len(tools):
        cuts.append((inner["tools"], b"[" + b",".join(map(bytes, kept)) + b"]"))
    if "cacheScope" in inner:
        cuts.append((inner["cacheScope"], b'"private"'))
    return _spliced(answer, cuts)


def _tools(answer: bytes) -> list[Raw] | None:
    result = rpc.read(answer).result
    if result is msgspec.UNSET:
        return None
    tools = rpc.members(result).get("tools")
    if tools is None:
        return None
    try:
        return msgspec.json.decode(tools, type=list[Raw])
    except msgspec.MsgspecError:
        raise rpc.garbage() from None


def _spans(encoded: bytes, members: dict[str, Raw], offset: int) -> dict[str, Span]:
    """Return where each member's value stands. Raises UpstreamError if a member stands twice."""
    spans: dict[str, Span] = {}
    at = 0
    for name, value in members.items():
        key = _STRING.match(encoded, _after(_BEFORE_KEY, encoded, at))
        if key is None or msgspec.json.decode(key[0]) != name:
            raise UpstreamError("The upstream's answer names a member twice.", sent=True)
        start = _after(_BEFORE_VALUE, encoded, key.end())
        at = start + len(bytes(value))
        spans[name] = offset + start, offset + at
    if encoded[at:].strip() != b"}":
        raise UpstreamError("The upstream's answer names a member twice.", sent=True)
    return spans


def _after(gap: re.Pattern[bytes], encoded: bytes, at: int) -> int:
    found = gap.match(encoded, at)
    return found.end() if found else at


def _spliced(answer: bytes, cuts: Iterable[tuple[Span, bytes]]) -> bytes:
    pieces, at = [], 0
    for (start, end), instead in sorted(cuts):
        pieces += [answer[at:start], instead]
        at = end
    return b"".join((*pieces, answer[at:]))
