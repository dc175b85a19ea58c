"""/docs: the reference as one page, without a script and without anything from elsewhere."""

import base64
import hashlib
import re
from collections.abc import Iterable
from html import escape

from haldir.faces.discovery.llms import flat, kind_of, said, who
from haldir.faces.discovery.site import DESCRIPTION, SUMMARY, TITLE, Site, by_tag
from haldir.faces.schemas import input_schema
from haldir.operations.catalogue import Operation
from haldir.operations.wire import WholeBody

STYLE = """
:root { color-scheme: light dark; --line: #8886; --soft: #8882; }
body { font: 16px/1.5 system-ui, sans-serif; margin: 0 auto; max-width: 60rem; padding: 1rem; }
h1 { margin-bottom: 0; } h2 { border-bottom: 1px solid var(--line); margin-top: 2.5rem; text-transform: capitalize; }
h3 { font: 600 1rem/1.4 ui-monospace, monospace; margin: 2rem 0 .25rem; overflow-wrap: anywhere; }
code { background: var(--soft); border-radius: .2rem; font-size: .9em; padding: .1em .3em; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; } th, td { border-bottom: 1px solid var(--line); text-align: left; }
th, td { padding: .3rem .5rem .3rem 0; vertical-align: top; } nav li { text-transform: capitalize; }
nav ul { columns: 12rem; padding-left: 1.2rem; } p { max-width: 45rem; }
"""
STYLE_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = f"default-src 'none'; style-src 'sha256-{STYLE_HASH}'; base-uri 'none'; form-action 'none'"

_CODE = re.compile(r"`([^`]+)`")


def reference(site: Site) -> str:
    """Return the page."""
    tags = by_tag(site.operations)
    links = "".join(f'<li><a href="#{escape(tag)}">{escape(tag)}</a></li>' for tag in tags)
    sections = "".join(_section(tag, operations) for tag, operations in tags.items())
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{TITLE}: reference</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><header><h1>{TITLE} {escape(site.version)}</h1><p>{escape(SUMMARY)}</p></header>"
        f'<main><p>{escape(DESCRIPTION)}</p><nav aria-label="Sections"><ul>{links}</ul></nav>'
        f'<p>For programs: <a href="/openapi.json">OpenAPI 3.1</a>, <a href="/llms-full.txt">as text</a>.</p>'
        f"{sections}</main></body></html>\n"
    )


def _section(tag: str, operations: Iterable[Operation]) -> str:
    body = "".join(map(_operation, operations))
    return f'<section aria-labelledby="{escape(tag)}"><h2 id="{escape(tag)}">{escape(tag)}</h2>{body}</section>'


def _operation(operation: Operation) -> str:
    asked = flat(operation.request.__doc__ or "") if _own_doc(operation.request) else ""
    answered = flat(operation.response.__doc__ or "") if _own_doc(operation.response) else ""
    codes = ", ".join(f"`{code}`" for code in operation.refusals)
    parts = [
        f'<h3 id="{operation.name}">{operation.method} {escape(operation.path)}</h3>',
        _paragraph(f"{said(operation)} {who(operation)}"),
        _table(operation),
        _paragraph(asked),
        _paragraph(f"The answer: {answered}" if answered else ""),
        _paragraph(f"Refused with: {codes}." if codes else ""),
    ]
    return "".join(parts)


def _table(operation: Operation) -> str:
    if issubclass(operation.request, WholeBody):
        return ""
    schema = input_schema(operation.request)
    rows = "".join(
        f'<tr><th scope="row"><code>{escape(name)}</code></th><td>{escape(kind_of(field))}</td>'
        f"<td>{'required' if name in schema['required'] else 'optional'}</td></tr>"
        for name, field in schema["properties"].items()
    )
    head = '<thead><tr><th scope="col">member</th><th scope="col">kind</th><th scope="col">need</th></tr></thead>'
    return f"<table>{head}<tbody>{rows}</tbody></table>" if rows else ""


def _paragraph(text: str) -> str:
    marked = _CODE.sub(r"<code>\1</code>", escape(text, quote=False))
    return f"<p>{marked}</p>" if text else ""


def _own_doc(struct: type) -> bool:
    return bool(struct.__dict__.get("__doc__"))
