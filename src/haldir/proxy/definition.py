"""A tool as its upstream describes it: read strictly and once, and known from then on by the hash of all of it."""

import hashlib
import re
from typing import Any

import msgspec
from msgspec import Raw

from haldir.kernel import strict_json
from haldir.proxy import message as rpc

_NAME = re.compile(r"[A-Za-z0-9._-]{1,128}")


class Definition(msgspec.Struct, frozen=True):
    """`sha256` is what the tool is pinned by: it covers all of `encoded`, whatever the order of its members.

    `destructive` is its own word, and yes where it says nothing, as MCP has it. `typed_output`: what it answers has
    a schema, so that every result of it that is no error must have the content that the schema asks for.
    """

    name: str
    description: str
    input_schema: Raw
    sha256: str
    encoded: bytes
    destructive: bool = True
    typed_output: bool = False


def read_definition(encoded: Raw) -> Definition | None:
    """Return the definition; None if it is malformed, its name is forbidden, or not everyone reads it alike."""
    try:
        tree = strict_json.decode(bytes(encoded))
    except strict_json.Malformed:
        return None
    match tree:
        case {"name": str(name), "inputSchema": dict()} if _NAME.fullmatch(name):
            description = tree.get("description")
        case _:
            return None
    if not isinstance(description, str | None):
        return None
    digest = hashlib.sha256(strict_json.encode(tree)).hexdigest()
    schema = rpc.members(encoded)["inputSchema"]
    return Definition(
        name, description or "", schema, digest, bytes(encoded), _is_destructive(tree), "outputSchema" in tree
    )


def _is_destructive(tree: dict[str, Any]) -> bool:
    hints = tree.get("annotations")
    if not isinstance(hints, dict):
        return True
    return hints.get("readOnlyHint") is not True and hints.get("destructiveHint") is not False
