"""What all documents know: where this Haldir is, whom to tell about faults, and what it offers."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Any
from urllib.parse import urlsplit

import msgspec

from haldir.faces.mcp.own_prompts import PROMPTS
from haldir.faces.mcp.own_tools import OwnTools
from haldir.operations.catalogue import Operation
from haldir.operations.context import Context
from haldir.operations.tree_heads import key_id_of, signer_of

TITLE = "Haldir"
SUMMARY = "The guardian between AI agents and the tools they call."
DESCRIPTION = (
    "Haldir stands between AI agents and MCP servers. It decides on every tool call by scopes, policies and budgets, "
    "keeps secrets, lets people hold a call, and writes each decision into a signed log before anything happens."
)


class Site(msgspec.Struct, frozen=True, kw_only=True):
    """`url` is where others reach this Haldir, without a slash at its end. `tools` are its own MCP tools."""

    url: str
    contact: str
    version: str
    operations: Sequence[Operation]
    tools: tuple[dict[str, Any], ...]
    prompts: tuple[dict[str, Any], ...]
    public_key: bytes
    key_id: str


def site_of(ctx: Context, operations: Sequence[Operation], url: str, contact: str | None) -> Site:
    """Return what there is to say of this Haldir; without a contact of the operator's own it is the host's."""
    signer = signer_of(ctx)
    prompts = tuple(
        {"name": prompt.name, "title": prompt.title, "description": prompt.description} for prompt in PROMPTS.values()
    )
    return Site(
        url=url,
        contact=contact or default_contact(url),
        version=version("haldir-guardian"),
        operations=operations,
        tools=tuple(OwnTools(operations).definitions()),
        prompts=prompts,
        public_key=signer.public_key,
        key_id=key_id_of(signer),
    )


def default_contact(url: str) -> str:
    """Return whom RFC 2142 §4 has answer for the security of a host."""
    return f"mailto:security@{urlsplit(url).hostname}"


def by_tag(operations: Sequence[Operation]) -> dict[str, list[Operation]]:
    """Return the operations under their tags, in the catalogue's order."""
    found: dict[str, list[Operation]] = {}
    for operation in operations:
        found.setdefault(operation.tag or "other", []).append(operation)
    return found
