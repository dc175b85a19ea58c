"""The client: every way that an answer can fail to be one is told apart."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from haldir.client import Connection, HaldirAPIError, ServerFailed, TurnedDown, Unreachable

KEY = "hld_very-secret"
ANSWERS = {
    "/ok": (200, b'{"a": 1}'),
    "/html": (200, b"<html>"),
    "/list": (200, b"[]"),
    "/refused": (403, b'{"error": "No.", "code": "policy_denied", "hint": "Ask.", "request_id": "r1"}'),
    "/payment": (403, b'{"authorized": false, "reason": "Too much."}'),
    "/gone": (404, b"<html>"),
    "/broken": (503, b'{"error": "Later.", "code": "unavailable"}'),
    "/redirect": (302, b"{}"),
}


class Canned(BaseHTTPRequestHandler):
    """Answers by path, and remembers what it was asked."""

    asked: list[tuple[str, str, str | None, bytes]]

    def do_GET(self) -> None:
        self.answer()

    def do_POST(self) -> None:
        self.answer()

    def answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.command, self.path, self.headers.get("Authorization"), body))  # type: ignore[attr-defined]
        status, content = ANSWERS[self.path.partition("?")[0]]
        self.send_response(status)
        self.send_header("Location", "/ok")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so.
        """Keep the test's output to itself."""


@pytest.fixture(scope="module")
def canned() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Canned)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def connection(canned: HTTPServer) -> Connection:
    canned.asked.clear()  # type: ignore[attr-defined]
    return Connection(f"http://127.0.0.1:{canned.server_port}/", KEY)


def test_an_answer_is_the_json_object_and_the_request_carries_the_credential(
    canned: HTTPServer, connection: Connection
) -> None:
    assert connection.get("/ok", a="x y", b=None, c=0) == {"a": 1}
    assert connection.post("/ok", {"n": 0.1}) == {"a": 1}
    assert canned.asked == [  # type: ignore[attr-defined]
        ("GET", "/ok?a=x+y&c=0", f"Bearer {KEY}", b""),
        ("POST", "/ok", f"Bearer {KEY}", b'{"n": 0.1}'),
    ]


@pytest.mark.parametrize(
    ("path", "kind", "status", "code", "message", "hint", "request_id"),
    [
        ("/refused", TurnedDown, 403, "policy_denied", "No.", "Ask.", "r1"),
        ("/payment", TurnedDown, 403, "http_403", "Too much.", "", ""),
        ("/gone", TurnedDown, 404, "http_404", "the answer was HTTP 404", "", ""),
        ("/broken", ServerFailed, 503, "unavailable", "Later.", "", ""),
        ("/redirect", ServerFailed, 302, "http_302", "the answer was HTTP 302", "", ""),
        ("/html", ServerFailed, 200, "not_haldir", "did not answer with JSON", "", ""),
        ("/list", ServerFailed, 200, "not_haldir", "did not answer with JSON", "", ""),
    ],
)
def test_what_is_no_answer_is_an_error_of_its_kind(
    connection: Connection,
    *,
    path: str,
    kind: type[HaldirAPIError],
    status: int,
    code: str,
    message: str,
    hint: str,
    request_id: str,
) -> None:
    with pytest.raises(kind) as raised:
        connection.get(path)
    error = raised.value
    assert (error.status_code, error.code, error.hint, error.request_id) == (status, code, hint, request_id)
    assert message in error.message


def test_a_redirect_is_not_followed_with_the_credential(canned: HTTPServer, connection: Connection) -> None:
    with pytest.raises(ServerFailed):
        connection.get("/redirect")
    assert [path for _, path, _, _ in canned.asked] == ["/redirect"]  # type: ignore[attr-defined]


def test_nobody_there_and_nobody_answering_are_told_apart_from_answers() -> None:
    with HTTPServer(("127.0.0.1", 0), Canned) as silent:  # It listens, but nobody accepts.
        with pytest.raises(Unreachable) as slow:
            Connection(f"http://127.0.0.1:{silent.server_port}", timeout_seconds=0.05).get("/ok")
        port = silent.server_port
    with pytest.raises(Unreachable) as nobody:
        Connection(f"http://127.0.0.1:{port}").get("/ok")
    assert (slow.value.code, nobody.value.code) == ("timeout", "unreachable")


@pytest.mark.parametrize("address", ["", "localhost:1", "ftp://x", "http://", "/path"])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(ValueError, match="address"):
        Connection(address)


def test_the_credential_does_not_show() -> None:
    assert KEY not in repr(Connection("http://x", KEY))
