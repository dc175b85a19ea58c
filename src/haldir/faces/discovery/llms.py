"""What a language model reads to use Haldir: an overview (llmstxt.org), and the whole reference as text."""

import inspect
import re

from haldir.faces.discovery.site import DESCRIPTION, SUMMARY, TITLE, Site, by_tag
from haldir.faces.schemas import input_schema
from haldir.operations.catalogue import Operation
from haldir.operations.wire import WholeBody

RULES = """\
- Present a credential with every request: `Authorization: Bearer <credential>`. An API key (`hld_`) manages; an agent
  key (`hla_`) or a session token (`hst_`) acts in one session and can do no more than that session may.
- A refusal is an answer: read `code`, `error` and `hint`, and do what the hint says instead of trying again.
- Money is exact. Amounts are JSON numbers in whole units of the currency, with at most six digits after the point.
- Times are Unix seconds. Writes take an `Idempotency-Key`: repeated with the same key and body they happen once.
"""


def overview(site: Site) -> str:
    """Return /llms.txt."""
    areas = "\n".join(
        f"- {tag}: {', '.join(f'`{each.method} {each.path}`' for each in operations)}"
        for tag, operations in by_tag(site.operations).items()
    )
    return f"""\
# {TITLE}

> {SUMMARY}

{DESCRIPTION}

{RULES}
## Documents

- [The whole reference as text]({site.url}/llms-full.txt): every operation with what it takes
- [OpenAPI 3.1]({site.url}/openapi.json): the same for programs
- [Reference]({site.url}/docs): the same for people
- [MCP]({site.url}/.well-known/mcp/mcp.json): the endpoint is `{site.url}/mcp`

## Operations

{areas}
"""


def whole(site: Site) -> str:
    """Return /llms-full.txt."""
    parts = [f"# {TITLE}\n\n> {SUMMARY}\n\n{DESCRIPTION}\n\n{RULES}"]
    for tag, operations in by_tag(site.operations).items():
        parts.append(f"## {tag}\n\n" + "\n".join(map(_described, operations)))
    return "\n".join(parts)


def _described(operation: Operation) -> str:
    lines = [f"### {operation.method} {operation.path}", "", f"{said(operation)} {who(operation)}", ""]
    if not issubclass(operation.request, WholeBody):
        schema = input_schema(operation.request)
        for name, field in schema["properties"].items():
            need = "required" if name in schema["required"] else "optional"
            lines.append(f"- `{name}` ({kind_of(field)}, {need})")
    if operation.request.__doc__:
        lines += ["", flat(operation.request.__doc__)]
    if operation.refusals:
        lines += ["", f"Refused with: {', '.join(f'`{code}`' for code in operation.refusals)}."]
    return "\n".join(lines) + "\n"


def said(operation: Operation) -> str:
    """Return what an operation does, in a sentence or two."""
    return flat(inspect.getdoc(operation.run) or f"{operation.summary}.")


def who(operation: Operation) -> str:
    """Return who may ask."""
    if operation.anonymous:
        return "Needs no credential."
    key = f"Needs the key scope `{operation.scope}`" if operation.scope else "Any key will do"
    return f"{key}; a session may ask for itself." if operation.session else f"{key}."


def kind_of(field: object) -> str:
    """Return what a JSON Schema calls a value, in a word or two."""
    match field:
        case {"type": str() as kind}:
            return kind
        case {"type": list() as kinds}:
            return " or ".join(kinds)
        case {"anyOf": list() as choices}:
            return " or ".join(dict.fromkeys(kind_of(choice) for choice in choices))
        case {"enum": list() as values}:
            return " or ".join(f'"{value}"' for value in values)
        case {"$ref": str()}:
            return "object"
    return "any JSON"


def flat(text: str) -> str:
    """Return a docstring as running text."""
    return re.sub(r"\s+", " ", text).strip()
