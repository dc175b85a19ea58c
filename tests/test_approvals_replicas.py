"""Approvals where two replicas decide at once: never both verdicts, and what was approved passes one of them, once."""

import functools
import itertools
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from harness.answers import Answer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.messages import call
from harness.threads import running_haldir
from named_requests import ROOT_KEY, at_once
from upstreams import raw
from upstreams.raw import RawUpstream, raw_upstream

RACES = 200
RETRIES = 50
ROUNDS = 3


class Replicas:
    """Two Haldirs on one PostgreSQL, before one upstream."""

    def __init__(self, one: Haldir, other: Haldir, upstream: RawUpstream) -> None:
        self.both, self.upstream = (one, other), upstream
        self.key = one.key  # Of the one that came first: the other found the tenant there.


@pytest.fixture(scope="module")
def replicas(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """They hold payments over 10, and all calls."""
    dsn = fresh_database(postgres_dsn)
    with (
        raw_upstream(raw.honest) as upstream,
        running_haldir(tmp_path_factory.mktemp("one"), dsn=dsn, root_key=ROOT_KEY) as one,
        running_haldir(tmp_path_factory.mktemp("other"), dsn=dsn, root_key=ROOT_KEY) as other,
    ):
        one.rest("POST", "/v1/proxy/upstreams", {"name": "up", "url": upstream.url})
        one.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 10})
        one.rest("POST", "/v1/approvals/rules", {"type": "tool_blocked", "tools": ["up.do"]})
        yield Replicas(one, other, upstream)


def test_approve_and_deny_raced_over_two_replicas_never_both_count(replicas: Replicas) -> None:
    session = replicas.both[0].session(spend_limit=1_000_000)
    amounts = range(11, 11 + RACES)
    orders = itertools.cycle((("approve", "deny"), ("deny", "approve")))
    verdicts = []
    for amount, order in zip(amounts, orders, strict=False):
        approval_id = held_payment(replicas, session, amount)
        verdicts.append((approval_id, race_to_decide(replicas, approval_id, order)))
    for where in replicas.both:
        for approval_id, verdict in verdicts:
            shown = where.get(f"/v1/approvals/{approval_id}", key=replicas.key).body
            assert shown["status"] == verdict
    paid = [pay(where, replicas, session, amount).body for where, amount in zip(both(replicas), amounts, strict=False)]
    assert [said.get("code", "approved") for said in paid] == [
        {"approved": "approved", "denied": "approval_denied"}[verdict] for _, verdict in verdicts
    ]


def race_to_decide(replicas: Replicas, approval_id: str, verdicts: tuple[str, str]) -> str:
    """Say one at one replica and the other at the other, at once; return the verdict that counted."""
    asks = [
        functools.partial(where.post, f"/v1/approvals/{approval_id}/{verdict}", key=replicas.key)
        for where, verdict in zip(replicas.both, verdicts, strict=True)
    ]
    answers = at_once(asks)
    assert sorted(answer.status for answer in answers) == [200, 400]
    [won] = [answer.body for answer in answers if answer.status == 200]
    return "approved" if "approved" in won else "denied"


@pytest.mark.parametrize("round_number", range(ROUNDS))
def test_of_fifty_identical_retries_over_two_replicas_and_three_doors_one_reaches_the_upstream(
    replicas: Replicas, round_number: int
) -> None:
    one = replicas.both[0]
    session = one.session("execute")
    name, before = f"round-{round_number}", replicas.upstream.calls
    approval_id = held_call(by_rest(one, replicas, session, name))
    one.rest("POST", f"/v1/approvals/{approval_id}/approve")
    doors = itertools.cycle((by_rest, by_mcp, by_joint_mcp))
    asks = [
        functools.partial(door, where, replicas, session, name)
        for _, door, where in zip(range(RETRIES), doors, both(replicas), strict=False)
    ]
    texts = [text(answer) for answer in at_once(asks)]
    assert texts.count("ok") == 1
    assert replicas.upstream.calls == before + 1
    others = {json.loads(each)["approval_id"] for each in texts if each != "ok"}
    assert len(others) == 1
    assert approval_id not in others
    states = Counter(each["state"] for each in one.calls("posted") if each["session_id"] == session["session_id"])
    assert states == {"posted": 1}


def both(replicas: Replicas) -> Iterator[Haldir]:
    return itertools.cycle(replicas.both)


def pay(where: Haldir, replicas: Replicas, session: Any, amount: int) -> Answer:
    asked = {"session_id": session["session_id"], "amount": amount}
    return where.post("/v1/payments/authorize", asked, key=replicas.key)


def held_payment(replicas: Replicas, session: Any, amount: int) -> str:
    answer = pay(replicas.both[amount % 2], replicas, session, amount)
    assert answer.body["code"] == "approval_required", answer
    return str(answer.body["approval_id"])


def by_rest(where: Haldir, replicas: Replicas, session: Any, name: str) -> Answer:
    asked = {"tool": "up.do", "arguments": {"name": name}, "session_id": session["session_id"]}
    return where.post("/v1/proxy/call", asked, key=replicas.key)


def by_mcp(where: Haldir, _replicas: Replicas, session: Any, name: str) -> Answer:
    return where.rpc("/mcp/up", call("do", name=name), session["token"])


def by_joint_mcp(where: Haldir, _replicas: Replicas, session: Any, name: str) -> Answer:
    return where.rpc("/mcp", call("up__do", name=name), session["token"])


def text(answer: Answer) -> str:
    said = answer.message
    return str(said.get("result", said)["content"][0]["text"])


def held_call(answer: Answer) -> str:
    return str(json.loads(text(answer))["approval_id"])
