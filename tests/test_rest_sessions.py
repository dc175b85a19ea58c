"""Lists and families of sessions by REST, on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


@pytest.fixture
def tenant(server: Haldir) -> str:
    """The key of a tenant of this test alone."""
    key: str = server.post("/v1/keys", {"bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    return key


def opened(server: Haldir, key: str, agent: str, parent: str | None = None, **members: Any) -> str:
    body = {"agent_id": agent, "scopes": ["read", "spend"], "spend_limit": 100, "parent_session_id": parent, **members}
    answer = server.post("/v1/sessions", body, key=key)
    assert answer.status == 201, answer
    session: str = answer.body["session_id"]
    return session


def pay(server: Haldir, key: str, session: str, amount: float) -> None:
    assert server.post("/v1/payments/authorize", {"session_id": session, "amount": amount}, key=key).status == 200


def listed(server: Haldir, key: str, query: str = "") -> list[str]:
    answer = server.get(f"/v1/sessions?{query}", key=key).body
    assert answer["count"] == len(answer["sessions"])
    return [each["session_id"] for each in answer["sessions"]]


def test_a_list_has_what_was_spent_and_is_narrowed_by_agent_root_and_revocation(server: Haldir, tenant: str) -> None:
    top = opened(server, tenant, "one")
    below = opened(server, tenant, "two", top, spend_limit=30)
    other = opened(server, tenant, "two", spend_limit=None)
    pay(server, tenant, below, 12.5)
    assert listed(server, tenant) == [other, below, top]
    assert listed(server, tenant, "agent_id=two") == [other, below]
    assert listed(server, tenant, "roots_only=true") == [other, top]
    server.delete(f"/v1/sessions/{other}", key=tenant)
    assert listed(server, tenant) == [below, top]
    assert listed(server, tenant, "include_revoked=1&agent_id=two") == [other, below]
    everything = server.get("/v1/sessions?include_revoked=true", key=tenant).body["sessions"]
    shown = {each["session_id"]: each for each in everything}
    assert (shown[below]["spent"], shown[below]["spend_limit"], shown[below]["revoked"]) == (12.5, 30.0, False)
    assert (shown[top]["spent"], shown[top]["parent_session_id"]) == (12.5, "")
    assert (shown[other]["spend_limit"], shown[other]["revoked"]) == (None, True)


def test_pages_follow_one_another_without_gap_or_repetition(server: Haldir, tenant: str) -> None:
    sessions = [opened(server, tenant, "one") for _ in range(5)]
    found, cursor = [], ""
    while cursor is not None:
        page = server.get(f"/v1/sessions?limit=2&cursor={cursor}", key=tenant).body
        found += [each["session_id"] for each in page["sessions"]]
        cursor = page["next_cursor"]
    assert found == sessions[::-1]
    assert server.get("/v1/sessions?limit=501", key=tenant).body["field"] == "limit"


def test_descendants_are_shown_as_a_tree_with_what_each_part_spent(server: Haldir, tenant: str) -> None:
    top = opened(server, tenant, "one")
    left, right = (opened(server, tenant, name, top, spend_limit=40) for name in "lr")
    leaf = opened(server, tenant, "leaf", left, spend_limit=20)
    pay(server, tenant, leaf, 3)
    pay(server, tenant, right, 4)
    server.delete(f"/v1/sessions/{right}", key=tenant)
    answer = server.get(f"/v1/sessions/{top}/descendants", key=tenant).body
    assert (answer["descendant_count"], answer["max_delegation_depth"], answer["truncated"]) == (3, 8, False)
    root = answer["root"]
    assert (root["session_id"], root["subtree_spent"], root["subtree_sessions"]) == (top, 7.0, 4)
    assert [child["session_id"] for child in root["children"]] == [left, right]
    assert root["children"][1]["revoked"] is True
    (only,) = root["children"][0]["children"]
    assert (only["session_id"], only["subtree_spent"], only["subtree_sessions"], only["children"]) == (leaf, 3.0, 1, [])


def test_a_token_sees_what_is_below_its_own_session_only(server: Haldir, tenant: str) -> None:
    made = server.post("/v1/sessions", {"agent_id": "one", "scopes": ["read"]}, key=tenant).body
    child = opened(server, tenant, "two", made["session_id"], scopes=["read"], spend_limit=None)
    own = server.get(f"/v1/sessions/{made['session_id']}/descendants", key=made["token"])
    assert [each["session_id"] for each in own.body["root"]["children"]] == [child]
    assert server.get(f"/v1/sessions/{child}/descendants", key=made["token"]).status == 404
    assert server.get("/v1/sessions/ses_none/descendants", key=tenant).body["code"] == "not_found"
    assert server.get(f"/v1/sessions/{child}/descendants").body["code"] == "not_found"  # Of another tenant.


def test_a_cascade_names_the_sessions_that_were_alive_below(server: Haldir, tenant: str) -> None:
    top = opened(server, tenant, "one")
    left, right = (opened(server, tenant, name, top, spend_limit=40) for name in "lr")
    under_left, under_right = (opened(server, tenant, "x", parent, spend_limit=9) for parent in (left, right))
    assert server.delete(f"/v1/sessions/{left}", key=tenant).body == {"revoked": True, "session_id": left}
    answer = server.delete(f"/v1/sessions/{top}?cascade=true", key=tenant).body
    assert answer == {"revoked": True, "session_id": top, "cascade_revoked": [right, under_right]}
    for session in (left, right, under_left, under_right):
        checked = server.post(f"/v1/sessions/{session}/check", {"scope": "read"}, key=tenant).body
        assert checked["allowed"] is False
    again = server.delete(f"/v1/sessions/{top}?cascade=true", key=tenant)
    assert (again.status, again.body["cascade_revoked"]) == (200, [])
