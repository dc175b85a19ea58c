"""The JSON body of a request, read strictly before anyone takes meaning from it."""

from typing import Any

from haldir.kernel import strict_json
from haldir.kernel.errors import InvalidRequest

BODY_BYTES_MAX = 1 << 20  # WIRE.md's limit; an entry holds far less.
STRANGERS_BODY_BYTES_MAX = 16 << 10  # Whoever has shown no credential may not fill the memory with bodies.


def json_object(body: bytes) -> dict[str, Any]:
    """Return the members of a JSON object; an empty body stands for none (JavaScript clients send that)."""
    if not body or body.isspace():
        return {}
    try:
        tree = strict_json.decode(body)
    except strict_json.Malformed as error:
        reason = f"`{error.field}`: {error.reason}" if error.field else error.reason
        raise InvalidRequest(reason, error.field) from None
    if not isinstance(tree, dict):
        raise InvalidRequest("the body must be a JSON object")
    return tree
