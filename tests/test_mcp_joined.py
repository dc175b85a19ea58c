"""`/mcp`: the tools of every upstream behind one endpoint, for clients of either era, governed like any other."""

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haldir.faces.mcp.joined_names import joined_name, split_name
from haldir.faces.mcp.joined_offers import fits
from harness.haldir import Haldir
from harness.messages import ENVELOPE, HANDSHAKE, MODERN, call, request
from harness.official import official_client
from harness.threads import http_upstream, running_haldir, stdio_upstream
from upstreams import raw, sample
from upstreams.raw import raw_upstream
from upstreams.serving import serving

SAMPLE = str(Path(sample.__file__))


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """A modern server, one of old, one over stdio, and one that does not answer."""
    stdio = stdio_upstream("stdio", sys.executable, SAMPLE)
    with serving(sample.app()) as url, raw_upstream(raw.honest) as old:
        upstreams = (
            http_upstream("new", f"{url}/mcp"),
            http_upstream("old", old.url),
            stdio,
            http_upstream("down", "http://127.0.0.1:9/mcp"),
        )
        with running_haldir(tmp_path_factory.mktemp("joined"), *upstreams) as running:
            yield running


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_an_official_client_sees_all_tools_and_calls_them_wherever_they_are(haldir: Haldir, mode: str) -> None:
    async def talk() -> None:
        async with official_client(haldir, "/mcp", haldir.token(), mode) as client:
            names = {tool.name for tool in (await client.list_tools()).tools}
            assert {"new__add", "stdio__add", "old__do"} <= names
            assert not any(name.startswith("down") for name in names)
            for name in ("new__add", "stdio__add"):
                assert text(await client.call_tool(name, {"a": 1, "b": 2})) == "3"
            assert text(await client.call_tool("old__do", {})) == "ok"
            assert text(await client.call_tool("new__routed", {"region": "élan"})) == "élan"
            assert (await client.call_tool("new__fail", {"reason": "no"})).is_error

    asyncio.run(talk())


@pytest.mark.parametrize("mode", ["legacy", "auto"])
@pytest.mark.parametrize("upstream", ["new", "stdio"])
def test_progress_is_streamed_with_the_callers_own_token(haldir: Haldir, mode: str, upstream: str) -> None:
    async def talk() -> list[float]:
        told: list[float] = []

        async def hear(progress: float, total: float | None, message: str | None) -> None:  # noqa: ARG001 - the SDK calls it by these names.
            told.append(progress)

        async with official_client(haldir, "/mcp", haldir.token(), mode) as client:
            assert (
                text(await client.call_tool(f"{upstream}__count", {"steps": 3}, progress_callback=hear))
                == "counted to 3"
            )
        return told

    assert asyncio.run(talk()) == [1, 2, 3]


def test_the_list_holds_only_what_the_session_may_call_and_is_private(haldir: Haldir) -> None:
    token = haldir.token("execute:new:add", "execute:stdio:echo")
    result = haldir.ask_modern("/mcp", "tools/list", {}, token).body["result"]
    assert {tool["name"] for tool in result["tools"] if "__" in tool["name"]} == {"new__add", "stdio__echo"}
    assert (result["cacheScope"], result["ttlMs"], result["resultType"]) == ("private", 0, "complete")


def test_a_definition_differs_from_the_upstreams_only_in_its_name(haldir: Haldir) -> None:
    token = haldir.token()
    joined = haldir.ask_modern("/mcp", "tools/list", {}, token).body["result"]["tools"]
    alone = haldir.ask_modern("/mcp/new", "tools/list", {}, token).message["result"]["tools"]
    assert [tool for tool in joined if tool["name"].startswith("new__")] == [
        tool | {"name": f"new__{tool['name']}"} for tool in alone
    ]


def test_a_forbidden_call_and_one_of_no_known_tool_are_refused_with_a_reason(haldir: Haldir) -> None:
    narrow, wide = haldir.token("execute:new:add"), haldir.token()
    for token, name, code in (
        (narrow, "new__echo", "scope_missing"),
        (wide, "new__nope", "tool_not_found"),
        (wide, "nowhere__add", "tool_not_found"),
        (wide, "add", "tool_not_found"),
    ):
        result = haldir.rpc("/mcp", call(name, text="x"), token).body["result"]
        said = json.loads(result["content"][0]["text"])
        assert (result["isError"], said["code"], said["blocked_by"]) == (True, code, "haldir")


def test_an_upstream_that_is_down_is_a_clear_tool_error_and_costs_nothing(haldir: Haldir) -> None:
    answer = haldir.rpc("/mcp", call("down__do"), haldir.token())
    said = json.loads(answer.body["result"]["content"][0]["text"])
    assert answer.body["result"]["isError"] is True
    assert "down" in said["error"]


def test_versions_are_negotiated_and_the_eras_kept_apart(haldir: Haldir) -> None:
    token = haldir.token()
    for wanted, given in (
        ("2024-11-05", "2024-11-05"),
        ("2025-06-18", "2025-06-18"),
        ("1999-01-01", HANDSHAKE),
        (None, HANDSHAKE),
    ):
        answer = haldir.rpc("/mcp", request("initialize", {"protocolVersion": wanted, "capabilities": {}}), token)
        assert answer.body["result"]["protocolVersion"] == given
        assert answer.body["result"]["serverInfo"]["name"] == "haldir"
        assert "mcp-session-id" not in answer.headers
    discovered = haldir.ask_modern("/mcp", "server/discover", {}, token).body["result"]
    assert discovered["supportedVersions"] == [MODERN]
    future = {"_meta": {**ENVELOPE, "io.modelcontextprotocol/protocolVersion": "2031-01-01"}}
    refused = haldir.rpc(
        "/mcp",
        request("server/discover", future),
        token,
        mcp_protocol_version="2031-01-01",
        mcp_method="server/discover",
    )
    assert (refused.status, refused.body["error"]["code"]) == (400, -32022)
    assert refused.body["error"]["data"] == {"supported": [MODERN], "requested": "2031-01-01"}


def test_ping_notifications_and_unknown_methods_are_answered_as_the_protocol_asks(haldir: Haldir) -> None:
    token = haldir.token()
    assert haldir.rpc("/mcp", request("ping"), token).body["result"] == {}
    accepted = haldir.rpc("/mcp", {"jsonrpc": "2.0", "method": "notifications/initialized"}, token)
    assert (accepted.status, accepted.raw) == (202, b"")
    old = haldir.rpc("/mcp", request("no/such"), token)
    new = haldir.ask_modern("/mcp", "no/such", {}, token)
    assert (old.status, new.status) == (200, 404)
    assert old.body["error"]["code"] == new.body["error"]["code"] == -32601


def test_get_is_a_page_of_information_and_no_stream(haldir: Haldir) -> None:
    page = haldir.get("/mcp", key=None)
    assert (page.status, page.body["name"]) == (200, "haldir")
    assert haldir.get("/mcp", key=None, accept="text/event-stream").status == 405
    assert haldir.delete("/mcp", key=None).status == 405


def test_a_joint_name_means_one_tool_only() -> None:
    upstreams = {"a", "a__b", "c"}
    assert joined_name("a", "b__c", upstreams) == "a__b__c"
    assert joined_name("a__b", "c", upstreams) is None
    assert split_name("a__b__c", upstreams) == ("a", "b__c")
    assert split_name("c____x", upstreams) == ("c", "__x")
    assert split_name("x__y", upstreams) is None
    assert joined_name("c", "t" * 126, upstreams) is None


def test_a_header_that_contradicts_an_argument_is_refused(haldir: Haldir) -> None:
    token = haldir.token()
    haldir.ask_modern("/mcp", "tools/list", {}, token)
    asked: dict[str, Any] = {"name": "stdio__routed", "arguments": {"region": "north"}}
    right = haldir.ask_modern("/mcp", "tools/call", asked, token, mcp_param_region="north")
    assert right.message["result"]["content"][0]["text"] == "north"
    wrong = haldir.ask_modern("/mcp", "tools/call", asked, token, mcp_param_region="south")
    assert (wrong.status, wrong.body["error"]["code"]) == (400, -32020)


@pytest.mark.parametrize("mode", ["legacy", "auto"])
def test_an_official_client_gets_prompts_and_reads_resources_of_every_upstream(haldir: Haldir, mode: str) -> None:
    async def talk() -> None:
        async with official_client(haldir, "/mcp", haldir.token(), mode) as client:
            prompts = [prompt.name for prompt in (await client.list_prompts()).prompts]
            assert prompts == ["budget-check", "new__greet", "stdio__greet"]
            assert [str(found.uri) for found in (await client.list_resources()).resources] == ["note://one"]
            templates = (await client.list_resource_templates()).resource_templates
            assert [found.uri_template for found in templates] == ["note://{book}/page/{number}"]
            for upstream in ("new", "stdio"):
                assert "Hello you" in str((await client.get_prompt(f"{upstream}__greet", {"name": "you"})).messages)
            for uri, said in (("note://one", "a note"), ("note://log/page/7", "page 7 of log")):
                assert (await client.read_resource(uri)).contents[0].text == said  # type: ignore[union-attr]

    asyncio.run(talk())


def test_prompts_and_resources_of_an_upstream_need_the_scope_to_execute_on_it(haldir: Haldir) -> None:
    token = haldir.token("execute:stdio", "execute:new:add")
    prompts = haldir.ask_modern("/mcp", "prompts/list", {}, token).body["result"]
    assert [prompt["name"] for prompt in prompts["prompts"]] == ["budget-check", "stdio__greet"]
    assert (prompts["cacheScope"], prompts["ttlMs"], prompts["resultType"]) == ("private", 0, "complete")
    asked = {"name": "new__greet", "arguments": {"name": "you"}}
    refused = haldir.rpc("/mcp", request("prompts/get", asked), token)
    assert (refused.status, refused.body["error"]["data"]["code"]) == (403, "scope_missing")
    entries = haldir.rest("GET", "/v1/audit?kind=all&limit=20")["entries"]
    assert "scope_missing" in json.dumps(entries)
    nobody = haldir.token("execute:new:add")
    assert haldir.rpc("/mcp", request("resources/list"), nobody).body["result"] == {"resources": []}
    assert haldir.rpc("/mcp", request("resources/read", {"uri": "note://one"}), nobody).body["error"]["code"] == -32002


def test_what_is_read_is_told_in_the_callers_own_era(haldir: Haldir) -> None:
    token, asked = haldir.token(), {"uri": "note://one"}
    old = haldir.rpc("/mcp", request("resources/read", asked), token).body["result"]
    new = haldir.ask_modern("/mcp", "resources/read", asked, token, mcp_name="note://one").body["result"]
    assert old["contents"] == new["contents"]
    assert "resultType" not in old
    assert (new["resultType"], new["cacheScope"]) == ("complete", "private")


def test_what_nobody_offers_is_said_to_be_unknown(haldir: Haldir) -> None:
    token, uri = haldir.token(), "note://nowhere"
    old = haldir.rpc("/mcp", request("resources/read", {"uri": uri}), token)
    new = haldir.ask_modern("/mcp", "resources/read", {"uri": uri}, token, mcp_name=uri)
    assert (old.status, old.body["error"]["code"], old.body["error"]["data"]) == (200, -32002, {"uri": uri})
    assert (new.status, new.body["error"]["code"], new.body["error"]["data"]) == (400, -32602, {"uri": uri})
    for method, params in (
        ("prompts/get", {"name": "nowhere__greet"}),
        ("prompts/get", {}),
        ("resources/read", {}),
        ("resources/list", {"cursor": "2"}),
    ):
        assert haldir.rpc("/mcp", request(method, params), token).body["error"]["code"] == -32602


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("note://{book}/page/{number}", "note://log/page/7"),
        ("file:///{+path}", "file:///a/b"),
        ("search{?q,page}", "search"),
        ("plain", "plain"),
    ],
)
def test_a_template_fits_a_uri_that_may_have_come_of_it(template: str, uri: str) -> None:
    assert fits(template, uri)


@pytest.mark.parametrize(
    ("template", "uri"),
    [
        ("note://{book}/page/{number}", "note://log/7"),
        ("file:///{+path}", "http:///a/b"),
        ("a{x}a", "a"),
        ("a{x}b{y}b", "ab"),
        ("plain", "plainer"),
    ],
)
def test_a_template_fits_no_other_uri(template: str, uri: str) -> None:
    assert not fits(template, uri)


def test_a_template_of_many_expressions_is_read_in_one_go() -> None:
    assert not fits("{x}a" * 10_000 + "b", "a" * 50_000)


def text(result: Any) -> str:
    said: str = result.content[0].text
    return said
