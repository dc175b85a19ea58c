"""Answers to tools/list, cut by the byte: what the session may not use is left out, all else stays as it was."""

from collections.abc import Callable, Iterable, Sequence

import msgspec
from msgspec import Raw

from haldir.proxy import message as rpc
from haldir.proxy.definition import Definition, read_definition
from haldir.proxy.spans import Span, spans_of


def tools_in(answer: bytes) -> list[Definition | None] | None:
    """Return the tools of a response as they stand there, None for each that nobody is offered.

    None if it lists no tools. Raises UpstreamError if another reader could take it for another list.
    """
    result = rpc.strict_members(answer).get("result")
    listed = rpc.strict_members(result).get("tools") if result is not None else None
    if listed is None:
        return None
    try:
        return [read_definition(each) for each in msgspec.json.decode(listed, type=list[Raw])]
    except msgspec.MsgspecError:
        raise rpc.garbage() from None


def filtered(answer: bytes, tools: Sequence[Definition | None], visible: Callable[[Definition], bool]) -> bytes:
    """Return the response, of which `tools` were read, without those that are not visible to its reader.

    It is then fit for no cache but the reader's own.
    """
    outer = rpc.members(answer)
    start, end = spans_of(answer, outer)["result"]
    result = spans_of(answer[start:end], rpc.members(outer["result"]))
    cuts: list[tuple[Span, bytes]] = []
    kept = [each.encoded for each in tools if each is not None and visible(each)]
    if len(kept) != len(tools):
        cuts.append((result["tools"], b"[" + b",".join(kept) + b"]"))
    if "cacheScope" in result:
        cuts.append((result["cacheScope"], b'"private"'))
    return answer[:start] + _spliced(answer[start:end], cuts) + answer[end:]


def _spliced(encoded: bytes, cuts: Iterable[tuple[Span, bytes]]) -> bytes:
    pieces, at = [], 0
    for (start, end), instead in sorted(cuts):
        pieces += [encoded[at:start], instead]
        at = end
    return b"".join((*pieces, encoded[at:]))
