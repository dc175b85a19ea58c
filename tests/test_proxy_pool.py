"""The pool speaks with real servers of both eras over both transports, and outlives those that misbehave."""

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from haldir.kernel.errors import UpstreamError
from haldir.kernel.ids import TenantId
from haldir.proxy.environment import minimal_environment
from haldir.proxy.model import Upstream, UpstreamConfig
from haldir.proxy.pool import UpstreamPool
from harness.eventually import eventually
from upstreams import raw, sample
from upstreams.raw import raw_upstream
from upstreams.serving import free_port, serving

TENANT = TenantId("t" * 16)
SAMPLE = str(Path(__file__).parent / "upstreams" / "sample.py")
COMMAND = (sys.executable, SAMPLE)
TOOL_NAMES = {"add", "echo", "fail", "count", "ask", "environment", "crash", "routed"}


def upstream(transport: str = "http", version: int = 1, *, operator: bool = True) -> Upstream:
    return Upstream("up", transport, "", operator, (), version, 0)  # type: ignore[arg-type]


def in_pool(work: Callable[[UpstreamPool], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        pool = UpstreamPool(lambda: time.time_ns() // 1000, minimal_environment(os.environ))
        try:
            return await work(pool)
        finally:
            await pool.close()

    return asyncio.run(run())


async def call(
    pool: UpstreamPool,
    config: UpstreamConfig,
    tool: str,
    deadline_seconds: float = 10.0,
    *,
    transport: str = "http",
    on_notification: Callable[[bytes], None] = lambda _: None,
    **arguments: Any,
) -> Any:
    params = json.dumps({"name": tool, "arguments": arguments, "_meta": {"progressToken": "mine"}}).encode()
    answer = await pool.call_tool(
        TENANT, upstream(transport), config, params, deadline_seconds, on_notification=on_notification
    )
    return json.loads(answer)


def text(answer: Any) -> str:
    said: str = answer["result"]["content"][0]["text"]
    return said


MODERN_ONLY = "2026-07-28"
APPS = {"json": {"json_response": True}, "events": {}, "stateless": {"stateless": True}}


@pytest.mark.parametrize("kind", APPS)
def test_a_real_http_server_is_listed_and_called(kind: str) -> None:
    with serving(sample.app(**APPS[kind])) as url:

        async def work(pool: UpstreamPool) -> None:
            config = UpstreamConfig(url=f"{url}/mcp")
            definitions = await pool.list_tools(TENANT, upstream(), config)
            assert {each.name for each in definitions} == TOOL_NAMES
            assert text(await call(pool, config, "add", a=1, b=2)) == "3"
            assert (await call(pool, config, "fail", reason="no"))["result"]["isError"] is True
            assert pool.health(TENANT, "up").healthy

        in_pool(work)


def test_a_real_stdio_server_is_listed_and_called_by_many_at_once_with_their_own_progress() -> None:
    async def work(pool: UpstreamPool) -> None:
        config = UpstreamConfig(command=COMMAND)
        definitions = await pool.list_tools(TENANT, upstream("stdio"), config)
        assert {each.name for each in definitions} == TOOL_NAMES
        heard: dict[int, list[bytes]] = {steps: [] for steps in range(1, 6)}
        calls = [
            call(pool, config, "count", transport="stdio", on_notification=heard[steps].append, steps=steps)
            for steps in heard
        ]
        answers = await asyncio.gather(*calls)
        assert [text(answer) for answer in answers] == [f"counted to {steps}" for steps in heard]
        for steps, messages in heard.items():
            told = [json.loads(message)["params"] for message in messages]
            assert [each["progress"] for each in told] == list(range(1, steps + 1))
            assert {each["progressToken"] for each in told} == {"mine"}

    in_pool(work)


def test_arguments_that_a_server_wants_in_headers_are_repeated_there() -> None:
    with serving(sample.app()) as url:

        async def work(pool: UpstreamPool) -> None:
            config = UpstreamConfig(url=f"{url}/mcp")
            assert text(await call(pool, config, "routed", region="Grün & co")) == "Grün & co"

        in_pool(work)


def test_a_child_sees_only_a_minimal_environment_and_what_its_operator_gave_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALDIR_ROOT_KEY", "very secret")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "as secret")

    async def work(pool: UpstreamPool) -> list[str]:
        config = UpstreamConfig(command=COMMAND, env={"GIVEN": "yes"})
        names = ("HALDIR_ROOT_KEY", "AWS_SECRET_ACCESS_KEY", "GIVEN")
        return [text(await call(pool, config, "environment", transport="stdio", name=name)) for name in names]

    assert in_pool(work) == ["(unset)", "(unset)", "yes"]


def test_a_child_that_crashes_is_a_clear_error_and_the_next_call_gets_a_fresh_one() -> None:
    async def work(pool: UpstreamPool) -> None:
        config = UpstreamConfig(command=COMMAND)
        with pytest.raises(UpstreamError, match="process has exited") as broken:
            await call(pool, config, "crash", transport="stdio")
        assert broken.value.sent
        assert not pool.health(TENANT, "up").healthy
        assert text(await call(pool, config, "add", transport="stdio", a=2, b=2)) == "4"
        assert pool.health(TENANT, "up").healthy

    in_pool(work)


def test_no_child_outlives_the_pool(tmp_path: Path) -> None:
    script = tmp_path / "stubborn.py"
    script.write_text(
        "import os, signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        f"child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pids')!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(600)\n"
    )

    async def work(pool: UpstreamPool) -> None:
        with pytest.raises(UpstreamError, match="did not answer"):
            await call(
                pool,
                UpstreamConfig(command=(sys.executable, str(script)), deadline_seconds=1),
                "add",
                1.0,
                transport="stdio",
            )

    in_pool(work)
    for pid in (tmp_path / "pids").read_text().split():
        eventually(partial(has_ended, Path(f"/proc/{pid}/stat")))  # It was killed; dying takes a moment.


def has_ended(stat: Path) -> bool:
    """Tell whether a process is gone, or only waits to be noticed by whoever is its parent now."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_a_command_that_does_not_exist_was_not_sent_anything() -> None:
    async def work(pool: UpstreamPool) -> UpstreamError:
        with pytest.raises(UpstreamError) as broken:
            await call(pool, UpstreamConfig(command=("no-such-command-here",)), "add", transport="stdio")
        return broken.value

    error = in_pool(work)
    assert (error.sent, "No such file" in error.message) == (False, True)


MISBEHAVIOUR = {
    "hang": (raw.hang, "did not answer within 1 s", True),
    "garbage": (raw.garbage, "not an MCP message", True),
    "page": (raw.page, "not an MCP message", True),
    "nothing": (raw.nothing, "without an answer", True),
    "half": (raw.half, "midway", True),
    "half_stream": (raw.half_stream, "midway", True),
    "redirect": (raw.redirect, "redirected", False),
    "fault": (raw.fault, "HTTP status 500", True),
    "flood": (raw.flood, "exceeds 16 MiB", True),
    "endless_events": (raw.endless_events, "exceeds 16 MiB", True),
    "endless_line": (raw.endless_line, "too large", True),
}


@pytest.mark.parametrize("kind", MISBEHAVIOUR)
def test_a_misbehaving_upstream_is_a_clear_error_in_bounded_memory_and_recovers(kind: str) -> None:
    behave, sentence, sent = MISBEHAVIOUR[kind]

    async def work(pool: UpstreamPool) -> None:
        config = UpstreamConfig(url=upstream_server.url)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        with pytest.raises(UpstreamError, match=sentence) as broken:
            await call(pool, config, "do", 1.0 if kind == "hang" else 10.0)
        assert broken.value.sent is sent
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # Kilobytes.
        assert not pool.health(TENANT, "up").healthy
        upstream_server.on_call = raw.honest
        assert text(await call(pool, config, "do")) == "ok"
        assert pool.health(TENANT, "up").healthy

    with raw_upstream(behave) as upstream_server:
        in_pool(work)
        assert upstream_server.calls == 2


def test_an_upstream_that_is_down_was_not_sent_anything_and_recovers_when_it_is_up() -> None:
    port = free_port()

    async def work(pool: UpstreamPool) -> None:
        config = UpstreamConfig(url=f"http://127.0.0.1:{port}/mcp")
        with pytest.raises(UpstreamError, match="could not be reached") as broken:
            await call(pool, config, "add", a=1, b=1)
        assert not broken.value.sent
        with serving(sample.app(), port):
            assert text(await call(pool, config, "add", a=1, b=1)) == "2"

    in_pool(work)


def test_an_upstream_that_forgot_its_sessions_is_asked_for_a_new_one() -> None:
    port = free_port()

    async def work(pool: UpstreamPool) -> None:
        config = UpstreamConfig(url=f"http://127.0.0.1:{port}/mcp")
        for _ in range(2):
            server = serving(legacy_only(sample.app()), port)
            await asyncio.to_thread(server.__enter__)  # Beside the loop, which must see old connections close.
            assert text(await call(pool, config, "add", a=1, b=1)) == "2"
            await asyncio.to_thread(server.__exit__, None, None, None)

    in_pool(work)


def legacy_only(app: Any) -> Any:
    """A server from before 2026: it does not know the new version."""

    async def old(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http" and dict(scope["headers"]).get(b"mcp-protocol-version") == MODERN_ONLY.encode():
            await send({"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"Bad Request: Unsupported protocol version"})
            return
        await app(scope, receive, send)

    return old


def test_a_private_address_is_reached_only_for_the_operator() -> None:
    with serving(sample.app()) as url:

        async def work(pool: UpstreamPool) -> None:
            for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]"):
                config = UpstreamConfig(url=f"{url}/mcp".replace("127.0.0.1", host))
                with pytest.raises(UpstreamError, match="could not be reached") as broken:
                    await pool.list_tools(TENANT, upstream(operator=False), config)
                assert not broken.value.sent
                pool.forget(TENANT, "up")
            assert await pool.list_tools(TENANT, upstream(), UpstreamConfig(url=f"{url}/mcp"))

        in_pool(work)
