"""What the upstreams offer beside tools, each kind as one list: prompts as `upstream__prompt`, resources by URI.

Only upstreams count on which the session may execute. Of two that list the same URI the first by name answers for it.
"""

import asyncio
import re
from collections.abc import Iterable, Iterator

from msgspec import Raw

from haldir.faces.mcp.hop import Asker
from haldir.faces.mcp.joined_names import joined_name
from haldir.gate.model import Session
from haldir.kernel.errors import UpstreamError
from haldir.kernel.scopes import covers
from haldir.operations.books import KnownUpstream
from haldir.operations.context import Context
from haldir.operations.upstreams import upstreams_of
from haldir.proxy import message as rpc
from haldir.proxy.discovery import PROMPTS, RESOURCES, TEMPLATES, Offer, name_in

LIST_SECONDS_MAX = 10.0  # An upstream slower than this is left out of the joint list, not waited for.
LISTS = {offer.method: offer for offer in (PROMPTS, RESOURCES, TEMPLATES)}

_EXPRESSION = re.compile(r"\{[^{}]*\}")

Listed = tuple[KnownUpstream, list[Raw]]


async def joint_list(ctx: Context, asker: Asker, session: Session, offer: Offer) -> list[Raw]:
    """Return the definitions of one kind, of all upstreams; those that do not answer are left out."""
    listed = await _listed(ctx, asker, session, offer)
    if offer == PROMPTS:
        names = await upstreams_of(ctx, asker.caller.tenant)
        return list(_renamed(listed, names))
    firsts: dict[str, Raw] = {}
    for _, name, definition in _named(listed, offer):
        firsts.setdefault(name, definition)
    return list(firsts.values())


async def upstream_of_uri(ctx: Context, asker: Asker, session: Session, uri: str) -> KnownUpstream | None:
    """Return the upstream that lists a resource, or else the one whose template says the most about it."""
    for known, name, _ in _named(await _listed(ctx, asker, session, RESOURCES), RESOURCES):
        if name == uri:
            return known
    templates = _named(await _listed(ctx, asker, session, TEMPLATES), TEMPLATES)
    fitting = [(_said(template), known) for known, template, _ in templates if fits(template, uri)]
    return max(fitting, key=lambda found: found[0])[1] if fitting else None


def fits(template: str, uri: str) -> bool:
    """Tell whether a URI may have come of a template (RFC 6570): each expression may stand for anything.

    Read from left to right without going back, since both texts are strangers'.
    """
    first, *inner = _EXPRESSION.split(template)
    if not inner:
        return uri == template
    *middle, last = inner
    at, end = len(first), len(uri) - len(last)
    if at > end or not uri.startswith(first) or not uri.endswith(last):
        return False
    for literal in middle:
        found = uri.find(literal, at, end)
        if found < 0:
            return False
        at = found + len(literal)
    return True


def _said(template: str) -> int:
    return len(_EXPRESSION.sub("", template))


async def _listed(ctx: Context, asker: Asker, session: Session, offer: Offer) -> list[Listed]:
    known = await upstreams_of(ctx, asker.caller.tenant)
    usable = [known[name] for name in sorted(known) if covers(session.scopes, f"execute:{name}")]
    return await asyncio.gather(*(_ask(ctx, asker, each, offer) for each in usable))


async def _ask(ctx: Context, asker: Asker, known: KnownUpstream, offer: Offer) -> Listed:
    try:
        async with asyncio.timeout(LIST_SECONDS_MAX):
            return known, await ctx.pool.list_offers(asker.caller.tenant, known.upstream, known.config, offer)
    except (UpstreamError, TimeoutError):
        return known, []


def _named(listed: Iterable[Listed], offer: Offer) -> Iterator[tuple[KnownUpstream, str, Raw]]:
    for known, definitions in listed:
        for definition in definitions:
            if (name := name_in(definition, offer.named_by)) is not None:
                yield known, name, definition


def _renamed(listed: Iterable[Listed], upstreams: dict[str, KnownUpstream]) -> Iterator[Raw]:
    for known, prompt, definition in _named(listed, PROMPTS):
        name = joined_name(known.upstream.name, prompt, upstreams)
        if name is not None:
            yield Raw(rpc.build(rpc.members(definition) | {"name": rpc.raw(name)}))
