"""What an approval does not let through, at the public doors: case by case, nothing runs, and the log has it.

Each case has one call (or payment) approved, and then asks for something that is not quite it.
"""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from haldir.approvals.holds import HELD_SECONDS
from haldir.kernel.clock import SECOND
from harness.answers import Answer
from harness.haldir import Haldir
from harness.messages import call
from harness.threads import running_haldir
from named_requests import Clock
from upstreams import raw
from upstreams.raw import Lister, RawUpstream, raw_upstream

ARGUMENTS = {"name": "n", "amount": 1}
TOOLS = [{"name": name, "inputSchema": {"type": "object"}} for name in ("do", "redo")]
HOLD_ALL = {"type": "all"}


class Scene:
    """A Haldir that holds everything, before two upstreams with the same tools, and a session that spends."""

    def __init__(self, haldir: Haldir, clock: Clock, upstreams: dict[str, RawUpstream]) -> None:
        self.haldir, self.clock, self.upstreams = haldir, clock, upstreams
        for name, upstream in upstreams.items():
            upstream.on_other = Lister(TOOLS)
            haldir.rest("POST", "/v1/proxy/upstreams", {"name": name, "url": upstream.url})
        haldir.rest("POST", "/v1/approvals/rules", HOLD_ALL)
        self.session = self.another_session()

    def another_session(self) -> Any:
        return self.haldir.session("execute", agent_id="same", spend_limit=100, ttl=2 * HELD_SECONDS)

    def call(self, arguments: Any = ARGUMENTS, tool: str = "up.do", session: Any = None) -> Answer:
        """Ask by REST; bytes go into the request as they are."""
        given = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
        body = b'{"tool":"%s","session_id":"%s","arguments":%s}'
        session_id = (session or self.session)["session_id"]
        return self.haldir.post("/v1/proxy/call", body % (tool.encode(), session_id.encode(), given))

    def call_by_mcp(self, session: Any = None, **arguments: Any) -> Answer:
        return self.haldir.rpc("/mcp/up", call("do", **arguments), (session or self.session)["token"])

    def call_with(self, **beside: Any) -> Answer:
        params = {"name": "do", "arguments": ARGUMENTS, **beside}
        return self.haldir.ask_modern("/mcp/up", "tools/call", params, self.session["token"])

    def pay(self, session: Any = None, **members: Any) -> Answer:
        asked = {"session_id": (session or self.session)["session_id"], "amount": 2, "description": "d", **members}
        return self.haldir.post("/v1/payments/authorize", asked)

    def decide(self, approval_id: str, verdict: str = "approve") -> None:
        self.haldir.rest("POST", f"/v1/approvals/{approval_id}/{verdict}")

    @property
    def executions(self) -> int:
        return sum(upstream.calls for upstream in self.upstreams.values())

    @property
    def refusals(self) -> list[str]:
        """The codes of what was refused or held, newest first."""
        query = "/v1/audit?kind=all&allowed=false&limit=100"
        entries = self.haldir.rest("GET", query)["entries"]
        return [entry["code"] for entry in entries if entry["kind"] in {"call.admit", "payment.authorize"}]

    def expire(self) -> None:
        self.clock.ahead += HELD_SECONDS * SECOND

    def change_definition(self) -> None:
        """Have the upstream describe its tools otherwise, and a person accept that."""
        self.upstreams["up"].on_other = Lister([tool | {"description": "Now it does more."} for tool in TOOLS])
        self.haldir.rpc("/mcp/up", {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}, self.session["token"])
        offered = self.haldir.rest("GET", "/v1/proxy/tools")["tools"]
        [changed] = [tool for tool in offered if (tool["upstream"], tool["name"]) == ("up", "do")]
        self.haldir.rest("POST", "/v1/proxy/upstreams/up/tools/do/accept", {"sha256": changed["sha256"]})

    def change_price(self) -> None:
        rules = {"do": {"price": {"fixed": 3}}}
        self.haldir.rest("DELETE", "/v1/proxy/upstreams/up")
        self.haldir.rest("POST", "/v1/proxy/upstreams", {"name": "up", "url": self.upstreams["up"].url, "tools": rules})

    def add_policy(self) -> None:
        self.haldir.rest("POST", "/v1/proxy/policies", {"type": "block_tool", "tool": "another"})

    def add_rule(self) -> None:
        self.haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 50})


Ask = Callable[[Scene], Answer]


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    clock = Clock()
    with (
        raw_upstream(raw.honest) as up,
        raw_upstream(raw.honest) as twin,
        running_haldir(tmp_path, clock=clock) as haldir,
    ):
        yield Scene(haldir, clock, {"up": up, "twin": twin})


def after(change: Callable[[Scene], None]) -> Ask:
    """Return how to ask for the identical call after something has changed."""

    def ask(scene: Scene) -> Answer:
        change(scene)
        return scene.call()

    return ask


OTHER_CALLS: dict[str, Ask] = {
    "another session of the same agent": lambda scene: scene.call(session=scene.another_session()),
    "another session by MCP": lambda scene: scene.call_by_mcp(scene.another_session(), **ARGUMENTS),
    "another amount": lambda scene: scene.call(ARGUMENTS | {"amount": 2}),
    "another amount by MCP": lambda scene: scene.call_by_mcp(**(ARGUMENTS | {"amount": 2})),
    "a changed byte": lambda scene: scene.call(ARGUMENTS | {"name": "m"}),
    "a changed byte by MCP": lambda scene: scene.call_by_mcp(**(ARGUMENTS | {"name": "m"})),
    "a byte more": lambda scene: scene.call(ARGUMENTS | {"name": "n "}),
    "a letter that looks the same": lambda scene: scene.call(b'{"name":"\\uff4e","amount":1}'),
    "the same number in another spelling": lambda scene: scene.call(b'{"name":"n","amount":1.0}'),
    "a number as text": lambda scene: scene.call(ARGUMENTS | {"amount": 1, "name": ["n"]}),
    "an argument that says nothing": lambda scene: scene.call(ARGUMENTS | {"more": None}),
    "an argument less": lambda scene: scene.call({"name": "n"}),
    "another answer to what the tool asked": lambda scene: scene.call_with(inputResponses={"to": {"action": "accept"}}),
    "a state of the tool's": lambda scene: scene.call_with(requestState="a state"),
    "as a task": lambda scene: scene.call_with(task={"ttl": 1}),
    "another tool": lambda scene: scene.call(tool="up.redo"),
    "the same tool elsewhere": lambda scene: scene.call(tool="twin.do"),
}
TOO_LATE: dict[str, Ask] = {
    "its time over": after(Scene.expire),
    "another definition, accepted": after(Scene.change_definition),
    "another price": after(Scene.change_price),
    "other policies": after(Scene.add_policy),
    "other rules": after(Scene.add_rule),
}
OTHER_PAYMENTS: dict[str, Ask] = {
    "another session of the same agent": lambda scene: scene.pay(scene.another_session()),
    "another amount": lambda scene: scene.pay(amount=2.000001),
    "another description": lambda scene: scene.pay(description="D"),
    "no description": lambda scene: scene.pay(description=""),
    "set aside only": lambda scene: scene.pay(capture=False),
}


def approved_call(scene: Scene) -> str:
    approval_id = waiting(scene.call())
    scene.decide(approval_id)
    return approval_id


@pytest.mark.parametrize("ask", OTHER_CALLS.values(), ids=OTHER_CALLS)
def test_nothing_but_the_call_that_was_approved_runs_and_that_one_still_does(scene: Scene, ask: Ask) -> None:
    approval_id = approved_call(scene)
    assert waiting(ask(scene)) != approval_id
    assert scene.executions == 0
    assert scene.refusals == ["approval_required"] * 2
    assert text(scene.call()) == "ok"
    assert scene.executions == 1


@pytest.mark.parametrize("ask", TOO_LATE.values(), ids=TOO_LATE)
def test_the_call_that_was_approved_does_not_run_after_what_ends_its_approval(scene: Scene, ask: Ask) -> None:
    approval_id = approved_call(scene)
    assert waiting(ask(scene)) != approval_id
    assert scene.executions == 0
    assert scene.refusals == ["approval_required"] * 2
    assert scene.haldir.rest("GET", f"/v1/approvals/{approval_id}")["used_by"] in {"", None}


def test_a_call_that_brings_more_than_arguments_says_so_and_waits_for_a_word_on_all_of_it(scene: Scene) -> None:
    brought = {"inputResponses": {"to": {"action": "accept", "content": {"to": "me"}}}, "requestState": "s"}
    approval_id = waiting(scene.call_with(**brought))
    assert scene.haldir.rest("GET", f"/v1/approvals/{approval_id}")["action"] == "tool_call_with_input"
    scene.decide(approval_id)
    assert waiting(scene.call_with(**brought | {"requestState": "t"})) != approval_id
    assert waiting(scene.call()) != approval_id
    traced = brought | {"_meta": {"traceparent": "00-1-1-01"}}
    assert text(scene.call_with(**traced)) == "ok"
    assert scene.executions == 1


def test_one_word_given_before_two_were_needed_does_not_do_for_two(scene: Scene) -> None:
    """The same policies, all the while: what they ask for depends on how much was called meanwhile."""
    [rule] = scene.haldir.rest("GET", "/v1/approvals/rules")["rules"]
    scene.haldir.rest("DELETE", f"/v1/approvals/rules/{rule['rule_id']}")
    often = {"calls": {"per": "session", "within_seconds": 3600}, "gt": 1}
    busy = {"effect": "hold", "reason": "Busy.", "approvers": 2, "when": {"all": [{"tool": "up.do"}, often]}}
    for policy in ({"type": "require_approval", "tools": ["up.do"]}, {"type": "rule", **busy}):
        scene.haldir.rest("POST", "/v1/proxy/policies", policy)
    approval_id = approved_call(scene)
    assert text(scene.call(tool="up.redo")) == "ok"
    again = waiting(scene.call())
    assert again != approval_id
    assert scene.haldir.rest("GET", f"/v1/approvals/{again}")["approvers"] == 2
    assert scene.executions == 1


def test_an_approval_that_was_used_lets_nothing_through_by_any_door(scene: Scene) -> None:
    approval_id = approved_call(scene)
    assert text(scene.call()) == "ok"
    again = {waiting(scene.call()), waiting(scene.call_by_mcp(**ARGUMENTS))}
    assert len(again) == 1
    assert approval_id not in again
    assert scene.executions == 1
    assert scene.refusals == ["approval_required"] * 3


def test_what_was_denied_does_not_run_and_says_so_by_every_door(scene: Scene) -> None:
    scene.decide(waiting(scene.call()), "deny")
    assert scene.call().body["code"] == "approval_denied"
    assert json.loads(text(scene.call_by_mcp(**ARGUMENTS)))["code"] == "approval_denied"
    assert scene.executions == 0
    assert scene.refusals == ["approval_denied"] * 2 + ["approval_required"]


def test_a_revoked_session_runs_nothing_that_was_approved(scene: Scene) -> None:
    approved_call(scene)
    scene.haldir.rest("DELETE", f"/v1/sessions/{scene.session['session_id']}")
    assert scene.call().status == 401
    assert scene.executions == 0
    assert scene.refusals == ["session_revoked", "approval_required"]


@pytest.mark.parametrize("ask", OTHER_PAYMENTS.values(), ids=OTHER_PAYMENTS)
def test_nothing_but_the_payment_that_was_approved_is_made_and_that_one_still_is(scene: Scene, ask: Ask) -> None:
    approval_id = scene.pay().body["approval_id"]
    scene.decide(approval_id)
    other = ask(scene)
    assert (other.status, other.body["code"]) == (403, "approval_required")
    assert other.body["approval_id"] != approval_id
    assert scene.refusals == ["approval_required"] * 2
    assert scene.pay().status == 200
    sessions = scene.haldir.rest("GET", "/v1/sessions")["sessions"]
    assert sum(session["spent"] for session in sessions) == 2


def text(answer: Answer) -> str:
    said = answer.message
    return str(said.get("result", said)["content"][0]["text"])


def waiting(answer: Answer) -> str:
    """Return the approval that a held call waits for."""
    return str(json.loads(text(answer))["approval_id"])
