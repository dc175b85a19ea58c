"""No input makes a 5xx, a hang or a spent cent: the public door, over real sockets."""

import http.client
import json
import random
import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from haldir.faces.rest.json_body import BODY_BYTES_MAX, STRANGERS_BODY_BYTES_MAX
from harness.answers import Answer, answer_of
from harness.haldir import Haldir
from harness.threads import running_haldir


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    with running_haldir(tmp_path_factory.mktemp("data")) as haldir:
        yield haldir


@pytest.fixture(scope="module")
def session_id(haldir: Haldir) -> str:
    name: str = haldir.session(spend_limit=5)["session_id"]
    return name


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


BAD_AMOUNTS = {
    "NaN": "NaN",
    "Infinity": "Infinity",
    "-Infinity": "-Infinity",
    "negative": "-1",
    "beyond a float": "1e309",
    "in quotes": '"12"',
    "too fine": "0.0000001",
    "true": "true",
    "zero": "0",
    "null": "null",
    "a list": "[1]",
    "an object": '{"x": 1}',
    "a long one": "1" * 5000,
    "too large": "12345678901234",
}


@pytest.mark.parametrize("amount", BAD_AMOUNTS.values(), ids=BAD_AMOUNTS.keys())
def test_a_bad_amount_is_refused_by_name_and_nothing_is_spent(haldir: Haldir, session_id: str, amount: str) -> None:
    body = f'{{"session_id": "{session_id}", "amount": {amount}}}'.encode()
    answer = haldir.post("/v1/payments/authorize", body)
    assert (answer.status, answer.body["code"]) == (400, "invalid_request")
    if amount != "1" * 5000:  # Refused while it is read, before anything has a name.
        assert answer.body["field"] == "amount"
    assert haldir.get(f"/v1/sessions/{session_id}").body["spent"] == 0


BAD_BODIES: dict[str, tuple[bytes, str | None]] = {
    "a member twice": (b'{"agent_id": "a", "agent_id": "b"}', "agent_id"),
    "a member twice further in": (b'{"agent_id": "a", "x": [{"y": 1, "y": 2}]}', "y"),
    "NaN in what nobody asked for": (b'{"agent_id": "a", "x": NaN}', "x"),
    "bad UTF-8": (b'{"agent_id": "\xff"}', None),
    "half a surrogate pair": (b'{"agent_id": "\\ud800"}', None),
    "NUL": (b'{"agent_id": "a\\u0000"}', "agent_id"),
    "nested 100 deep": (f'{{"agent_id": "a", "x": {deep(100)}}}'.encode(), None),
    "nested 100,000 deep": (f'{{"agent_id": "a", "x": {deep(100_000)}}}'.encode(), None),
    "an array": (b'[{"agent_id": "a"}]', None),
    "a text": (b'"agent_id"', None),
    "null": (b"null", None),
    "not JSON": (b"agent_id=a", None),
    "cut off": (b'{"agent_id": "a"', None),
    "two documents": (b'{"agent_id": "a"} {}', None),
    "empty": (b"", "agent_id"),
    "spaces": (b" \n ", "agent_id"),
    "a byte order mark": (b'\xef\xbb\xbf{"agent_id": "a"}', None),
    "wrong type": (b'{"agent_id": 5}', "agent_id"),
    "a fraction of a second": (b'{"agent_id": "a", "ttl": 1.5}', "ttl"),
    "an endless life": (b'{"agent_id": "a", "ttl": 99999999999999999999}', "ttl"),
    "a negative life": (b'{"agent_id": "a", "ttl": -1}', "ttl"),
    "scopes of a wrong type": (b'{"agent_id": "a", "scopes": [1]}', "scopes[0]"),
    "a budget of a wrong type": (b'{"agent_id": "a", "spend_limit": "5"}', "spend_limit"),
    "a budget named twice": (b'{"agent_id": "a", "scopes": ["spend:1", "spend:2"]}', "scopes"),
    "a budget that is none": (b'{"agent_id": "a", "scopes": ["spend:abc"]}', "scopes"),
}


@pytest.mark.parametrize(("body", "field"), BAD_BODIES.values(), ids=BAD_BODIES.keys())
def test_a_bad_body_is_a_400_that_names_the_field(haldir: Haldir, body: bytes, field: str | None) -> None:
    answer = haldir.post("/v1/sessions", body)
    assert (answer.status, answer.body["code"], answer.body.get("field")) == (400, "invalid_request", field)
    assert answer.body["error"]
    assert answer.body["request_id"] == answer.headers["x-request-id"]


def test_null_arguments_are_no_arguments_object(haldir: Haldir, session_id: str) -> None:
    answer = haldir.post("/v1/proxy/call", {"tool": "x", "session_id": session_id, "arguments": None})
    assert (answer.status, answer.body["field"]) == (400, "arguments")


BAD_QUERIES = {
    "/v1/audit?limit=abc": "limit",
    "/v1/audit?limit=": "limit",
    "/v1/audit?limit=0": "limit",
    "/v1/audit?limit=1001": "limit",
    "/v1/audit?limit=1.5": "limit",
    "/v1/audit?limit=99999999999999999999999": "limit",
    "/v1/audit?limit=1&limit=2": "limit",
    "/v1/audit?flagged=perhaps": "flagged",
    "/v1/audit?cursor=nonsense": "cursor",
    "/v1/audit?cursor=%00": "cursor",
    "/v1/audit?tool=%00": "tool",
    "/v1/audit?session_id=a%00b": "session_id",
    "/v1/sessions?limit=x": "limit",
}


@pytest.mark.parametrize(("path", "field"), BAD_QUERIES.items(), ids=BAD_QUERIES.keys())
def test_a_bad_query_is_a_400_that_names_the_field(haldir: Haldir, path: str, field: str) -> None:
    answer = haldir.get(path)
    assert (answer.status, answer.body["code"], answer.body["field"]) == (400, "invalid_request", field)


def test_a_query_of_a_thousand_fields_is_refused(haldir: Haldir) -> None:
    assert haldir.get("/v1/audit?" + "&".join(f"f{n}=1" for n in range(1000))).status == 400


@pytest.mark.parametrize(
    "path",
    [
        "/v1/sessions/%00",
        "/v1/sessions/%ff",
        "/v1/sessions/" + "x" * 8000,
        "/v1/keys/..%2f..",
        "/v1/calls/%F0%9F",
        "//v1/keys",
        "/v1/keys/",
    ],
)
def test_odd_paths_are_unknown_or_malformed(haldir: Haldir, path: str) -> None:
    assert haldir.get(path).status in {400, 404, 405}


BAD_CREDENTIALS = [None, "x", "hld_" + "A" * 43, "é" * 20, "x" * 20_000, "Bearer", "' OR 1=1 --"]


@pytest.mark.parametrize("key", BAD_CREDENTIALS, ids=range(len(BAD_CREDENTIALS)))
def test_who_bears_no_credential_of_ours_is_told_so(haldir: Haldir, key: str | None) -> None:
    headers = {"authorization": key} if key else {}
    answer = haldir.get("/v1/keys", key=None, **headers)
    assert (answer.status, answer.body["code"]) == (401, "unauthenticated")
    assert answer.headers["www-authenticate"] == 'Bearer realm="haldir"'


@pytest.mark.parametrize("header", ["Bearer {}", "bearer  {}", "{}"])
def test_the_credential_may_come_with_or_without_the_word_bearer(haldir: Haldir, header: str) -> None:
    assert haldir.get("/v1/keys", key=None, authorization=header.format(haldir.key)).status == 200
    assert haldir.get("/v1/keys", key=None, x_api_key=haldir.key).status == 200


def test_a_wrong_content_type_is_tolerated_if_the_body_is_json(haldir: Haldir) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "nonsense"):
        headers = {"Content-Type": content_type}
        assert haldir.post("/v1/sessions", {"agent_id": "a"}, **headers).status == 201


def test_javascript_clients_may_send_a_content_type_and_no_body(haldir: Haldir, session_id: str) -> None:
    headers = {"Content-Type": "application/json"}
    assert haldir.get(f"/v1/sessions/{session_id}", **headers).status == 200
    other = haldir.session()["session_id"]
    assert haldir.delete(f"/v1/sessions/{other}", **headers).status == 200
    assert haldir.post(f"/v1/sessions/{session_id}/check", **headers).body["field"] == "scope"


def test_a_body_that_is_too_large_is_a_413_and_the_next_request_works(haldir: Haldir) -> None:
    answer = haldir.post("/v1/sessions", {"agent_id": "a", "x": "y" * (5 << 20)})
    assert (answer.status, answer.body["code"], answer.body["max_bytes"]) == (413, "payload_too_large", BODY_BYTES_MAX)
    largest = b'{"agent_id": "a", "x": "' + b"y" * (BODY_BYTES_MAX - 26) + b'"}'
    assert len(largest) == BODY_BYTES_MAX
    assert haldir.post("/v1/sessions", largest).status == 201
    assert haldir.post("/v1/sessions", largest + b" ").status == 413


def test_a_stranger_who_sends_a_large_body_is_heard_out_but_not_listened_to(haldir: Haldir) -> None:
    large = {"agent_id": "a", "x": "y" * (5 << 20)}
    assert haldir.post("/v1/sessions", large, key=None).status == 401
    assert haldir.post("/v1/sessions", large, key="hld_unknown").status == 401
    bootstrap = haldir.post("/v1/keys", {"name": "y" * (1 << 15)}, key=None)
    assert (bootstrap.status, bootstrap.body["max_bytes"]) == (413, STRANGERS_BODY_BYTES_MAX)


def test_a_chunked_body_that_is_too_large_is_a_413(haldir: Haldir) -> None:
    chunk = b"10000\r\n" + b"y" * 0x10000 + b"\r\n"
    answer = raw(haldir, head(haldir, "Transfer-Encoding: chunked") + chunk * 40 + b"0\r\n\r\n")
    assert answer.status == 413


def test_a_body_that_never_ends_is_a_408_and_the_next_request_works(haldir: Haldir) -> None:
    began = time.monotonic()
    answer = raw(haldir, head(haldir, "Content-Length: 1000") + b'{"agent_id"')
    assert (answer.status, answer.body["code"]) == (408, "request_timeout")
    assert answer.headers["connection"] == "close"
    assert time.monotonic() - began < 10
    assert haldir.post("/v1/sessions", {"agent_id": "a"}).status == 201


def test_a_stranger_whose_body_never_ends_does_not_keep_the_connection(haldir: Haldir) -> None:
    answer = raw(haldir, b"POST /v1/sessions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
    assert (answer.status, answer.headers["connection"]) == (408, "close")


def test_a_client_that_hangs_up_midway_harms_nobody(haldir: Haldir) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", haldir.port)) as connection:
            connection.sendall(head(haldir, "Content-Length: 1000") + b'{"agent_id"')
    assert haldir.get("/healthz").status == 200


def test_random_bytes_as_bodies_never_make_a_5xx(haldir: Haldir, session_id: str) -> None:
    chance = random.Random(4253)
    seed = json.dumps({"session_id": session_id, "action": "x", "cost_usd": 1.5, "details": {"a": [1, None]}}).encode()
    for _ in range(300):
        body = bytearray(seed)
        for _ in range(chance.randint(1, 6)):
            body[chance.randrange(len(body))] = chance.randrange(256)
        answer = haldir.post("/v1/audit", bytes(body))
        assert answer.status in {201, 400, 401}, (bytes(body), answer)


def head(haldir: Haldir, *lines: str) -> bytes:
    told = ["POST /v1/sessions HTTP/1.1", "Host: x", f"Authorization: Bearer {haldir.key}", *lines]
    return "\r\n".join([*told, "", ""]).encode()


def raw(haldir: Haldir, sent: bytes) -> Answer:
    with socket.create_connection(("127.0.0.1", haldir.port), timeout=20) as connection:
        connection.sendall(sent)
        response = http.client.HTTPResponse(connection)
        response.begin()
        return answer_of(response)


def test_every_operation_refuses_garbage_in_every_field(haldir: Haldir) -> None:
    garbage: list[Any] = [None, True, -1, 2**70, 1e300, "", "\0", "x" * 70_000, "é\ud7ff", [], [[]], {}, {"a": None}]
    documents = haldir.get("/openapi.json").body
    for path, verbs in documents["paths"].items():
        for method, verb in verbs.items():
            schema = verb.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
            if "$ref" in schema:
                schema = documents["components"]["schemas"][schema["$ref"].rsplit("/", 1)[1]]
            where = path.replace("{", "").replace("}", "")
            for value in garbage:
                body = dict.fromkeys(schema.get("properties", {}), value)
                answer = haldir.ask(method.upper(), where, body if method == "post" else None)
                assert answer.status < 500, (method, path, value, answer)


IDS = {
    "session": ("DELETE", "/v1/sessions/{}", None),
    "agent": ("DELETE", "/v1/agents/{}", None),
    "upstream": ("DELETE", "/v1/proxy/upstreams/{}", None),
    "policy": ("DELETE", "/v1/proxy/policies/{}", None),
    "payment": ("POST", "/v1/payments/authorize", {"session_id": "{}", "amount": 1}),
    "call": ("POST", "/v1/proxy/call", {"session_id": "{}", "tool": "{}"}),
    "parent": ("POST", "/v1/sessions", {"agent_id": "a", "parent_session_id": "{}"}),
    "audit": ("POST", "/v1/audit", {"session_id": "{}", "action": "{}"}),
}


@pytest.mark.parametrize("length", [2_000, 20_000])
@pytest.mark.parametrize("kind", IDS)
def test_an_id_of_any_length_is_refused_in_plain_words(haldir: Haldir, kind: str, length: int) -> None:
    method, path, body = IDS[kind]
    name = '"' * (length // 2) + "x" * (length // 2)  # Escaped, an entry holds it at half as much again.
    told = None if body is None else {key: name if text == "{}" else text for key, text in body.items()}
    answer = haldir.ask(method, path.format(quote(name, safe="")), told)
    assert 400 <= answer.status < 500
    assert answer.body["error"]
