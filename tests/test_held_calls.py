"""Tool calls that rules hold: by REST on both engines, by MCP, and case by case at the journal's door."""

import asyncio
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import msgspec
import pytest

from court import Court, approval_of
from haldir.approvals.model import Approval
from haldir.journal.command import DETAILS_WANTED, Outcome
from haldir.operations.call_commands import Charge
from haldir.policy.judgement import Judgement
from haldir.proxy.commands import AddUpstream, ObserveTools, RemoveUpstream, SeenTool
from haldir.proxy.definition import read_definition
from haldir.proxy.model import Call
from haldir.proxy.policy_commands import AddPolicy
from harness.answers import Answer
from harness.databases import dsn_of
from harness.haldir import Haldir
from harness.sampled import haldir_with_sample
from upstreams import raw
from upstreams.raw import Lister, raw_upstream

RETRIES = 50
CALLERS = 16


@pytest.fixture
def court(runner: asyncio.Runner) -> Court:
    """A session `s` that may call the tools of the upstream `shop`."""
    court = Court(runner)
    court.session("s", "execute", "spend")
    court.upstream("shop", "buy", "look")
    return court


def admit(court: Court, tool: str = "buy", **fields: Any) -> Outcome:
    return court.admit("s", tool, **{"details_digest": "arguments", **fields})


def test_a_held_call_is_no_call_until_the_identical_one_is_approved_and_then_it_runs_once(court: Court) -> None:
    court.hold_rule("tool_blocked", tools=("shop.buy",))
    assert admit(court, "look").allowed
    first = approval_of(admit(court))
    assert approval_of(admit(court)) == first
    assert [call.tool for call in court.rows(Call)] == ["look"]
    row = court.approval(first)
    assert (row.effect, row.upstream, row.tool, row.action) == ("call", "shop", "buy", "tool_call")
    assert row.details_digest == "arguments"
    court.decide(first)
    assert admit(court, call_id="the-call").allowed
    assert court.approval(first).used_by == "the-call"
    assert approval_of(admit(court)) != first


def test_arguments_are_asked_for_only_where_a_person_will_have_to_see_them(court: Court) -> None:
    assert admit(court, details_digest="").allowed
    court.hold_rule("all")
    wanted = admit(court, details_digest="")
    assert (wanted.stale, wanted.code) == (True, DETAILS_WANTED.code)
    assert court.rows(Approval) == []
    first = approval_of(admit(court))
    assert approval_of(admit(court, details_digest="")) == first
    court.decide(first)
    assert admit(court, details_digest="").allowed


@pytest.mark.parametrize(
    "other",
    [
        {"tool": "look"},
        {"arguments_digest": "other"},
        {"beside_digest": "more"},
        {"charge": Charge(1)},
    ],
    ids=str,
)
def test_nothing_but_the_identical_call_passes(court: Court, other: dict[str, Any]) -> None:
    court.hold_rule("all")
    court.decide(approval_of(admit(court)))
    approval_of(admit(court, **other))
    assert admit(court).allowed


def test_an_approver_is_told_that_a_call_brings_more_than_its_arguments(court: Court) -> None:
    court.hold_rule("all")
    assert court.approval(approval_of(admit(court, beside_digest="more"))).action == "tool_call_with_input"


def test_another_definition_and_another_server_of_the_same_name_need_another_word(court: Court) -> None:
    court.hold_rule("all")
    first = approval_of(admit(court))
    court.decide(first)
    court.apply(RemoveUpstream(op_id=court.op(), name="shop"))
    court.apply(AddUpstream(op_id=court.op(), name="shop", transport="http", config_digest="elsewhere"))
    seen = (SeenTool("buy", "hash-of-buy"),)
    court.apply(ObserveTools(op_id=court.op(), upstream="shop", tools=seen))
    assert approval_of(admit(court)) != first


def test_under_other_policies_another_word_is_needed(court: Court) -> None:
    court.hold_rule("all")
    first = approval_of(admit(court))
    court.decide(first)
    court.apply(AddPolicy(op_id=court.op(), policy_id="p", policy_kind="block_tool", definition_digest="d"))
    second = approval_of(admit(court, judgement=Judgement(1)))
    assert second != first
    assert court.approval(second).policy_epoch == 1


def test_what_is_denied_anyway_is_not_held(court: Court) -> None:
    court.hold_rule("all")
    assert admit(court, judgement=Judgement(0, "p", "No.")).code == "policy_denied"
    assert admit(court, fault=("secret_reference", "No.")).code == "secret_reference"
    assert court.rows(Approval) == []


def test_a_call_is_held_by_its_price_and_by_one_that_cannot_be_read(court: Court) -> None:
    court.hold_rule(threshold_micros=5)
    assert admit(court, charge=Charge(5)).allowed
    assert court.approval(approval_of(admit(court, charge=Charge(6)))).amount_micros == 6
    approval_of(admit(court, charge=Charge(fault="The argument 'amount' must be a JSON number.")))


def test_a_tool_is_destructive_unless_the_definition_that_is_pinned_says_that_it_is_not(court: Court) -> None:
    court.hold_rule("destructive")
    assert admit(court, harmless_sha256="hash-of-buy").allowed
    approval_of(admit(court))
    approval_of(admit(court, harmless_sha256="hash-of-another-definition"))


@pytest.mark.parametrize(
    ("annotations", "destructive"),
    [
        ({}, True),
        ({"readOnlyHint": True}, False),
        ({"destructiveHint": False}, False),
        ({"destructiveHint": True}, True),
        ({"readOnlyHint": False}, True),
        ({"readOnlyHint": True, "destructiveHint": True}, False),
        ({"readOnlyHint": "yes"}, True),
        (["readOnlyHint"], True),
    ],
)
def test_a_definition_says_whether_its_tool_destroys_as_mcp_has_it(annotations: Any, destructive: bool) -> None:  # noqa: FBT001 - pytest hands it over by name.
    tool = {"name": "t", "inputSchema": {"type": "object"}, "annotations": annotations}
    definition = read_definition(msgspec.Raw(json.dumps(tool).encode()))
    assert definition is not None
    assert definition.destructive is destructive


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    """A Haldir with the upstream `sample`, whose tool `add` is held."""
    with haldir_with_sample(tmp_path_factory.mktemp("data"), dsn_of(request)) as haldir:
        assert haldir.post("/v1/approvals/rules", {"type": "tool_blocked", "tools": ["add"]}).status == 201
        yield haldir


def call(haldir: Haldir, session: Any, a: Any = 2, tool: str = "sample.add", **headers: str) -> Answer:
    body = {"tool": tool, "arguments": {"a": a, "b": 3}, "session_id": session["session_id"]}
    return haldir.post("/v1/proxy/call", body, **headers)


def held(answer: Answer) -> Any:
    """Return what a held call's answer says."""
    assert (answer.status, answer.body["isError"]) == (200, False), answer
    said = json.loads(answer.body["content"][0]["text"])
    assert said["status"] == "approval_required"
    return said


def test_a_rule_that_names_tools_which_nobody_has_says_so(haldir: Haldir) -> None:
    rule = {"type": "tool_blocked", "tools": ["sample.add", "add", "sample__add", "sample.ad"]}
    added = haldir.rest("POST", "/v1/approvals/rules", rule)
    assert added["warnings"] == [
        "No connected upstream is known to have a tool 'sample__add'.",
        "The upstream 'sample' has no tool 'ad'.",
    ]
    haldir.rest("DELETE", f"/v1/approvals/rules/{added['rule_id']}")
    quiet = haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 100_000})
    assert quiet["warnings"] == []
    haldir.rest("DELETE", f"/v1/approvals/rules/{quiet['rule_id']}")


def test_a_held_call_by_rest_is_a_plain_result_and_the_identical_call_runs_once(haldir: Haldir) -> None:
    session = haldir.session("execute", agent_id="adder")
    said = held(call(haldir, session))
    assert said["request_id"] == said["approval_id"]
    assert said["url"] == f"/v1/approvals/{said['approval_id']}"
    assert said["reason"]
    assert said["message"]
    assert said["poll_after_seconds"] > 0
    shown = haldir.get(said["url"]).body
    assert (shown["effect"], shown["upstream"], shown["tool"], shown["agent_id"]) == ("call", "sample", "add", "adder")
    assert shown["details"] == {"a": 2, "b": 3}
    assert shown["reason"] == said["reason"]
    assert held(call(haldir, session))["approval_id"] == said["approval_id"]
    haldir.rest("POST", f"{said['url']}/approve")
    done = call(haldir, session)
    assert (done.status, done.body["content"][0]["text"]) == (200, "5")
    (made,) = haldir.calls_let_through(session)
    assert haldir.get(said["url"]).body["used_by"] == made["call_id"]
    assert held(call(haldir, session))["approval_id"] != said["approval_id"]


def test_a_changed_byte_of_the_arguments_or_another_session_never_runs(haldir: Haldir) -> None:
    session, other = haldir.session("execute"), haldir.session("execute")
    said = held(call(haldir, session))
    haldir.rest("POST", f"{said['url']}/approve")
    body = b'{"tool": "sample.add", "arguments": {"a": 2.0, "b": 3}, "session_id": "%s"}'
    haldir_said = held(haldir.post("/v1/proxy/call", body % session["session_id"].encode()))
    assert haldir_said["approval_id"] != said["approval_id"]
    assert held(call(haldir, other))["approval_id"] != said["approval_id"]
    assert call(haldir, session).body["content"][0]["text"] == "5"


def test_of_fifty_identical_retries_in_parallel_one_runs(haldir: Haldir) -> None:
    session = haldir.session("execute")
    said = held(call(haldir, session))
    haldir.rest("POST", f"{said['url']}/approve")
    with ThreadPoolExecutor(CALLERS) as pool:
        answers = list(pool.map(lambda _: call(haldir, session), range(RETRIES)))
    texts = [answer.body["content"][0]["text"] for answer in answers]
    assert texts.count("5") == 1
    assert len({json.loads(text)["approval_id"] for text in texts if text != "5"}) == 1
    assert len(haldir.calls_let_through(session)) == 1


def test_a_denied_call_is_an_error_that_names_the_decision(haldir: Haldir) -> None:
    session = haldir.session("execute")
    said = held(call(haldir, session))
    haldir.rest("POST", f"{said['url']}/deny", {"note": "no sums today"})
    answer = call(haldir, session)
    assert (answer.status, answer.body["code"], answer.body["isError"]) == (403, "approval_denied", True)


def test_a_call_that_its_client_named_runs_under_the_same_name_once_it_is_approved(haldir: Haldir) -> None:
    session = haldir.session("execute")
    name = f"sum-{session['session_id']}"
    said = held(call(haldir, session, idempotency_key=name))
    haldir.rest("POST", f"{said['url']}/approve")
    assert call(haldir, session, idempotency_key=name).body["content"][0]["text"] == "5"
    assert call(haldir, session, idempotency_key=name).body["content"][0]["text"] == "5"
    assert len(haldir.calls_let_through(session)) == 1


@pytest.mark.parametrize(("path", "tool"), [("/mcp/sample", "add"), ("/mcp", "sample__add")])
def test_a_held_call_by_mcp_says_so_and_the_identical_call_runs_once(haldir: Haldir, path: str, tool: str) -> None:
    session = haldir.session("execute")

    def asked() -> Any:
        params = {"name": tool, "arguments": {"a": 4, "b": 5}}
        return haldir.ask_modern(path, "tools/call", params, session["token"]).message["result"]

    first = asked()
    said = json.loads(first["content"][0]["text"])
    assert said["status"] == "approval_required"
    assert json.loads(asked()["content"][0]["text"])["approval_id"] == said["approval_id"]
    haldir.rest("POST", f"{said['url']}/approve")
    done = asked()
    assert (done.get("isError", False), done["content"][0]["text"]) == (False, "9")
    assert json.loads(asked()["content"][0]["text"])["approval_id"] != said["approval_id"]


@pytest.mark.parametrize("path", ["/mcp/{}", "/mcp"])
@pytest.mark.parametrize(("schema", "is_error"), [({}, False), ({"outputSchema": {"type": "object"}}, True)], ids=str)
def test_a_held_call_by_mcp_is_an_error_only_where_clients_would_otherwise_miss_what_the_tool_promises(
    haldir: Haldir,
    path: str,
    schema: dict[str, Any],
    is_error: bool,  # noqa: FBT001 - pytest hands it over by name.
) -> None:
    with raw_upstream(raw.honest) as upstream:
        upstream.on_other = Lister([raw.TOOLS[0] | schema])
        name = f"promises-{is_error}-{path.count('{')}".lower()
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": name, "url": upstream.url})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "tool_blocked", "tools": [f"{name}.do"]})
        tool = "do" if "{}" in path else f"{name}__do"
        answer = haldir.ask_modern(path.format(name), "tools/call", {"name": tool}, haldir.token()).message["result"]
        assert json.loads(answer["content"][0]["text"])["status"] == "approval_required"
        assert answer["isError"] is is_error
        assert upstream.calls == 0


def test_arguments_of_what_waits_are_sealed_and_never_stand_in_the_log(haldir: Haldir) -> None:
    session = haldir.session("execute")
    said = held(call(haldir, session, a="a-word-of-the-arguments"))
    entries = json.dumps(haldir.get(f"/v1/audit?kind=all&session_id={session['session_id']}").body)
    assert said["approval_id"] in entries or "approval_required" in entries
    assert "a-word-of-the-arguments" not in entries
    assert haldir.get(said["url"]).body["details"]["a"] == "a-word-of-the-arguments"
