"""The documents under /.well-known/, each in the words of whoever defined it."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any

from haldir.faces.discovery.site import DESCRIPTION, SUMMARY, TITLE, Site
from haldir.proxy.era import HANDSHAKE_VERSIONS, MODERN

SECURITY_TXT_DAYS = 365  # RFC 9116 §2.5.5 asks for less than a year ahead; a restart renews it.
TRANSPORT = "streamable-http"
BEARER = "Authorization: Bearer <API key, agent key or session token>"


def ai_plugin(site: Site) -> dict[str, Any]:
    """The plugin manifest, version 1, that some assistants still read."""
    return {
        "schema_version": "v1",
        "name_for_human": TITLE,
        "name_for_model": "haldir",
        "description_for_human": SUMMARY,
        "description_for_model": DESCRIPTION,
        "auth": {"type": "service_http", "authorization_type": "bearer", "verification_tokens": {}},
        "api": {"type": "openapi", "url": f"{site.url}/openapi.json"},
        "logo_url": f"{site.url}/logo.svg",
        "contact_email": site.contact.removeprefix("mailto:"),
        "legal_info_url": f"{site.url}/docs",
    }


def mcp_server(site: Site) -> dict[str, Any]:
    """Where the MCP endpoint is, and how to be let in."""
    return {
        "name": "haldir",
        "title": TITLE,
        "description": SUMMARY,
        "version": site.version,
        "url": site.url,
        "mcpEndpoint": f"{site.url}/mcp",
        "transport": TRANSPORT,
        "protocolVersions": [*HANDSHAKE_VERSIONS, MODERN],
        "authentication": {"type": "bearer", "header": BEARER, "required": True},
        "capabilities": {"tools": True, "prompts": True, "resources": True},
        "links": {
            "documentation": f"{site.url}/docs",
            "openapi": f"{site.url}/openapi.json",
            "serverCard": f"{site.url}/.well-known/mcp/server-card.json",
        },
    }


def server_card(site: Site) -> dict[str, Any]:
    """What the server offers by itself; the tools of upstreams depend on who asks."""
    return {
        "name": "haldir",
        "title": TITLE,
        "description": DESCRIPTION,
        "version": site.version,
        "transport": {"type": TRANSPORT, "url": f"{site.url}/mcp"},
        "protocolVersions": [*HANDSHAKE_VERSIONS, MODERN],
        "capabilities": {"tools": {}, "prompts": {}, "resources": {}},
        "tools": list(site.tools),
        "prompts": list(site.prompts),
        "configSchema": config_schema(),
    }


def config_schema() -> dict[str, Any]:
    """What a client must be told to use this server."""
    return {
        "type": "object",
        "required": ["apiKey"],
        "properties": {
            "apiKey": {"type": "string", "title": "API key or agent key", "format": "password"},
            "baseUrl": {"type": "string", "title": "Address of the Haldir", "default": "http://127.0.0.1:4253"},
        },
    }


def agent_card(site: Site) -> dict[str, Any]:
    """An agent card after A2A: Haldir's own tools as skills."""
    skills = [
        {"id": tool["name"], "name": tool["title"], "description": tool["description"], "tags": ["governance"]}
        for tool in site.tools
    ]
    return {
        "name": TITLE,
        "description": DESCRIPTION,
        "url": f"{site.url}/mcp",
        "version": site.version,
        "documentationUrl": f"{site.url}/docs",
        "capabilities": {"streaming": True, "pushNotifications": False},
        "defaultInputModes": ["application/json"],
        "defaultOutputModes": ["application/json"],
        "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        "security": [{"bearer": []}],
        "skills": skills,
    }


def jwks(site: Site) -> dict[str, Any]:
    """The log's public key (RFC 8037): whoever has it verifies tree heads without asking Haldir."""
    x = base64.urlsafe_b64encode(site.public_key).decode().rstrip("=")
    return {"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": site.key_id, "x": x}]}


def security_txt(site: Site, now: datetime | None = None) -> str:
    """Whom to tell about a weakness (RFC 9116)."""
    expires = (now or datetime.now(UTC)) + timedelta(days=SECURITY_TXT_DAYS - 1)
    return (
        f"Contact: {site.contact}\n"
        f"Expires: {expires.strftime('%Y-%m-%dT%H:%M:%SZ')}\n"
        f"Canonical: {site.url}/.well-known/security.txt\n"
        "Preferred-Languages: en\n"
    )
