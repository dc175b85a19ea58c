"""What Haldir says of itself to those who never met it: true to the catalogue, the settings and the signing key."""

import base64
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from haldir.operations.everything import OPERATIONS
from harness.haldir import Haldir
from harness.threads import running_haldir

ROOT = Path(__file__).parent.parent
DOCUMENTS = (
    "/docs",
    "/llms.txt",
    "/llms-full.txt",
    "/robots.txt",
    "/logo.svg",
    "/openapi.json",
    "/.well-known/ai-plugin.json",
    "/.well-known/mcp/mcp.json",
    "/.well-known/mcp/server-card.json",
    "/.well-known/agent.json",
    "/.well-known/jwks.json",
    "/.well-known/security.txt",
)


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    with running_haldir(tmp_path_factory.mktemp("data"), public_url="https://haldir.example") as haldir:
        yield haldir


def text(haldir: Haldir, path: str) -> str:
    answer = haldir.get(path, key=None)
    assert answer.status == 200, path
    return answer.raw.decode()


def test_every_document_is_there_for_anyone_and_only_to_be_read(haldir: Haldir) -> None:
    for path in DOCUMENTS:
        assert text(haldir, path)
        assert haldir.post(path, {}, key=None).status == 405
        assert haldir.ask("HEAD", path, key=None).status == 200


def test_no_document_names_an_address_that_is_not_the_public_one(haldir: Haldir) -> None:
    for path in DOCUMENTS:
        hosts = set(re.findall(r"https?://([^/\s\"<>`)]+)", text(haldir, path)))
        assert hosts <= {"haldir.example", "www.w3.org", "json-schema.org", "127.0.0.1:4253"}, path


def test_the_reference_and_the_texts_have_every_operation(haldir: Haldir) -> None:
    page, overview, whole = (text(haldir, path) for path in ("/docs", "/llms.txt", "/llms-full.txt"))
    for operation in OPERATIONS:
        named = f"{operation.method} {operation.path}"
        assert f">{named}</h3>" in page
        assert f"`{named}`" in overview
        assert f"### {named}\n" in whole


class Page(HTMLParser):
    """What a browser would fetch or run, and whether every tag that opens closes."""

    def __init__(self) -> None:
        super().__init__()
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.fetched += [given[name] or "" for name in ("src", "srcset", "data") if name in given]
        self.fetched += [tag] if tag in {"script", "link", "iframe", "img"} else []
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_reference_runs_and_fetches_nothing(haldir: Haldir) -> None:
    answer = haldir.get("/docs", key=None)
    page = Page()
    page.feed(answer.raw.decode())
    assert (page.fetched, page.open) == ([], [])
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert len(answer.raw) < 200_000


def test_the_published_key_verifies_tree_heads(haldir: Haldir) -> None:
    (key,) = json.loads(text(haldir, "/.well-known/jwks.json"))["keys"]
    head = haldir.get("/v1/audit/tree-head").body
    assert (key["kty"], key["crv"], key["kid"]) == ("OKP", "Ed25519", head["key_id"])
    public = Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(key["x"] + "="))
    signed = f"sth:{head['tree_size']}:{head['root_hash']}:{head['signed_at']}".encode()
    public.verify(bytes.fromhex(head["signature"]), signed)


def test_the_server_card_lists_the_tools_that_mcp_lists(haldir: Haldir) -> None:
    card = json.loads(text(haldir, "/.well-known/mcp/server-card.json"))
    listed = haldir.rpc("/mcp", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, haldir.key).message
    assert card["tools"] == listed["result"]["tools"]
    agent = json.loads(text(haldir, "/.well-known/agent.json"))
    assert [skill["id"] for skill in agent["skills"]] == [tool["name"] for tool in card["tools"]]
    assert card["version"] == agent["version"] == version("haldir-guardian")


def test_the_mcp_document_leads_to_the_endpoint(tmp_path: Path) -> None:
    with running_haldir(tmp_path) as haldir:
        found: Any = json.loads(text(haldir, "/.well-known/mcp/mcp.json"))
        assert found["mcpEndpoint"] == f"{haldir.url}/mcp"
        plugin = json.loads(text(haldir, "/.well-known/ai-plugin.json"))
        assert plugin["contact_email"] == "security@127.0.0.1"
        assert json.loads(text(haldir, plugin["api"]["url"].removeprefix(haldir.url)))["openapi"].startswith("3.1")


def test_security_txt_has_a_contact_and_expires_within_a_year(haldir: Haldir) -> None:
    fields = dict(line.split(": ", 1) for line in text(haldir, "/.well-known/security.txt").splitlines())
    assert fields["Contact"] == "mailto:security@haldir.example"
    assert fields["Canonical"] == "https://haldir.example/.well-known/security.txt"
    left = datetime.fromisoformat(fields["Expires"]) - datetime.now(UTC)
    assert timedelta(days=360) < left < timedelta(days=365)


def test_what_registries_read_is_the_version_and_the_settings_of_this_haldir() -> None:
    server = json.loads((ROOT / "server.json").read_text())
    (package,) = server["packages"]
    assert server["version"] == package["version"] == version("haldir-guardian")
    assert package["identifier"] == "haldir-guardian"
    variables = {each["name"] for each in package["environmentVariables"]}
    smithery = (ROOT / "smithery.yaml").read_text()
    for variable in variables:
        assert variable in smithery
        assert f"`{variable}`" in (ROOT / "README.md").read_text()
