"""Held calls of clients at 2026-07-28: told `input_required` with a sealed state, and let through when they come back."""

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Any

import mcp_types
import pytest
from mcp.client.client import Client
from mcp.client.context import ClientRequestContext

from harness.answers import Answer
from harness.databases import dsn_of
from harness.haldir import Haldir
from harness.messages import CAPABILITIES
from harness.official import official_client
from harness.piped import started_client
from harness.threads import http_upstream, running_haldir
from upstreams import raw, sample
from upstreams.raw import RawUpstream, raw_upstream
from upstreams.serving import serving

TAKES_URL: dict[str, Any] = {"elicitation": {"url": {}}}
DOORS = [("/mcp/up", "do"), ("/mcp", "up__do")]
RETRIES, CALLERS = 50, 16
HOUR = 3600

by_either_door = pytest.mark.parametrize(("path", "tool"), DOORS, ids=["relayed", "joined"])
on_either_store = pytest.mark.parametrize("haldir", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def upstream() -> Iterator[RawUpstream]:
    with raw_upstream(raw.honest) as running:
        yield running


class Clock:
    """A clock that a test sets forward; it stands still otherwise."""

    def __init__(self) -> None:
        self.seconds = 1_790_000_000

    def __call__(self) -> int:
        return self.seconds * 1_000_000


@pytest.fixture
def haldir(request: pytest.FixtureRequest, upstream: RawUpstream, tmp_path: Path) -> Iterator[Haldir]:
    """A Haldir that holds every call of `do`, and never waits within a request."""
    with holding(tmp_path, upstream, dsn=dsn_of(request)) as running:
        yield running


@contextmanager
def holding(folder: Path, upstream: RawUpstream, **settings: Any) -> Iterator[Haldir]:
    given: dict[str, Any] = {"held_seconds": 0, "public_url": "https://haldir.example", **settings}
    with running_haldir(folder, http_upstream("up", upstream.url), **given) as haldir:
        if not haldir.rest("GET", "/v1/approvals/rules")["rules"]:
            haldir.rest("POST", "/v1/approvals/rules", {"type": "tool_blocked", "tools": ["up.do"]})
        yield haldir


@pytest.fixture
def dsn(request: pytest.FixtureRequest) -> str | None:
    return dsn_of(request)


class Caller:
    """A client of 2026-07-28 in a session of its own, which calls one tool by one door."""

    def __init__(self, haldir: Haldir, path: str, tool: str, session: Any = None) -> None:
        self.haldir, self.path, self.tool = haldir, path, tool
        self.session = session or haldir.session("execute")

    def send(self, state: str | None = None, capabilities: Any = None, **params: Any) -> Answer:
        declared = TAKES_URL if capabilities is None else capabilities
        members = {"name": self.tool, "arguments": {"to": "me"}, "_meta": {CAPABILITIES: declared}, **params}
        if state is not None:
            members["requestState"] = state
        return self.haldir.ask_modern(self.path, "tools/call", members, self.session["token"])

    def call(self, state: str | None = None, **params: Any) -> Any:
        answer = self.send(state, **params)
        assert answer.status == 200, answer
        return answer.message["result"]

    def held(self, state: str | None = None, **params: Any) -> tuple[str, str]:
        """Call, and return the state and the approval of what must be held."""
        result = self.call(state, **params)
        assert result["resultType"] == "input_required", result
        return result["requestState"], result["_meta"]["haldir/approval"]["approval_id"]

    def decide(self, approval_id: str, verdict: str = "approve") -> None:
        self.haldir.rest("POST", f"/v1/approvals/{approval_id}/{verdict}")


def text_of(result: Any) -> str:
    text: str = result["content"][0]["text"]
    return text


def code_of(result: Any) -> str:
    assert result["isError"] is True, result
    code: str = json.loads(text_of(result))["code"]
    return code


def recorded(haldir: Haldir, code: str) -> list[Any]:
    entries = haldir.get("/v1/audit?kind=refusal.record").body["entries"]
    return [entry for entry in entries if entry["code"] == code]


@by_either_door
def test_a_held_call_is_answered_as_the_protocol_has_it_and_leads_to_the_approval(
    haldir: Haldir, path: str, tool: str
) -> None:
    result = Caller(haldir, path, tool).call()
    told = result["_meta"]["haldir/approval"]
    assert (result["resultType"], set(result)) == (
        "input_required",
        {"resultType", "inputRequests", "requestState", "_meta"},
    )
    page = result["inputRequests"]["approval"]
    assert (page["method"], set(page["params"])) == ("elicitation/create", {"mode", "message", "url"})
    assert page["params"]["mode"] == "url"
    assert page["params"]["url"] == f"https://haldir.example/approvals/{told['approval_id']}"
    assert haldir.rest("GET", told["url"])["status"] == "pending"
    mcp_types.InputRequiredResult.model_validate(result)


@on_either_store
@by_either_door
def test_once_approved_it_is_made_as_it_was_asked_and_the_state_is_good_for_nothing_more(
    haldir: Haldir, upstream: RawUpstream, path: str, tool: str
) -> None:
    caller = Caller(haldir, path, tool)
    state, approval_id = caller.held()
    again, same = caller.held(state, inputResponses={"approval": {"action": "accept"}})
    assert (same, upstream.calls) == (approval_id, 0)
    caller.decide(approval_id)
    assert text_of(caller.call(again, inputResponses={"approval": {"action": "accept"}})) == "ok"
    (asked,) = [each["params"] for each in upstream.messages if each.get("method") == "tools/call"]
    assert asked["arguments"] == {"to": "me"}
    assert not {"requestState", "inputResponses"} & set(asked)
    for spent in (state, again):
        assert code_of(caller.call(spent)) == "approval_used"
    assert upstream.calls == 1
    assert len(recorded(haldir, "approval_used")) == 2
    assert caller.held()[1] != approval_id


@by_either_door
def test_what_was_denied_is_refused_to_who_comes_back(
    haldir: Haldir, upstream: RawUpstream, path: str, tool: str
) -> None:
    caller = Caller(haldir, path, tool)
    state, approval_id = caller.held()
    caller.decide(approval_id, "deny")
    assert code_of(caller.call(state)) == "approval_denied"
    assert upstream.calls == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"arguments": {"to": "you"}},
        {"arguments": {"to": "me", "more": 0}},
        {"arguments": {}},
        {"state": lambda state: state[:-6] + ("A" if state[-6] != "A" else "B") + state[-5:]},
        {"state": lambda state: state[:40]},
        {"state": lambda _: "haldir:"},
        {"state": lambda _: "haldir:\N{SNOWMAN}"},
    ],
    ids=("argument", "one_more", "none", "byte", "cut", "no_state", "snowman"),  # Each process must call them alike.
)
@on_either_store
@by_either_door
def test_a_changed_byte_of_call_or_state_never_runs_and_is_recorded(
    haldir: Haldir, upstream: RawUpstream, path: str, tool: str, changed: dict[str, Any]
) -> None:
    caller = Caller(haldir, path, tool)
    state, approval_id = caller.held()
    caller.decide(approval_id)
    other: Callable[[str], str] = changed.get("state", str)
    answer = caller.send(other(state), **{name: value for name, value in changed.items() if name != "state"})
    fault = answer.message["error"]
    assert (answer.status, fault["code"], fault["data"]["code"]) == (400, -32602, "request_state_invalid")
    assert fault["data"]["hint"]
    assert (upstream.calls, len(recorded(haldir, "request_state_invalid"))) == (0, 1)
    assert text_of(caller.call(state)) == "ok"


@by_either_door
def test_a_state_is_of_no_use_to_another_key_in_the_same_session_to_another_session_or_for_another_tool(
    haldir: Haldir, upstream: RawUpstream, path: str, tool: str
) -> None:
    caller = Caller(haldir, path, tool)
    state, approval_id = caller.held()
    caller.decide(approval_id)
    params = {"name": tool, "arguments": {"to": "me"}, "requestState": state}
    inside = {"x_session_id": caller.session["session_id"]}
    keyed = haldir.ask_modern(path, "tools/call", params, haldir.key, **inside).message
    assert keyed["error"]["data"]["code"] == "request_state_invalid"
    thief = Caller(haldir, path, tool)
    assert thief.send(state).message["error"]["data"]["code"] == "request_state_invalid"
    paying = Caller(haldir, "/mcp", "getSession", caller.session)
    assert paying.send(state, arguments={}).message["error"]["data"]["code"] == "request_state_invalid"
    assert upstream.calls == 0


@by_either_door
def test_an_api_key_cannot_take_the_state_of_one_of_its_sessions_into_another(
    haldir: Haldir, upstream: RawUpstream, path: str, tool: str
) -> None:
    one, other = haldir.session("execute")["session_id"], haldir.session("execute")["session_id"]

    def ask(session_id: str, **members: Any) -> Any:
        params = {"name": tool, "arguments": {}, "_meta": {CAPABILITIES: TAKES_URL}, **members}
        return haldir.ask_modern(path, "tools/call", params, haldir.key, x_session_id=session_id).message

    result = ask(one)["result"]
    haldir.rest("POST", f"{result['_meta']['haldir/approval']['url']}/approve")
    assert ask(other, requestState=result["requestState"])["error"]["data"]["code"] == "request_state_invalid"
    assert upstream.calls == 0
    assert text_of(ask(one, requestState=result["requestState"])["result"]) == "ok"


@by_either_door
def test_an_expired_approval_lets_nobody_come_back(tmp_path: Path, upstream: RawUpstream, path: str, tool: str) -> None:
    clock = Clock()
    with holding(tmp_path, upstream, clock=clock) as haldir:
        caller = Caller(haldir, path, tool, haldir.session("execute", ttl=0))
        state, approval_id = caller.held()
        caller.decide(approval_id)
        clock.seconds += HOUR
        assert code_of(caller.call(state)) == "approval_expired"
        assert (upstream.calls, len(recorded(haldir, "approval_expired"))) == (0, 1)
        assert caller.held()[1] != approval_id


@pytest.mark.parametrize("dsn", ["sqlite", "postgres"], indirect=True)
@by_either_door
def test_a_state_outlives_the_server_that_gave_it(
    tmp_path: Path, upstream: RawUpstream, path: str, tool: str, dsn: str | None
) -> None:
    with holding(tmp_path, upstream, dsn=dsn) as haldir:
        before = Caller(haldir, path, tool)
        state, approval_id = before.held()
        before.decide(approval_id)
    with holding(tmp_path, upstream, dsn=dsn) as haldir:
        after = Caller(haldir, path, tool, before.session)
        assert text_of(after.call(state)) == "ok"
        assert code_of(after.call(state)) == "approval_used"
    assert upstream.calls == 1


@on_either_store
@by_either_door
def test_of_fifty_that_come_back_at_once_one_is_made(
    haldir: Haldir, upstream: RawUpstream, path: str, tool: str
) -> None:
    caller = Caller(haldir, path, tool)
    state, approval_id = caller.held()
    caller.decide(approval_id)
    with ThreadPoolExecutor(CALLERS) as pool:
        results = list(pool.map(lambda _: caller.call(state), range(RETRIES)))
    made = [result for result in results if result.get("isError") is False]
    assert (upstream.calls, [text_of(result) for result in made]) == (1, ["ok"])
    for result in results:
        assert result in made or result["resultType"] == "input_required" or code_of(result) == "approval_used"


@pytest.mark.parametrize("action", ["decline", "cancel"])
@by_either_door
def test_who_would_not_go_there_is_told_plainly_and_not_asked_again(
    haldir: Haldir, path: str, tool: str, action: str
) -> None:
    caller = Caller(haldir, path, tool)
    state, approval_id = caller.held()
    result = caller.call(state, inputResponses={"approval": {"action": action}})
    assert (result["isError"], json.loads(text_of(result))["approval_id"]) == (False, approval_id)


@by_either_door
def test_before_a_client_gives_up_it_is_told_plainly(haldir: Haldir, path: str, tool: str) -> None:
    caller = Caller(haldir, path, tool)
    state, approval_id = caller.held()
    for _ in range(7):
        state, same = caller.held(state, inputResponses={})
        assert same == approval_id
    assert json.loads(text_of(caller.call(state)))["status"] == "approval_required"


@pytest.mark.parametrize(
    "capabilities", [{}, {"elicitation": {}}, {"elicitation": {"form": {}}}, {"elicitation": {"url": True}}], ids=str
)
@by_either_door
def test_who_cannot_send_its_user_to_a_page_is_told_plainly(
    haldir: Haldir, path: str, tool: str, capabilities: dict[str, Any]
) -> None:
    result = Caller(haldir, path, tool).call(capabilities=capabilities)
    assert (result["resultType"], result["isError"]) == ("complete", False)
    assert json.loads(text_of(result))["status"] == "approval_required"


def asks_first(connection: socket.socket, message: dict[str, Any]) -> None:
    """Answer as an upstream does that itself wants to be told something before it acts."""
    params = message["params"]
    result: dict[str, Any] = {**raw.RESULT, "resultType": "complete"}
    if params.get("requestState") != "theirs":
        result = {"resultType": "input_required", "requestState": "theirs"}
    elif params.get("inputResponses") != {"city": {"action": "accept", "content": {"name": "Oslo"}}}:
        result = {"content": [], "isError": True}
    raw.respond(connection, json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": result}).encode())


@by_either_door
def test_rounds_of_the_upstreams_own_pass_and_wait_with_the_call_that_is_held_in_between(
    haldir: Haldir, upstream: RawUpstream, path: str, tool: str
) -> None:
    upstream.on_call = asks_first
    caller = Caller(haldir, path, tool)
    state, approval_id = caller.held()
    caller.decide(approval_id)
    assert caller.call(state)["requestState"] == "theirs"
    answers = {"city": {"action": "accept", "content": {"name": "Oslo"}}}
    state, approval_id = caller.held("theirs", inputResponses=answers)
    state, _ = caller.held(state, inputResponses={"approval": {"action": "accept"}})
    caller.decide(approval_id)
    assert text_of(caller.call(state, inputResponses={"approval": {"action": "accept"}})) == "ok"


@by_either_door
def test_what_is_too_much_to_carry_along_is_told_plainly(haldir: Haldir, path: str, tool: str) -> None:
    result = Caller(haldir, path, tool).call("x" * (33 << 10))
    assert (result["resultType"], json.loads(text_of(result))["status"]) == ("complete", "approval_required")


@pytest.mark.parametrize("verdict", ["approve", "deny"])
@pytest.mark.parametrize("reach", ["relayed", "joined", "stdio"])
def test_an_official_client_leads_its_user_to_the_approval_and_comes_back_by_itself(
    tmp_path: Path, upstream: RawUpstream, reach: str, verdict: str
) -> None:
    with serving(sample.app()) as url, holding(tmp_path, upstream, held_seconds=20) as haldir:
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "tool_blocked", "tools": ["sample.add"]})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 1})
        user = User(haldir, verdict)

        async def talk() -> None:
            async with user.client(reach, haldir.session("execute", "spend", spend_limit=10)["token"]) as client:
                added = await client.call_tool("add" if reach == "relayed" else "sample__add", {"a": 2, "b": 3})
                assert ("approval_denied" in str(added.content)) is (verdict == "deny")
                assert added.structured_content == ({"result": 5} if verdict == "approve" else None)
                if reach != "relayed":
                    paid = await client.call_tool("authorizePayment", {"amount": 2})
                    assert paid.structured_content is not None
                    assert paid.structured_content["authorized"] is (verdict == "approve")

        asyncio.run(talk())
        assert len(user.sent_to) == len(set(user.sent_to)) == (1 if reach == "relayed" else 2)


class User:
    """Somebody before a client, who decides as they always do once they are led to an approval."""

    def __init__(self, haldir: Haldir, verdict: str) -> None:
        self.haldir, self.verdict, self.sent_to = haldir, verdict, list[str]()

    def client(self, reach: str, token: str) -> AbstractAsyncContextManager[Client]:
        if reach == "stdio":
            return started_client(self.haldir.url, token, "auto", elicitation_callback=self.led)
        path = "/mcp/sample" if reach == "relayed" else "/mcp"
        return official_client(self.haldir, path, token, elicitation_callback=self.led)

    async def led(
        self,
        context: ClientRequestContext,
        params: mcp_types.ElicitRequestParams,
    ) -> mcp_types.ElicitResult:
        assert isinstance(params, mcp_types.ElicitRequestURLParams)
        self.sent_to.append(params.url)
        assert params.url.startswith("https://haldir.example/approvals/apr_")
        approval_id = params.url.rpartition("/")[2]
        await asyncio.to_thread(self.haldir.rest, "POST", f"/v1/approvals/{approval_id}/{self.verdict}")
        return mcp_types.ElicitResult(action="accept")
