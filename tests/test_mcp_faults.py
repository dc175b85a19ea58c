"""Bad input at the MCP endpoints: refused before any meaning is read, never a 5xx, and the next request works."""

import json
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from harness.haldir import Haldir
from harness.messages import ENVELOPE, MODERN, call, request
from harness.threads import http_upstream, running_haldir
from upstreams import raw
from upstreams.raw import RawUpstream, raw_upstream

PATHS = ("/mcp", "/mcp/up")
PAGE = "https://page.example"  # The one origin whose pages may speak with this Haldir.
DEEP = b"[" * 100 + b"]" * 100


@pytest.fixture(scope="module")
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream(raw.honest) as running:
        yield running


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory, upstream: RawUpstream) -> Iterator[Haldir]:
    with running_haldir(
        tmp_path_factory.mktemp("faults"), http_upstream("up", upstream.url), allowed_origins=(PAGE,)
    ) as running:
        yield running


@pytest.fixture(scope="module")
def token(haldir: Haldir) -> str:
    return haldir.token()


BODIES = {
    "empty": (b"", -32700),
    "no JSON": (b"{", -32700),
    "invalid UTF-8": (b'{"jsonrpc":"2.0","id":1,"method":"p\xffng"}', -32700),
    "half a surrogate": (b'{"jsonrpc":"2.0","id":"\\ud800","method":"ping"}', -32700),
    "a member twice": (b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}', -32700),
    "a member twice, deep": (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"do","arguments":{"a":{"b":1,"b":2}}}}',
        -32700,
    ),
    "100 levels": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":' + DEEP + b"}}", -32700),
    "NaN": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":NaN}}', -32700),
    "a batch": (b'[{"jsonrpc":"2.0","id":1,"method":"ping"}]', -32600),
    "an empty batch": (b"[]", -32600),
    "a string": (b'"ping"', -32600),
    "no jsonrpc": (b'{"id":1,"method":"ping"}', -32600),
    "other case": (b'{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}', -32600),
    "Unicode case": ('{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}'.encode(), -32600),
    "null id": (b'{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600),
    "fractional id": (b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', -32600),
    "true id": (b'{"jsonrpc":"2.0","id":true,"method":"ping"}', -32600),
    "list of params": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}', -32600),
    "null params": (b'{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', -32600),
    "method and result": (b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}', -32600),
    "nothing": (b'{"jsonrpc":"2.0","id":1}', -32600),
    "null arguments": (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"do","arguments":null}}',
        -32602,
    ),
    "list of arguments": (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"do","arguments":[]}}',
        -32602,
    ),
    "a call without an id": (b'{"jsonrpc":"2.0","method":"tools/call","params":{"name":"do","arguments":{}}}', -32600),
    "a request without an id": (b'{"jsonrpc":"2.0","method":"resources/read","params":{"uri":"note://one"}}', -32600),
    "no name": (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"arguments":{}}}', -32602),
    "a number as name": (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":1}}', -32602),
    "Arguments": (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"do","Arguments":{}}}', -32600),
    "_META": (b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"do","_META":{}}}', -32600),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", BODIES)
def test_a_body_that_could_be_read_in_two_ways_is_a_400(
    haldir: Haldir, upstream: RawUpstream, token: str, path: str, kind: str
) -> None:
    body, code = BODIES[kind]
    before = len(upstream.messages)
    answer = haldir.rpc(path, body, token)
    assert (answer.status, answer.body["error"]["code"]) == (400, code), answer
    assert answer.body["jsonrpc"] == "2.0"
    assert len(upstream.messages) == before


HEADERS: dict[str, tuple[dict[str, str], int]] = {
    "another method": ({"mcp_method": "tools/list"}, -32020),
    "no method": ({"mcp_method": ""}, -32020),
    "another name": ({"mcp_name": "other"}, -32020),
    "another version": ({"mcp_protocol_version": "2025-11-25"}, -32020),
    "a broken name": ({"mcp_name": "=?base64?%%%?="}, -32020),
}


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("kind", HEADERS)
def test_headers_that_contradict_the_body_are_a_400(haldir: Haldir, token: str, path: str, kind: str) -> None:
    headers, code = HEADERS[kind]
    answer = haldir.ask_modern(path, "tools/call", {"name": "do", "arguments": {}}, token, **headers)
    assert (answer.status, answer.body["error"]["code"], answer.body["id"]) == (400, code, 1)


def test_a_routing_header_sent_twice_is_a_400(haldir: Haldir, token: str) -> None:
    body = json.dumps(request("ping", {"_meta": ENVELOPE})).encode()
    head = (
        f"POST /mcp HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
    )
    head += f"mcp-protocol-version: {MODERN}\r\nmcp-method: ping\r\nmcp-method: tools/call\r\ncontent-length: {len(body)}\r\n\r\n"
    assert b"HTTP/1.1 400" in exchange(haldir, head.encode() + body)


def test_an_envelope_that_lacks_a_member_is_a_400(haldir: Haldir, token: str) -> None:
    answer = haldir.rpc("/mcp", request("ping", {"_meta": {}}), token, mcp_protocol_version=MODERN, mcp_method="ping")
    assert (answer.status, answer.body["error"]["code"]) == (400, -32602)


@pytest.mark.parametrize("path", PATHS)
def test_a_body_of_5_mb_is_a_413(haldir: Haldir, token: str, path: str) -> None:
    answer = haldir.rpc(path, json.dumps(call("do", text="x" * 5_000_000)).encode(), token)
    assert answer.status == 413
    assert haldir.rpc(path, request("ping"), token).status == 200


@pytest.mark.parametrize("path", PATHS)
def test_a_body_that_never_ends_is_a_408(haldir: Haldir, token: str, path: str) -> None:
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n"
    started = time.monotonic()
    assert b"HTTP/1.1 408" in exchange(haldir, head.encode() + b'{"jsonrpc":')
    assert time.monotonic() - started < 10
    assert haldir.rpc(path, request("ping"), token).status == 200


def test_only_json_is_read(haldir: Haldir, token: str) -> None:
    assert haldir.rpc("/mcp", request("ping"), token, content_type="text/plain").status == 415


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"host": "evil.example"}, 421),
        ({"host": "127.0.0.1.evil.example:80"}, 421),
        ({"host": "localhost:1234"}, 200),
        ({"host": "[::1]:4253"}, 200),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": "http://localhost:5173"}, 200),
    ],
)
def test_a_page_elsewhere_cannot_speak_through_its_readers_browser(
    haldir: Haldir, token: str, headers: dict[str, Any], status: int
) -> None:
    assert haldir.rpc("/mcp", request("ping"), token, **headers).status == status


@pytest.mark.parametrize("path", PATHS)
def test_a_browsers_page_of_a_named_origin_is_a_client_like_any_other(haldir: Haldir, token: str, path: str) -> None:
    wanted = "authorization, content-type, mcp-method, mcp-param-region, mcp-protocol-version, mcp-session-id, x-other"
    asked: dict[str, Any] = {"access_control_request_method": "POST", "access_control_request_headers": wanted}
    preflight = haldir.ask("OPTIONS", path, key=None, origin=PAGE, **asked)
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (200, PAGE)
    assert "POST" in preflight.headers["access-control-allow-methods"]
    allowed = {name.strip().lower() for name in preflight.headers["access-control-allow-headers"].split(",")}
    assert set(wanted.split(", ")) - allowed == {"x-other"}
    for answer in (haldir.rpc(path, request("ping"), token, origin=PAGE), haldir.rpc(path, b"", "", origin=PAGE)):
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert "Mcp-Session-Id" in answer.headers["access-control-expose-headers"]


@pytest.mark.parametrize("origin", ["https://evil.example", "http://localhost:5173", None])
def test_no_other_page_may_read_an_answer(haldir: Haldir, token: str, origin: str | None) -> None:
    headers: dict[str, Any] = {"origin": origin} if origin else {}
    answers = [
        haldir.ask("OPTIONS", "/mcp", key=None, **headers),
        haldir.rpc("/mcp", request("ping"), token, **headers),
    ]
    assert not any(name.startswith("access-control") for answer in answers for name in answer.headers)
    assert [answer.headers["vary"] for answer in answers] == ["Origin", "Origin"]


def test_other_http_methods_are_a_405(haldir: Haldir) -> None:
    for path in PATHS:
        answer = haldir.ask("PUT", path, {}, key=None)
        assert answer.status == 405
        assert "POST" in answer.headers["allow"]


def test_no_credential_is_a_401_whatever_is_asked(haldir: Haldir) -> None:
    for path in PATHS:
        answer = haldir.post(path, request("ping"), key=None, content_type="application/json")
        assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="haldir"')


def test_arguments_with_a_secret_reference_are_refused(haldir: Haldir, upstream: RawUpstream, token: str) -> None:
    before = upstream.calls
    for text in ("${secret:x}", "a ${secret:x} b"):
        body = json.dumps(call("do", nested=[{"deep": text}])).encode().replace(b"$", b"\\u0024")
        said = json.loads(haldir.rpc("/mcp/up", body, token).body["result"]["content"][0]["text"])
        assert said["code"] == "secret_reference"
    assert upstream.calls == before


def exchange(haldir: Haldir, sent: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", haldir.port), timeout=30) as connection:
        connection.sendall(sent)
        received = b""
        while b"\r\n\r\n" not in received:
            chunk = connection.recv(65536)
            if not chunk:
                break
            received += chunk
        return received


def test_an_api_key_acts_in_a_session_only_with_the_scope_for_it(haldir: Haldir) -> None:
    session = haldir.session("execute")
    weak = haldir.rest("POST", "/v1/keys", {"name": "weak", "scopes": ["sessions:*", "audit:*", "proxy:read"]})["key"]
    strong = haldir.rest("POST", "/v1/keys", {"name": "strong", "scopes": ["proxy:write"]})["key"]
    answers = [haldir.rpc("/mcp", call("up__do"), key, x_session_id=session["session_id"]) for key in (weak, strong)]
    assert [answer.status for answer in answers] == [403, 200]
    assert answers[0].body["error"]["code"] == -32003
    assert answers[0].body["error"]["data"]["code"] == "insufficient_scope"
    recorded = haldir.rest("GET", "/v1/audit?kind=refusal.record&limit=1")["entries"][0]
    assert (recorded["code"], recorded["details"]["operation"]) == ("insufficient_scope", "mcp")
