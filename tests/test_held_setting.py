"""The way in which a held call comes back: what its key or agent is set to, as far as its client can take it."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import Message

from haldir.faces.mcp.held_ways import Way, way_of
from haldir.faces.mcp.inbound import Inbound, parse
from haldir.gate.model import HeldSetting
from harness.answers import Answer
from harness.databases import dsn_of
from harness.eventually import eventually
from harness.haldir import Haldir
from harness.messages import CAPABILITIES, ENVELOPE, HANDSHAKE, MODERN, request
from harness.official import official_client
from harness.threads import http_upstream, running_haldir
from upstreams import raw
from upstreams.raw import raw_upstream

TAKES_URL: dict[str, Any] = {CAPABILITIES: {"elicitation": {"url": {}}}}
LISTENS: dict[str, Any] = {"progressToken": 7}
BOTH = "application/json, text/event-stream"


async def nothing_more() -> Message:
    raise AssertionError


def asked(meta: dict[str, Any], *, modern: bool, accept: str = BOTH) -> Inbound:
    """Return a call as a client of this era sends it."""
    params = {"name": "do", "_meta": {**(ENVELOPE if modern else {}), **meta}}
    version = MODERN if modern else HANDSHAKE
    body = json.dumps(request("tools/call", params)).encode()
    return parse(body, {"accept": accept, "mcp-protocol-version": version}, nothing_more)


CLIENTS = {
    "old": asked({}, modern=False),
    "old, listens": asked(LISTENS, modern=False),
    "old, listens under a word": asked({"progressToken": "p"}, modern=False),
    "old, listens, JSON alone": asked(LISTENS, modern=False, accept="application/json"),
    "old, says it takes a URL": asked(TAKES_URL, modern=False),
    "new": asked({}, modern=True),
    "new, listens": asked(LISTENS, modern=True),
    "new, JSON alone": asked({}, modern=True, accept="application/json"),
    "new, takes a URL": asked(TAKES_URL, modern=True),
    "new, takes a URL, listens": asked(TAKES_URL | LISTENS, modern=True),
    "new, takes a form": asked({CAPABILITIES: {"elicitation": {"form": {}}}}, modern=True),
}
WAYS: dict[HeldSetting, dict[str, Way]] = {
    "auto": {
        "old, listens": "stream",
        "old, listens under a word": "stream",
        "new, listens": "stream",
        "new, takes a URL": "input",
        "new, takes a URL, listens": "input",
    },
    "plain": {},
    "stream": {name: "stream" for name in CLIENTS if "JSON alone" not in name},
    "input": {name: "input" for name in CLIENTS if name.startswith("new")},
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("setting", WAYS)
def test_a_setting_and_what_the_client_declares_make_the_way(setting: HeldSetting, client: str) -> None:
    assert way_of(setting, CLIENTS[client]) == WAYS[setting].get(client, "plain")


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """A Haldir that holds every call, and waits for a person hardly at all."""
    with raw_upstream(raw.honest) as upstream:
        folder = tmp_path_factory.mktemp("data")
        with running_haldir(
            folder, http_upstream("up", upstream.url), dsn=dsn_of(request), held_seconds=0.1
        ) as running:
            running.rest("POST", "/v1/approvals/rules", {"type": "tool_blocked", "tools": ["up.do"]})
            yield running


def call(haldir: Haldir, token: str, **headers: str) -> Answer:
    """Call as a client that could take any way."""
    params = {"name": "do", "_meta": {**TAKES_URL, **LISTENS}}
    return haldir.ask_modern("/mcp/up", "tools/call", params, token, **headers)


def way(haldir: Haldir, token: str, **headers: str) -> str:
    answer = call(haldir, token, **headers)
    if answer.headers["content-type"] == "text/event-stream":
        return "stream"
    return "input" if answer.body["result"]["resultType"] == "input_required" else "plain"


@pytest.mark.parametrize(
    ("held", "expected"), [(None, "input"), ("plain", "plain"), ("stream", "stream"), ("input", "input")]
)
def test_an_agent_has_its_calls_come_back_as_it_was_set(haldir: Haldir, held: str | None, expected: str) -> None:
    name = f"agent-{held}"
    given = {"held": held} if held else {}
    agent = haldir.rest("POST", "/v1/agents", {"name": name, "scopes": ["execute"], **given})
    assert way(haldir, agent["key"]) == expected
    assert listed(haldir, "agents", "name", name)["held"] == (held or "auto")
    assert haldir.rest("PUT", f"/v1/agents/{name}/held", {"held": "plain"}) == {"name": name, "held": "plain"}
    assert way(haldir, agent["key"]) == "plain"
    assert listed(haldir, "agents", "name", name)["held"] == "plain"


def test_a_key_has_them_come_back_so_to_itself_and_to_the_sessions_it_opened(haldir: Haldir) -> None:
    made = haldir.rest("POST", "/v1/keys", {"name": "k", "held": "stream"})
    key, path = made["key"], f"/v1/keys/{made['prefix']}/held"
    session = haldir.post("/v1/sessions", {"agent_id": "a", "scopes": ["execute"]}, key=key).body
    below = {"agent_id": "b", "scopes": ["execute"], "parent_session_id": session["session_id"]}
    tokens = [session["token"], haldir.post("/v1/sessions", below, key=key).body["token"]]
    for expected in ("stream", "plain", "input"):
        assert haldir.rest("PUT", path, {"held": expected}) == {"prefix": made["prefix"], "held": expected}
        assert [way(haldir, token) for token in tokens] == [expected, expected]
        assert way(haldir, key, x_session_id=session["session_id"]) == expected
        assert listed(haldir, "keys", "prefix", made["prefix"])["held"] == expected
    assert way(haldir, haldir.token()) == "input"


def test_a_client_that_takes_no_page_gets_the_state_alone_where_the_key_says_so(haldir: Haldir) -> None:
    agent = haldir.rest("POST", "/v1/agents", {"name": "stateful", "scopes": ["execute"], "held": "input"})
    result = haldir.ask_modern("/mcp/up", "tools/call", {"name": "do"}, agent["key"]).body["result"]
    assert set(result) == {"resultType", "requestState", "_meta"}
    haldir.rest("POST", f"{result['_meta']['haldir/approval']['url']}/approve")
    params = {"name": "do", "requestState": result["requestState"]}
    done = haldir.ask_modern("/mcp/up", "tools/call", params, agent["key"]).message["result"]
    assert done["content"][0]["text"] == "ok"


@pytest.mark.parametrize("approved", [True, False])
def test_an_official_client_with_the_state_alone_comes_back_until_it_is_told_plainly(
    haldir: Haldir, *, approved: bool
) -> None:
    name = f"patient-{approved}"
    agent = haldir.rest("POST", "/v1/agents", {"name": name, "scopes": ["execute"], "held": "input"})

    def approve() -> None:
        (waiting,) = eventually(lambda: haldir.get(f"/v1/approvals/pending?agent_id={name}").body["requests"])
        haldir.rest("POST", f"/v1/approvals/{waiting['request_id']}/approve")

    async def talk() -> str:
        async with official_client(haldir, "/mcp", agent["key"]) as client:
            asking = asyncio.create_task(client.call_tool("up__do", {}))
            if approved:
                await asyncio.to_thread(approve)
            text: str = (await asking).content[0].text  # type: ignore[union-attr]
            return text

    assert (asyncio.run(talk()) == "ok") is approved


def test_what_is_no_setting_no_key_or_no_agent_is_refused(haldir: Haldir) -> None:
    made = haldir.rest("POST", "/v1/keys", {"name": "k"})
    path = f"/v1/keys/{made['prefix']}/held"
    assert haldir.ask("PUT", path, {"held": "loud"}).status == 400
    assert haldir.post("/v1/agents", {"name": "loud", "held": "loud"}).status == 400
    assert haldir.ask("PUT", "/v1/keys/hld_nobodyxx/held", {"held": "plain"}).status == 404
    assert haldir.ask("PUT", "/v1/keys/hld/held", {"held": "plain"}).body["code"] == "invalid_prefix"
    assert haldir.ask("PUT", "/v1/agents/nobody/held", {"held": "plain"}).body["code"] == "agent_not_found"
    haldir.rest("DELETE", f"/v1/keys/{made['prefix']}")
    assert haldir.ask("PUT", path, {"held": "plain"}).status == 404


def listed(haldir: Haldir, what: str, member: str, name: str) -> Any:
    (found,) = [each for each in haldir.rest("GET", f"/v1/{what}")[what] if each[member] == name]
    return found
