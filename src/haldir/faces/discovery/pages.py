"""The documents by path, made once: they never change while the server runs."""

from typing import Any, final

import msgspec
from starlette.types import Receive, Scope, Send

from haldir.faces.discovery import llms, well_known
from haldir.faces.discovery.reference import POLICY, reference
from haldir.faces.discovery.site import TITLE, Site
from haldir.faces.rest.endpoint import method_reply

JSON, TEXT, HTML, SVG = b"application/json", b"text/plain; charset=utf-8", b"text/html; charset=utf-8", b"image/svg+xml"
ROBOTS = "User-agent: *\nAllow: /docs\nAllow: /llms.txt\nAllow: /llms-full.txt\nAllow: /.well-known/\nDisallow: /\n"
LOGO = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 64 64" role="img" aria-label="{TITLE}">'
    '<path fill="#2f6f4f" d="M32 3 6 12v20c0 15 11 25 26 29 15-4 26-14 26-29V12z"/>'
    '<path fill="#fff" d="M20 20h6v10h12V20h6v26h-6V36H26v10h-6z"/></svg>\n'
)


@final
class Document:
    """An ASGI app that answers GET with the same bytes each time."""

    def __init__(self, body: str | dict[str, Any], kind: bytes = JSON) -> None:
        self._body = body.encode() if isinstance(body, str) else msgspec.json.encode(body)
        self._headers = [(b"content-type", kind), (b"content-length", str(len(self._body)).encode())]
        if kind == HTML:
            self._headers.append((b"content-security-policy", POLICY.encode()))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del receive
        if scope["method"] not in {"GET", "HEAD"}:
            await method_reply(scope, "GET, HEAD, OPTIONS").send(send)
            return
        await send({"type": "http.response.start", "status": 200, "headers": list(self._headers)})
        await send({"type": "http.response.body", "body": self._body})


def documents(site: Site) -> dict[str, Document]:
    """Return every document by its path."""
    return {
        "/docs": Document(reference(site), HTML),
        "/llms.txt": Document(llms.overview(site), TEXT),
        "/llms-full.txt": Document(llms.whole(site), TEXT),
        "/robots.txt": Document(ROBOTS, TEXT),
        "/logo.svg": Document(LOGO, SVG),
        "/.well-known/ai-plugin.json": Document(well_known.ai_plugin(site)),
        "/.well-known/mcp/mcp.json": Document(well_known.mcp_server(site)),
        "/.well-known/mcp/server-card.json": Document(well_known.server_card(site)),
        "/.well-known/agent.json": Document(well_known.agent_card(site)),
        "/.well-known/jwks.json": Document(well_known.jwks(site)),
        "/.well-known/security.txt": Document(well_known.security_txt(site), TEXT),
    }
