"""`/mcp/{upstream}`: an official client cannot tell it from the upstream, except where something is refused or hidden."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from mcp_types import ElicitResult

from harness.haldir import Haldir
from harness.messages import call, initialize, request
from harness.official import official_client
from harness.threads import http_upstream, running_haldir, stdio_upstream
from upstreams import sample
from upstreams.sample import Recorder
from upstreams.serving import serving

SAMPLE = str(Path(sample.__file__))
TOOL_NAMES = {"add", "echo", "fail", "count", "ask", "environment", "crash", "routed"}
KINDS = ("json", "events", "stdio")
MODES = ("legacy", "auto")


@pytest.fixture(scope="module")
def recorder() -> Recorder:
    return Recorder(sample.app(json_response=True))


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory, recorder: Recorder) -> Iterator[Haldir]:
    """One Haldir before three real servers."""
    stdio = stdio_upstream("stdio", sys.executable, SAMPLE)
    with serving(recorder) as json_url, serving(sample.app()) as events_url:
        upstreams = (
            http_upstream("json", f"{json_url}/mcp", x_upstream_key="the operator's"),
            http_upstream("events", f"{events_url}/mcp"),
            stdio,
        )
        with running_haldir(tmp_path_factory.mktemp("relay"), *upstreams) as running:
            yield running


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", KINDS)
def test_an_official_client_lists_and_calls(haldir: Haldir, kind: str, mode: str) -> None:
    async def talk() -> None:
        async with official_client(haldir, f"/mcp/{kind}", haldir.token(), mode) as client:
            assert {tool.name for tool in (await client.list_tools()).tools} == TOOL_NAMES
            assert text(await client.call_tool("add", {"a": 1, "b": 2})) == "3"
            failed = await client.call_tool("fail", {"reason": "not today"})
            assert failed.is_error
            assert "not today" in text(failed)
            assert (await client.read_resource("note://one")).contents[0].text == "a note"  # type: ignore[union-attr]
            assert "Hello you" in str((await client.get_prompt("greet", {"name": "you"})).messages)

    asyncio.run(talk())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("kind", ["events", "stdio"])
def test_progress_reaches_the_caller_before_the_answer(haldir: Haldir, kind: str, mode: str) -> None:
    async def talk() -> list[float]:
        told: list[float] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK calls it by these names.
            told.append(progress)

        async with official_client(haldir, f"/mcp/{kind}", haldir.token(), mode) as client:
            assert text(await client.call_tool("count", {"steps": 4}, progress_callback=hear)) == "counted to 4"
        return told

    assert asyncio.run(talk()) == [1, 2, 3, 4]


@pytest.mark.parametrize("kind", ["events", "stdio"])
def test_a_server_can_ask_its_client_in_the_middle_of_a_call(haldir: Haldir, kind: str) -> None:
    async def talk() -> str:
        async def answer(*_: Any) -> ElicitResult:
            return ElicitResult(action="accept", content={"sure": True})

        async with official_client(
            haldir, f"/mcp/{kind}", haldir.token(), "legacy", elicitation_callback=answer
        ) as client:
            return text(await client.call_tool("ask", {}))

    assert asyncio.run(talk()) == "accept"


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_to_tools_list_is_the_upstreams_own_without_what_the_session_may_not_call(
    haldir: Haldir, kind: str
) -> None:
    everything = haldir.ask_modern(f"/mcp/{kind}", "tools/list", {}, haldir.token())
    narrowed = haldir.ask_modern(
        f"/mcp/{kind}", "tools/list", {}, haldir.token(f"execute:{kind}:add", f"execute:{kind}:echo")
    )
    assert {tool["name"] for tool in everything.message["result"]["tools"]} == TOOL_NAMES
    kept = [tool for tool in everything.message["result"]["tools"] if tool["name"] in ("add", "echo")]
    assert narrowed.message["result"] == everything.message["result"] | {"tools": kept}
    assert narrowed.message["result"]["cacheScope"] == "private"


def test_a_call_outside_the_sessions_scopes_is_a_tool_error_that_says_so_and_is_recorded(haldir: Haldir) -> None:
    token = haldir.token("execute:json:add")
    answer = haldir.ask_modern("/mcp/json", "tools/call", {"name": "echo", "arguments": {"text": "hi"}}, token)
    assert answer.status == 200
    result = answer.message["result"]
    said = json.loads(result["content"][0]["text"])
    assert result["isError"] is True
    assert (said["code"], said["blocked_by"]) == ("scope_missing", "haldir")
    assert "execute:json:echo" in said["error"]
    assert said["call_id"].startswith("call_")
    newest = haldir.rest("GET", "/v1/audit?limit=1&kind=all")["entries"][0]
    assert "scope_missing" in json.dumps(newest)


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_over_budget_is_refused_and_a_failed_one_costs_nothing(haldir: Haldir, kind: str) -> None:
    session = haldir.session("execute", "spend", spend_limit=5)

    def buy(amount: float) -> Any:
        arguments = {"text": "bought", "amount": amount}
        return haldir.ask_modern(
            f"/mcp/{kind}", "tools/call", {"name": "echo", "arguments": arguments}, session["token"]
        ).message["result"]

    assert buy(3)["content"][0]["text"] == "bought for 3.0"
    refused = buy(3)
    assert json.loads(refused["content"][0]["text"])["code"] == "budget_exceeded"
    failing = {"name": "fail", "arguments": {"reason": "no", "amount": 2}}
    assert haldir.ask_modern(f"/mcp/{kind}", "tools/call", failing, session["token"]).message["result"]["isError"]
    assert haldir.rest("GET", f"/v1/sessions/{session['session_id']}")["spent"] == 3.0
    assert buy(2)["content"][0]["text"] == "bought for 2.0"


def test_a_method_other_than_a_call_needs_the_upstreams_scope(haldir: Haldir) -> None:
    params = {"uri": "note://one"}
    allowed = haldir.ask_modern(
        "/mcp/json", "resources/read", params, haldir.token("execute:json"), mcp_name="note://one"
    )
    assert allowed.message["result"]["contents"][0]["text"] == "a note"
    refused = haldir.ask_modern(
        "/mcp/json", "resources/read", params, haldir.token("execute:json:add"), mcp_name="note://one"
    )
    assert (refused.status, refused.body["error"]["data"]["code"]) == (403, "scope_missing")


def test_what_asks_nothing_of_the_upstream_needs_only_a_living_session(haldir: Haldir) -> None:
    token = haldir.token("execute:json:add")
    sealed = haldir.rpc("/mcp/json", initialize(), token).headers["mcp-session-id"]
    free = [f"notifications/{name}" for name in ("initialized", "cancelled", "progress", "roots/list_changed")]
    said: list[dict[str, Any]] = [{"jsonrpc": "2.0", "method": method, "params": {}} for method in free]
    said.append({"jsonrpc": "2.0", "id": 7, "result": {"action": "accept"}})
    answers = [haldir.rpc("/mcp/json", message, token, mcp_session_id=sealed).status for message in said]
    assert answers == [202] * 5
    other = {"jsonrpc": "2.0", "method": "notifications/other"}
    refused = haldir.rpc("/mcp/json", other, token, mcp_session_id=sealed)
    assert (refused.status, refused.body["error"]["data"]["code"]) == (403, "scope_missing")


def test_what_belongs_to_the_caller_never_reaches_the_upstream(haldir: Haldir, recorder: Recorder) -> None:
    recorder.seen.clear()
    secrets = {
        "cookie": "c=secret",
        "x_session_id": "ses_secret",
        "x_api_key": "secret",
        "x_other": "secret",
        "forwarded": "for=secret",
    }
    message = {"name": "add", "arguments": {"a": 1, "b": 1}}
    answer = haldir.ask_modern("/mcp/json", "tools/call", message, haldir.token(), traceparent="00-1-2-03", **secrets)
    assert answer.message["result"]["content"][0]["text"] == "2"
    seen = next(each for each in recorder.seen if "traceparent" in each)  # Haldir may list the tools first.
    assert set(seen) == {
        "host",
        "user-agent",
        "accept",
        "accept-encoding",
        "content-type",
        "content-length",
        "mcp-protocol-version",
        "mcp-method",
        "mcp-name",
        "traceparent",
        "x-upstream-key",
    }
    assert "secret" not in str(recorder.seen)
    assert seen["x-upstream-key"] == "the operator's"


def test_an_upstreams_session_is_of_no_use_to_another_session(haldir: Haldir) -> None:
    for kind in KINDS:
        mine, other = haldir.token(), haldir.token()
        opened = haldir.rpc(f"/mcp/{kind}", initialize(), mine)
        sealed = opened.headers["mcp-session-id"]
        haldir.rpc(
            f"/mcp/{kind}", {"jsonrpc": "2.0", "method": "notifications/initialized"}, mine, mcp_session_id=sealed
        )
        assert answers(haldir, kind, mine, sealed) == 200
        assert answers(haldir, kind, other, sealed) == 404
        assert answers(haldir, "json" if kind != "json" else "events", mine, sealed) == 404
        assert answers(haldir, kind, mine, "made-up") == 404
        assert haldir.delete(f"/mcp/{kind}", key=mine, mcp_session_id=sealed).status == 200
        assert answers(haldir, kind, mine, sealed) == 404


def answers(haldir: Haldir, kind: str, token: str, sealed: str) -> int:
    return haldir.rpc(f"/mcp/{kind}", call("add", a=1, b=1), token, mcp_session_id=sealed).status


def test_ids_and_unknown_members_travel_untouched(haldir: Haldir) -> None:
    message = {
        "jsonrpc": "2.0",
        "id": "x/ü",
        "method": "server/discover",
        "params": {
            "_meta": {
                "io.modelcontextprotocol/protocolVersion": "2026-07-28",
                "io.modelcontextprotocol/clientCapabilities": {},
                "mine": 1,
            }
        },
        "extra": [1],
    }
    answer = haldir.rpc(
        "/mcp/json", message, haldir.token(), mcp_protocol_version="2026-07-28", mcp_method="server/discover"
    )
    assert answer.body["id"] == "x/ü"
    unknown = haldir.ask_modern("/mcp/json", "no/such", {}, haldir.token())
    assert (unknown.status, unknown.body["error"]["code"]) == (404, -32601)


def test_each_handshake_session_of_a_stdio_upstream_has_its_own_process(haldir: Haldir) -> None:
    async def talk(crashing: str) -> str:
        async with (
            official_client(haldir, "/mcp/stdio", haldir.token(), "legacy") as one,
            official_client(haldir, "/mcp/stdio", haldir.token(), "legacy") as other,
        ):
            broken = await one.call_tool(crashing, {})
            assert broken.is_error
            assert json.loads(text(broken))["code"] == "upstream_error"
            return text(await other.call_tool("add", {"a": 2, "b": 2}))

    assert asyncio.run(talk("crash")) == "4"
    assert haldir.calls("indeterminate")[0]["tool"] == "crash"


def test_a_dead_session_and_a_bad_credential_are_401(haldir: Haldir) -> None:
    session = haldir.session("execute")
    haldir.rest("DELETE", f"/v1/sessions/{session['session_id']}")
    for token in (session["token"], "hst_nonsense", ""):
        for message in (request("ping"), call("add", a=1, b=1), initialize()):
            answer = haldir.rpc("/mcp/json", message, token)
            assert answer.status == 401, answer
            assert answer.headers["www-authenticate"].startswith("Bearer")
            assert answer.body["error"]["code"] == -32001


def test_an_api_key_acts_in_the_session_it_names(haldir: Haldir) -> None:
    session = haldir.session("execute")
    asked: dict[str, Any] = {"name": "add", "arguments": {"a": 1, "b": 4}}
    answer = haldir.ask_modern("/mcp/json", "tools/call", asked, haldir.key, x_session_id=session["session_id"])
    assert answer.message["result"]["content"][0]["text"] == "5"
    assert haldir.ask_modern("/mcp/json", "tools/call", asked, haldir.key).status == 400


def test_an_agent_key_is_all_a_client_needs(haldir: Haldir) -> None:
    agent = haldir.rest("POST", "/v1/agents", {"name": "coder", "scopes": ["execute"]})

    async def talk() -> str:
        async with official_client(haldir, "/mcp/events", agent["key"], "legacy") as client:
            return text(await client.call_tool("add", {"a": 20, "b": 3}))

    assert asyncio.run(talk()) == "23"


def test_an_unknown_upstream_is_404(haldir: Haldir) -> None:
    assert haldir.rpc("/mcp/nowhere", request("ping"), haldir.token()).status == 404


def text(result: Any) -> str:
    said: str = result.content[0].text
    return said
