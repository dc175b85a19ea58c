"""However many approvals wait and calls were made, what people look at is found by an index: no plan reads whole tables."""

import asyncio

import pytest

from haldir.approvals import queries
from haldir.storage.engine import Engine

ASKED: dict[str, str | int] = {
    "tenant": "t",
    "agent_id": "a",
    "before": "b",
    "now": 1,
    "limit": 100,
    "id": "i",
    "newest": "n",
    "oldest": "o",
}


@pytest.mark.parametrize(
    ("sql", "indexes"),
    [
        (queries.PENDING, {"approval_pending"}),
        (queries.PENDING_OF_AGENT, {"approval_pending", "approval_pending_of_agent"}),
        (queries.OVERDUE, {"approval_overdue"}),
        (queries.PREVIOUS_OF_ONE, {"call_of_agent"}),
        (queries.PREVIOUS_OF_PAGE, {"call_of_agent", "approval_pending"}),
    ],
    ids=["pending", "of an agent", "overdue", "previous of one", "previous of a page"],
)
def test_what_waits_is_found_by_its_index(engine: Engine, runner: asyncio.Runner, sql: str, indexes: set[str]) -> None:
    explain = "EXPLAIN QUERY PLAN" if engine.__class__.__name__ == "SqliteEngine" else "EXPLAIN"
    named = {name: value for name, value in ASKED.items() if f":{name}" in sql}
    steps = [str(row[-1]) for row in runner.run(engine.fetch(f"{explain} {sql}", **named))]
    assert not [step for step in steps if "Seq Scan" in step or step.startswith("SCAN")], steps
    used = {index for index in indexes if any(index in step.split() for step in steps)}
    assert used, steps
    assert "call_of_agent" in used or "call_of_agent" not in indexes, steps
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
