"""The OpenAPI 3.1 document, drawn from the catalogue: what it says is what the routes do."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from importlib.metadata import version

import msgspec

from haldir.faces.rest.idempotency import CHARS_MAX, FIELD
from haldir.faces.schemas import Schema, custom_schema, let_null_be_absence
from haldir.kernel.errors import (
    REFUSALS,
    AnswerLost,
    Forbidden,
    HaldirError,
    InsufficientScope,
    InvalidRequest,
    OutcomeUnknown,
    Overloaded,
    PayloadTooLarge,
    RateLimited,
    RequestInProgress,
    RequestTimeout,
    Unauthenticated,
    Unavailable,
)
from haldir.operations.catalogue import Operation
from haldir.operations.download import Download
from haldir.operations.wire import StatusResponse, WholeBody

REF = "#/components/schemas/{name}"
REUSED = "idempotency_key_reused"
NAMED_BY: Schema = {
    "name": FIELD,
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": CHARS_MAX, "pattern": "^[!-~]+$"},
    "description": "A name for this request: sent again within 24 hours it is not done again and gets the same answer, "
    "which then has the header `Idempotency-Replayed: true`.",
}
SECURITY: list[dict[str, list[str]]] = [{"bearer": []}, {"api_key": []}]
UNDESCRIBED = (StatusResponse, WholeBody, Download)  # What the operation itself answers for.
ANY_OPERATION = (InvalidRequest, Unauthenticated, RequestTimeout, PayloadTooLarge, RateLimited, Overloaded, Unavailable)
DIALECT = "https://json-schema.org/draft/2020-12/schema"

_BRACED = re.compile(r"\{(\w+)\}")


class Error(msgspec.Struct, frozen=True, omit_defaults=True):
    """Every error: what happened, its stable code, and what would help."""

    error: str
    code: str
    request_id: str
    hint: str = ""
    field: str = ""
    required: str = ""
    granted: tuple[str, ...] = ()
    max_bytes: int = 0
    retry_after: int = 0
    limit: int = 0
    tier: str = ""
    resource: str = ""
    call_id: str = ""


def openapi_document(operations: Sequence[Operation]) -> Schema:
    """Return the whole document."""
    types: dict[type[msgspec.Struct], None] = dict.fromkeys(
        kind
        for operation in operations
        for kind in (operation.request, operation.response)
        if not issubclass(kind, UNDESCRIBED)
    )
    schemas, components = msgspec.json.schema_components([*types, Error], schema_hook=custom_schema, ref_template=REF)
    named: dict[type, Schema] = dict(zip([*types, Error], schemas, strict=True))
    for kind in {each.request for each in operations if each.has_body} & named.keys():
        let_null_be_absence(_resolved(named[kind], components))
    paths: dict[str, Schema] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _verb(operation, named, components)
    return {
        "openapi": "3.1.0",
        "jsonSchemaDialect": DIALECT,
        "info": {
            "title": "Haldir",
            "version": version("haldir-guardian"),
            "summary": "The guardian between AI agents and the tools they call.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "tags": [{"name": tag} for tag in sorted({operation.tag for operation in operations if operation.tag})],
        "paths": paths,
        "security": SECURITY,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API key (hld_), an agent key (hla_) or a session token (hst_).",
                },
                "api_key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
            },
        },
    }


def _verb(operation: Operation, named: dict[type, Schema], components: Schema) -> Schema:
    reference = named.get(operation.request, {"type": "object"})
    schema = _resolved(reference, components)
    in_path = _BRACED.findall(operation.path)
    verb: Schema = {
        "operationId": operation.name,
        "summary": operation.summary,
        "tags": [operation.tag] if operation.tag else [],
        "parameters": [_parameter(name, "path", schema) for name in in_path],
        "responses": _responses(operation, named),
    }
    if operation.scope:
        verb["description"] = f"An API key needs the scope `{operation.scope}`."
    if operation.anonymous:
        verb["security"] = [{}, *SECURITY]
    if operation.repeatable:
        verb["parameters"].append(NAMED_BY)
    others = [name for name in schema.get("properties", {}) if name not in in_path]
    if operation.has_body:
        verb["requestBody"] = _body(reference, schema, others if in_path else None)
        verb["parameters"] += [_parameter(name, "query", schema) for name in operation.from_query]
    else:
        verb["parameters"] += [_parameter(name, "query", schema) for name in others]
    return verb


def _body(reference: Schema, schema: Schema, left: list[str] | None) -> Schema:
    """Return the body's schema; `left` are the members that are not in the path, if any are there."""
    required = [name for name in schema.get("required", []) if left is None or name in left]
    body = reference
    if left is not None:
        body = {"type": "object", "properties": {name: schema["properties"][name] for name in left}}
        if required:
            body["required"] = required
    return {"required": bool(required), "content": {"application/json": {"schema": body}}}


def _parameter(name: str, place: str, schema: Schema) -> Schema:
    return {
        "name": name,
        "in": place,
        "required": place == "path" or name in schema.get("required", []),
        "schema": schema["properties"][name],
    }


def _responses(operation: Operation, named: dict[type, Schema]) -> Schema:
    """Return the success and, by status, every error the operation can answer with."""
    content: Schema = {media_type: {"schema": {"type": "string"}} for media_type in operation.files}
    if operation.response is not Download:
        content["application/json"] = {"schema": named.get(operation.response, {"type": "object"})}
    responses: Schema = {str(operation.status): {"description": "Done.", "content": content}}
    error = {"application/json": {"schema": named[Error]}}
    for status, codes in sorted(_codes(operation).items()):
        responses[str(status)] = {
            "description": f"{HTTPStatus(status).phrase}: " + ", ".join(f"`{code}`" for code in sorted(codes)) + ".",
            "content": error,
        }
    responses["default"] = {"description": "Any other error.", "content": error}
    return responses


def _codes(operation: Operation) -> dict[int, set[str]]:
    found: dict[int, set[str]] = {}
    errors: list[type[HaldirError]] = [*ANY_OPERATION]
    if operation.scope:
        errors.append(InsufficientScope)
    if not operation.session:
        errors.append(Forbidden)
    if issubclass(operation.response, StatusResponse):
        errors.append(OutcomeUnknown)
    if operation.repeatable:
        errors += [RequestInProgress, AnswerLost]
        found.setdefault(REFUSALS[REUSED].status, set()).add(REUSED)
    for error in errors:
        found.setdefault(error.status, set()).add(error.code)
    for refusal in operation.refusals:
        found.setdefault(REFUSALS[refusal].status, set()).add(refusal)
    return found


def _resolved(schema: Schema, components: Schema) -> Schema:
    reference = schema.get("$ref")
    resolved: Schema = components[reference.rsplit("/", 1)[1]] if reference else schema
    return resolved
