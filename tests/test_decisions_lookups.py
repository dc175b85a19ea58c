"""What commands look up, and what not: each look-up holds up every command of the same batch."""

from haldir.approvals.model import ApprovalRule, ApprovalRules
from haldir.gate.commands import RevokeKey
from haldir.gate.model import Agent, ApiKey
from haldir.journal.command import Command
from haldir.journal.working_set import WorkingSet
from haldir.operations.call_commands import Admit
from haldir.operations.call_ending_commands import Settle
from haldir.operations.session_commands import OpenAgentSession
from haldir.policy.judgement import Judgement
from haldir.proxy.model import Call, Tool, Upstream
from haldir.storage.rows import Find, Row, name_of


def looks_up(command: Command, *known: Row) -> list[Find]:
    """Return which rows are named by a command that found these already."""
    rows = WorkingSet()
    for row in known:
        row_type, key = name_of(row)
        rows.adopt([row_type.at(*key)], [row])
    return list(rows.missing(command.needs(rows)))


def test_who_revokes_a_key_that_makes_no_others_looks_at_no_others() -> None:
    command = RevokeKey(op_id="a", prefix="k")
    assert looks_up(command) == [ApiKey.at("k")]
    assert looks_up(command, ApiKey("k", "sha", "k", ("approvals:*",), 0)) == []
    assert looks_up(command, ApiKey("k", "sha", "k", ("*",), 0)) == [ApiKey.everywhere()]


def test_closing_a_call_that_costs_nothing_looks_at_no_money() -> None:
    free = Call("c", "s", "a", "shop", "buy", "digest", 0, 0, 0, 0)
    assert looks_up(Settle(op_id="a", call_id="c", state="posted"), free) == []


def test_an_agent_that_has_no_session_yet_has_none_looked_up() -> None:
    bot = Agent("bot", "sha", ("*",), None, 60, 0)
    assert looks_up(OpenAgentSession(op_id="a", agent="bot", session_id="s"), bot) == []


def test_a_call_whose_tool_is_remembered_and_its_upstream_no_longer_asks_for_that() -> None:
    command = Admit(
        op_id="a",
        call_id="c",
        session_id="s",
        upstream="shop",
        upstream_version=0,
        tool="buy",
        arguments_digest="d",
        judgement=Judgement(0),
        deadline_ms=1,
    )
    rules = ApprovalRules(1, rules=(ApprovalRule("r", "all", 0, "k"),))
    assert Upstream.at("shop") in looks_up(command, rules, Tool("shop", "buy", "hash", "hash", 0))
