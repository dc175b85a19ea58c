"""`haldir-mcp`: an MCP client that starts a program finds there what `/mcp` offers, in both eras."""

import asyncio
import json
import sys
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from mcp.client.client import Client

from harness.eventually import eventually
from harness.haldir import Haldir
from harness.messages import ENVELOPE, call, initialize, request
from harness.piped import Piped, started_client
from harness.threads import http_upstream, running_haldir
from upstreams import raw, sample
from upstreams.raw import raw_upstream
from upstreams.serving import free_port, serving

EXTRAS = {
    "haldir_list_secrets",
    "haldir_verify_audit_chain",
    "haldir_get_tree_head",
    "haldir_get_inclusion_proof",
    "haldir_get_consistency_proof",
    "haldir_request_approval",
    "haldir_get_approval_status",
    "haldir_compliance_score",
    "haldir_build_evidence_pack",
}


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """One with a real server, and one whose calls never end."""
    with serving(sample.app()) as url, raw_upstream(raw.hang) as slow:
        upstreams = http_upstream("new", f"{url}/mcp"), http_upstream("slow", slow.url)
        with running_haldir(tmp_path_factory.mktemp("stdio"), *upstreams) as running:
            yield running


def started(haldir: Haldir, credential: str, mode: str) -> AbstractAsyncContextManager[Client]:
    return started_client(haldir.url, credential, mode)


def modern(method: str, number: Any = 1, **params: Any) -> dict[str, Any]:
    return request(method, {**params, "_meta": ENVELOPE}, number)


def said(result: Any) -> Any:
    return json.loads(result["content"][0]["text"])


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_an_official_client_finds_own_tools_upstreams_prompts_and_resources(haldir: Haldir, mode: str) -> None:
    agent = {"name": f"agent-{mode}", "scopes": ["execute", "read"], "spend_limit": 5}
    credential = haldir.rest("POST", "/v1/agents", agent)["key"]

    async def talk() -> None:
        told: list[float] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK calls it by these names.
            told.append(progress)

        async with started(haldir, credential, mode) as client:
            names = [tool.name for tool in (await client.list_tools()).tools]
            assert names[0] == "getSession"
            assert {"new__add", "new__count", "slow__do"} <= set(names)
            shown = (await client.call_tool("getSession", {})).structured_content
            assert shown is not None
            assert shown["agent_id"] == f"agent-{mode}"
            assert text(await client.call_tool("new__add", {"a": 1, "b": 2})) == "3"
            assert text(await client.call_tool("new__count", {"steps": 3}, progress_callback=hear)) == "counted to 3"
            assert told == [1, 2, 3]
            assert text(await client.call_tool("new__routed", {"region": "élan"})) == "élan"
            assert "budget-check" in [prompt.name for prompt in (await client.list_prompts()).prompts]
            assert "getSession" in str((await client.get_prompt("budget-check", {})).messages)
            assert (await client.read_resource("note://one")).contents[0].text == "a note"  # type: ignore[union-attr]

    asyncio.run(talk())


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_an_api_key_has_the_tools_that_only_stdio_clients_know(haldir: Haldir, mode: str) -> None:
    async def talk() -> None:
        async with started(haldir, haldir.key, mode) as client:
            by_stdio = {tool.name for tool in (await client.list_tools()).tools}
            by_http = {
                each["name"]
                for each in haldir.rpc("/mcp", request("tools/list"), haldir.key).message["result"]["tools"]
            }
            assert by_stdio - by_http == EXTRAS
            assert by_http < by_stdio
            for name, argument in (
                ("haldir_verify_audit_chain", {}),
                ("verify_audit_chain", {}),
                ("get_tree_head", {}),
                ("haldir_get_inclusion_proof", {"entry_id": entry(haldir)}),
                ("haldir_get_consistency_proof", {"first": 1}),
                ("haldir_list_secrets", {}),
            ):
                answer = await client.call_tool(name, argument)
                assert not answer.is_error, answer

    asyncio.run(talk())


def test_a_person_is_asked_and_what_they_said_is_read(haldir: Haldir) -> None:
    with Piped(haldir.url, haldir.token("read")) as piped:
        asked = call("haldir_request_approval", 1, action="deploy", reason="it is Friday", expires_in_s=60)
        name = said(piped.ask(asked)["result"])["request_id"]
        haldir.rest("POST", f"/v1/approvals/{name}/approve")
        told = said(piped.ask(call("get_approval_status", 2, approval_id=name))["result"])
        assert (told["status"], told["action"]) == ("approved", "deploy")


def entry(haldir: Haldir) -> str:
    found: str = haldir.rest("GET", "/v1/audit?kind=all&limit=1")["entries"][0]["entry_id"]
    return found


def test_what_comes_back_is_byte_for_byte_what_http_answers(haldir: Haldir) -> None:
    token = haldir.token("execute", spend_limit=5)
    odd = b'{"jsonrpc":"2.0","id":"\\u00e9","method":"tools/call","params":{"name":"new__echo","arguments":{"text":"\\u2028 \xc3\xa9","amount":1.50}}}'
    with Piped(haldir.url, token) as piped:
        piped.send(odd)
        assert piped.line().rstrip(b"\n") == haldir.rpc("/mcp", odd, token, accept="application/json").raw
        assert piped.ask(b' {"method":"ping","id":18446744073709551615,"jsonrpc":"2.0"} ')["id"] == 18446744073709551615


def test_many_requests_are_on_their_way_at_once_and_each_gets_its_one_answer(haldir: Haldir) -> None:
    with Piped(haldir.url, haldir.token()) as piped:
        piped.send(call("slow__do", "slow"))
        for number in range(50):
            piped.send(call("new__add", number, a=number, b=1))
        answers = [piped.receive() for _ in range(50)]
        assert {each["id"]: each["result"]["content"][0]["text"] for each in answers} == {
            number: str(number + 1) for number in range(50)
        }


@pytest.mark.parametrize("era", ["handshake", "modern"])
def test_a_cancelled_request_ends_at_once_is_recorded_so_and_gets_no_answer(haldir: Haldir, era: str) -> None:
    asked = call("slow__do", "c") if era == "handshake" else modern("tools/call", "c", name="slow__do", arguments={})
    before = len(haldir.calls("indeterminate"))
    with Piped(haldir.url, haldir.token()) as piped:
        if era == "handshake":
            piped.ask(initialize())
        piped.send(asked)
        eventually(lambda: haldir.calls("open"))
        piped.send({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": "c"}})
        found = eventually(lambda: haldir.calls("indeterminate")[: -before or None])
        assert "cancelled" in found[0]["error"]
        assert piped.ask(call("new__add", 2, a=1, b=1))["id"] == 2
        assert piped.end()[:2] == (0, [])


def test_a_cancellation_that_comes_with_its_request_is_not_lost(haldir: Haldir) -> None:
    with Piped(haldir.url, haldir.token()) as piped:
        cancelled = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}}
        piped.send(json.dumps(call("slow__do", 7)).encode() + b"\n" + json.dumps(cancelled).encode())
        assert piped.end()[:2] == (0, [])


def test_a_modern_call_has_the_headers_its_tool_asks_for_though_nobody_listed_tools(haldir: Haldir) -> None:
    with Piped(haldir.url, haldir.token()) as piped:
        for region in ("north", "süd"):
            asked = modern("tools/call", 1, name="new__routed", arguments={"region": region})
            assert piped.ask(asked)["result"]["content"][0]["text"] == region


def test_what_was_negotiated_counts_for_what_follows(haldir: Haldir) -> None:
    session = haldir.session("read")["session_id"]
    asked = call("checkPermission", 2, session_id=session, scope="read")
    for version, structured in (("2025-11-25", True), ("2024-11-05", False)):
        opening = initialize()
        opening["params"]["protocolVersion"] = version
        with Piped(haldir.url, haldir.key) as piped:
            assert piped.ask(opening)["result"]["protocolVersion"] == version
            piped.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
            assert ("structuredContent" in piped.ask(asked)["result"]) is structured


def test_it_answers_what_was_asked_and_ends_cleanly_when_its_input_is_closed(haldir: Haldir) -> None:
    with Piped(haldir.url, haldir.token()) as piped:
        piped.send(call("new__count", 1, steps=2, pause_seconds=0.1))
        code, said_last, told = piped.end()
        assert (code, [each["id"] for each in said_last], told) == (0, [1], "")
    with Piped(haldir.url, haldir.token()) as piped:
        assert piped.end() == (0, [], "")


def test_lines_that_are_no_messages_are_answered_and_the_rest_goes_on(haldir: Haldir) -> None:
    with Piped(haldir.url, haldir.token()) as piped:
        for line in (b"hello", b"[]", b'{"jsonrpc"', b"\xff\xfe"):
            answer = piped.ask(line)
            assert (answer["id"], answer["error"]["code"]) == (None, -32700)
        piped.send(b"")
        assert piped.ask(b'"' + b"x" * (5 << 20) + b'"')["error"]["code"] == -32600
        assert piped.ask(b'{"id":1,"method":"ping"}')["error"]["code"] == -32600
        assert piped.ask(request("no/such", number=3))["error"]["code"] == -32601
        assert piped.ask(request("ping", number=4)) == {"jsonrpc": "2.0", "id": 4, "result": {}}


def test_a_server_that_is_not_there_is_told_to_the_client_and_once_to_people_until_it_is(tmp_path: Path) -> None:
    port = free_port()
    with Piped(f"http://127.0.0.1:{port}", "hld_none") as piped:
        for number in (1, 2):
            answer = piped.ask(request("tools/list", number=number))
            assert (answer["id"], answer["error"]["code"]) == (number, -32004)
            assert "haldir up" in answer["error"]["data"]["hint"]
        piped.send({"jsonrpc": "2.0", "method": "notifications/initialized"})
        with running_haldir(tmp_path, port=port):
            refused = piped.ask(request("ping", number=3))
            assert (refused["id"], refused["error"]["code"]) == (3, -32001)
        code, left, told = piped.end()
    assert (code, left) == (0, [])
    first, second = told.splitlines()
    assert "haldir up" in first
    assert "credential" in second


@pytest.mark.parametrize("breaking", [raw.half, raw.half_stream, raw.nothing])
def test_a_call_that_was_cut_off_may_have_run_and_says_so(breaking: raw.Answer) -> None:
    with raw_upstream(breaking) as cut, Piped(cut.url.removesuffix("/mcp"), "hla_any") as piped:
        answer = piped.ask(call("any__tool", 5))
        assert (answer["id"], answer["error"]["code"]) == (5, -32004)
        assert "may have run" in answer["error"]["data"]["hint"]


def test_an_address_that_is_not_haldirs_is_said_to_be_that() -> None:
    with raw_upstream(raw.page) as page, Piped(page.url.removesuffix("/mcp"), "hla_any") as piped:
        answer = piped.ask(call("any__tool", 5))
        assert (answer["id"], answer["error"]["code"]) == (5, -32004)
        assert "HALDIR_BASE_URL" in piped.end()[2]


@pytest.mark.parametrize(
    ("url", "credential", "named"),
    [
        ("http://127.0.0.1:4253", None, "HALDIR_API_KEY"),
        ("ftp://127.0.0.1", "hla_any", "HALDIR_BASE_URL"),
        ("http://127.0.0.1:port", "hla_any", "HALDIR_BASE_URL"),
    ],
)
def test_a_setting_that_is_wrong_or_missing_ends_it_with_one_line(url: str, credential: str | None, named: str) -> None:
    with Piped(url, credential) as piped:
        code, left, told = piped.end()
    assert (code, left, named in told, told.count("\n")) == (2, [], True, 1)
    assert "hla_any" not in told


def test_the_command_line_starts_the_same(haldir: Haldir) -> None:
    with Piped(haldir.url, haldir.token(), sys.executable, "-m", "haldir", "mcp", "serve") as piped:
        assert piped.ask(call("new__add", 2, a=1, b=1))["result"]["content"][0]["text"] == "2"
        assert piped.end() == (0, [], "")


def text(result: Any) -> str:
    words: str = result.content[0].text
    return words
