"""What an upstream offers: all pages of a list of its, as the definitions were written."""

from collections.abc import Awaitable, Callable

import msgspec
from msgspec import Raw

from haldir.kernel import strict_json
from haldir.kernel.errors import UpstreamError
from haldir.proxy import message as rpc
from haldir.proxy.message import Members

PAGES_MAX = 100
OFFERS_MAX = 10_000  # With PAGES_MAX the end of a list that would otherwise never end.


class Offer(msgspec.Struct, frozen=True):
    """One kind of what upstreams offer: the method that lists it, where it stands in the answer, what names it."""

    method: str
    member: str
    named_by: str


TOOLS = Offer("tools/list", "tools", "name")
PROMPTS = Offer("prompts/list", "prompts", "name")
RESOURCES = Offer("resources/list", "resources", "uri")
TEMPLATES = Offer("resources/templates/list", "resourceTemplates", "uriTemplate")


def name_in(definition: Raw, named_by: str) -> str | None:
    """Return what names a definition; None if it has no name, or not everyone reads it alike."""
    try:
        tree = strict_json.decode(bytes(definition))
    except strict_json.Malformed:
        return None
    name = tree.get(named_by) if isinstance(tree, dict) else None
    return name if isinstance(name, str) else None


async def list_all(offer: Offer, ask: Callable[[Members], Awaitable[bytes]]) -> list[Raw]:
    """Return the definitions of all pages, whatever they are; `ask` sends the list's method with these params."""
    found: list[Raw] = []
    params: Members = {}
    for _ in range(PAGES_MAX):
        definitions, cursor = _page(offer, await ask(params))
        found += definitions
        if cursor is None:
            return found
        if len(found) > OFFERS_MAX:
            break
        params = {"cursor": rpc.raw(cursor)}
    raise UpstreamError(f"The upstream's answers to {offer.method} do not end.", sent=True)


def _page(offer: Offer, answer: bytes) -> tuple[list[Raw], str | None]:
    result = rpc.read(answer).result
    if result is msgspec.UNSET:
        if offer != TOOLS:
            return [], None  # Whoever has no prompts or resources may not even know the method.
        raise UpstreamError(f"The upstream answered {offer.method} with an error.", sent=True)
    members = rpc.members(result)
    try:
        definitions = msgspec.json.decode(members.get(offer.member, b"[]"), type=list[Raw])
        return definitions, msgspec.json.decode(members.get("nextCursor", b"null"), type=str | None)
    except (msgspec.MsgspecError, RecursionError):
        raise rpc.garbage() from None
