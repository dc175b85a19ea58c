"""Arguments that 2026-07-28 wants repeated in headers: over stdio a client sends none, so they are added here.

Which ones, only the definitions of the tools tell; they are asked for once a call was turned down for want of them.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw

from haldir.faces.stdio.message import ClientMessage, read_line
from haldir.faces.stdio.post import Address, Post
from haldir.kernel import strict_json
from haldir.proxy import message as rpc
from haldir.proxy.definition import read_definition
from haldir.proxy.message import HEADER_MISMATCH
from haldir.proxy.param_headers import HeaderNames, header_names, headers_for

NOTHING = Raw(b"{}")


class _Listed(msgspec.Struct):
    tools: list[Raw] = []


class Repeated:
    """What is known of the tools that want it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._names: dict[str, HeaderNames] = {}

    def headers(self, message: ClientMessage) -> dict[str, str]:
        """Return the headers for a call, as far as its tool is known."""
        if not message.is_modern_call or not self._names:
            return {}
        names = self._names.get(message.name or "")
        return headers_for(names, _tree(message.params.get("arguments", NOTHING))) if names else {}

    def learn(self, message: ClientMessage) -> None:
        """Ask for the tools' definitions, in the words of this call. Raises NotReached."""
        params = {"_meta": message.params["_meta"]}
        listing = read_line(rpc.request(0, "tools/list", params))
        Post(self._address, listing.body, listing.headers(None)).run(self._take)

    def _take(self, answer: bytes) -> None:
        result = rpc.read(answer).result
        if result is not UNSET:
            listed = msgspec.json.decode(result, type=_Listed).tools
            definitions = [each for each in map(read_definition, listed) if each is not None]
            self._names = header_names(definitions)


def wants_headers(answer: bytes) -> bool:
    """Tell whether a call was turned down for want of headers; then it did not run."""
    error = rpc.read(answer).error
    return error is not UNSET and rpc.error_code(error) == HEADER_MISMATCH


def _tree(arguments: Raw) -> Any:
    try:
        return strict_json.decode(bytes(arguments))
    except strict_json.Malformed:
        return {}
