"""The SDK against a real server: the same verbs called and awaited, typed from the catalogue."""

import asyncio
import inspect
import json
import runpy
import threading
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from haldir import (
    HaldirAPIError,
    HaldirAsyncClient,
    HaldirAuthError,
    HaldirClient,
    HaldirNotFoundError,
    HaldirPermissionError,
)
from haldir.client import ServerFailed
from haldir.operations.download import Download
from haldir.operations.everything import OPERATIONS
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir

TOOL = Path(__file__).parent.parent / "tools" / "sdk.py"
CLIENT = Path(__file__).parent.parent / "src" / "haldir" / "client"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


def test_what_is_checked_in_is_what_the_catalogue_says() -> None:
    for name, text in runpy.run_path(str(TOOL))["sources"]().items():
        assert (CLIENT / name).read_text(encoding="utf-8") == text, f"{name} is behind the catalogue: make sdk"


def test_every_public_verb_is_a_method_of_both_clients() -> None:
    for operation in OPERATIONS:
        called, awaited = getattr(HaldirClient, operation.name), getattr(HaldirAsyncClient, operation.name)
        assert inspect.signature(called).parameters == inspect.signature(awaited).parameters
        assert inspect.iscoroutinefunction(awaited) == (operation.response is not Download)


def test_the_classic_quick_start(haldir: Haldir) -> None:
    with HaldirClient(haldir.key, haldir.url) as client:
        session = client.create_session("my-agent", scopes=["read", "spend:50"])
        assert session["spend_limit"] == 50.0
        session_id = session["session_id"]
        client.store_secret("stripe", "sk_live_1")
        assert client.get_secret("stripe", session_id)["value"] == "sk_live_1"
        paid = client.authorize_payment(session_id, 29.99)
        assert (paid["authorized"], paid["remaining_budget"]) == (True, 20.01)
        logged = client.log_action(session_id, tool="stripe", action="charge", cost_usd=29.99)
        assert logged["logged"]
        trail = client.get_audit_trail(session_id)
        assert trail["entries"][0]["entry_id"] == logged["entry_id"]
        assert client.check_permission(session_id, "read")["allowed"]
        assert client.revoke_session(session_id)["revoked"]
        assert not client.check_permission(session_id, "read")["allowed"]


def test_an_export_is_read_piece_by_piece(haldir: Haldir) -> None:
    with HaldirClient(haldir.key, haldir.url) as client:
        called = b"".join(client.export_audit(kind="tenant.create"))

    async def awaited() -> bytes:
        async with HaldirAsyncClient(haldir.key, haldir.url) as client:
            return b"".join([chunk async for chunk in client.export_audit(kind="tenant.create")])

    assert asyncio.run(awaited()) == called
    entry, manifest = [json.loads(line) for line in called.splitlines()]
    assert (entry["kind"], manifest["count"]) == ("tenant.create", 1)


def test_a_session_lives_as_long_as_its_block(haldir: Haldir) -> None:
    client = HaldirClient(haldir.key, haldir.url)
    with client.session("agent", scopes=["read"], spend_limit=10) as session:
        assert (session.may("read"), session.may("write")) == (True, False)
        assert session.pay(2.5, description="lunch")["remaining_budget"] == 7.5
        assert session.show()["spent"] == 2.5
        assert session.log("ate", details={"what": "soup"})["logged"]
        client.store_secret("recipe", "salt")
        assert session.secret("recipe") == "salt"
        assert session.token not in repr(session)
        with HaldirClient(session.token, haldir.url) as itself:
            assert itself.get_session(session.id)["agent_id"] == "agent"
    assert not session.may("read")

    def fail() -> None:
        with client.session("agent") as broken:
            opened.append(broken)
            raise KeyError("the agent's own fault")

    opened: list[Any] = []
    with pytest.raises(KeyError):
        fail()
    assert not opened[0].may("read")


def test_the_same_awaited_many_at_once(haldir: Haldir) -> None:
    async def run() -> None:
        async with HaldirAsyncClient(haldir.key, haldir.url) as client:
            async with client.session("agent", ["read"], spend_limit=100) as session:
                paid = await asyncio.gather(*(session.pay(3.0) for _ in range(20)))
                assert {each["authorized"] for each in paid} == {True}
                assert (await session.show())["spent"] == 60.0
                assert await session.may("read")
                await client.store_secret("shared.name", "v")
                assert await session.secret("shared.name") == "v"
                assert (await session.log("did"))["logged"]
            assert not await session.may("read")
            assert (await client.get_tree_head())["tree_size"] > 20
            with pytest.raises(HaldirNotFoundError):
                await client.get_session(session.id)

    asyncio.run(run())


def test_refusals_are_errors_of_their_kind_with_code_hint_and_body(haldir: Haldir) -> None:
    client = HaldirClient(haldir.key, haldir.url)
    session = client.create_session("poor", ["read"], spend_limit=1)["session_id"]
    with pytest.raises(HaldirPermissionError) as refused:
        client.authorize_payment(session, 5)
    error = refused.value
    assert (error.status_code, error.code, error.body["authorized"]) == (403, "budget_exceeded", False)
    assert error.hint
    assert error.request_id
    with pytest.raises(HaldirNotFoundError):
        client.delete_secret("never stored")
    with pytest.raises(HaldirAuthError):
        HaldirClient("hld_wrong", haldir.url).list_keys()
    assert issubclass(HaldirAuthError, HaldirAPIError)
    assert haldir.key not in repr(client)


Ask = Callable[[str], Any]


def asked_by_call(url: str) -> Any:
    with HaldirClient("k", url, timeout=5) as client:
        return client.create_session("a")


def asked_by_awaiting(url: str) -> Any:
    async def ask() -> Any:
        async with HaldirAsyncClient("k", url, timeout=5) as client:
            return await client.create_session("a")

    coroutine: Awaitable[Any] = ask()
    return asyncio.run(coroutine)  # type: ignore[arg-type]


@pytest.mark.parametrize("ask", [asked_by_call, asked_by_awaiting])
def test_a_server_that_was_away_is_asked_again_with_the_same_idempotency_key(ask: Ask) -> None:
    away = (503, b'{"code": "unavailable", "error": "Later."}')
    with scripted([away, away, (201, b'{"session_id": "ses_1"}')]) as server:
        assert ask(server.url) == {"session_id": "ses_1"}
    first, *others = server.keys
    assert len(first) == 32
    assert others == [first, first]


@pytest.mark.parametrize("ask", [asked_by_call, asked_by_awaiting])
@pytest.mark.parametrize("code", ["outcome_unknown", "internal_error"])
def test_what_may_have_happened_is_not_asked_again(ask: Ask, code: str) -> None:
    answer = (503, b'{"code": "%s", "error": "Perhaps."}' % code.encode())
    with scripted([answer]) as server, pytest.raises(ServerFailed) as failed:
        ask(server.url)
    assert failed.value.code == code
    assert len(server.keys) == 1


class scripted:  # noqa: N801 - reads as a function.
    """A server that gives these answers, and remembers the idempotency keys it was asked with."""

    def __init__(self, answers: list[tuple[int, bytes]]) -> None:
        self.keys: list[str] = []
        script, keys = iter(answers), self.keys

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                keys.append(self.headers["Idempotency-Key"])
                status, body = next(script)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class calls it so.
                """Keep the test's output to itself."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
