"""What a request takes, as JSON Schema: for every face that describes itself, out of the same structs."""

from typing import Any

import msgspec

from haldir.kernel.secret import Secret
from haldir.operations.wire import Amount, Cost, JsonObject, Moment

Schema = dict[str, Any]

DEFINITION = "#/$defs/{name}"
NULL = {"type": "null"}


def input_schema(request: type[msgspec.Struct]) -> Schema:
    """Return the schema of a request that stands alone: an object with its properties, and what they refer to."""
    (reference,), definitions = msgspec.json.schema_components(
        [request], schema_hook=custom_schema, ref_template=DEFINITION
    )
    schema: Schema = definitions.pop(reference["$ref"].rsplit("/", 1)[1])
    del schema["title"]  # The struct's own name, which says nothing to a caller.
    return schema | ({"$defs": definitions} if definitions else {})


def let_null_be_absence(schema: Schema) -> None:
    """Have the members of a body that may be left out take null, which says the same (WIRE.md §2)."""
    required = schema.get("required", [])
    for name, member in schema.get("properties", {}).items():
        takes_it = not {"type", "anyOf", "enum", "$ref"} & member.keys() or NULL in member.get("anyOf", [])
        if name not in required and not takes_it and member.get("type") != "object":
            schema["properties"][name] = {"anyOf": [member, NULL]}


def custom_schema(kind: type) -> Schema:
    """Describe the types of `operations.wire`."""
    if kind is Amount:
        return {
            "type": "number",
            "minimum": 0,
            "description": "Whole units of money; at most 6 digits after the point.",
        }
    if kind is Cost:
        return {"type": ["number", "string"], "description": "Whole units of money, rounded up to a millionth."}
    if kind is Moment:
        return {"type": ["number", "string"], "description": "Unix seconds, or ISO 8601 text."}
    if kind is JsonObject:
        return {"type": "object"}
    if kind is Secret:
        return {"type": "string", "format": "password", "writeOnly": True}
    raise NotImplementedError(kind)
