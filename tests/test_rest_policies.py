"""Policies as one set, on SQLite and on PostgreSQL: replaced at once, versioned, rolled back, never by two at a time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from haldir.operations.policy_schema import policy_schema
from harness.answers import Answer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from upstreams import sample
from upstreams.serving import serving

POLICIES = "/v1/proxy/policies"
NO_RM = {"name": "no-rm", "type": "block_tool", "tool": "rm"}
SMALL = {"name": "small", "type": "spend_limit", "max": 25}
RACERS = 8


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn, allow_private=True) as haldir:
        yield haldir


@pytest.fixture
def haldir(server: Haldir) -> Haldir:
    """Return the same server as a tenant sees it that has nothing yet."""
    fresh = Haldir(server.url, server.data)
    fresh.key = server.post("/v1/keys", {"bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    return fresh


def put(haldir: Haldir, *policies: dict[str, Any], **members: Any) -> Answer:
    return haldir.ask("PUT", POLICIES, {"policies": policies, **members})


def names(answer: Any) -> list[str]:
    return [policy["policy_id"] for policy in answer["policies"]]


def changes(answer: Answer) -> list[tuple[str, str]]:
    return [(change["policy_id"], change["change"]) for change in answer.body["changes"]]


def refused(answer: Answer, status: int, code: str) -> bool:
    return (answer.status, answer.body["code"]) == (status, code)


def test_a_set_of_policies_is_put_changed_and_emptied(haldir: Haldir) -> None:
    unnamed = haldir.rest("POST", POLICIES, {"type": "block_tool", "tool": "x"})["policy_id"]
    first = put(haldir, NO_RM, SMALL)
    assert (first.status, first.body["version"], first.body["unchanged"]) == (200, 2, 0)
    assert changes(first) == [("no-rm", "added"), (unnamed, "removed"), ("small", "added")]
    listed = haldir.rest("GET", POLICIES)
    assert (listed["version"], listed["count"]) == (2, 2)
    assert [
        {name: said for name, said in each.items() if name not in {"policy_id", "created_at"}}
        for each in listed["policies"]
    ] == [NO_RM, {**SMALL, "max": 25}]
    second = put(haldir, {**SMALL, "max": 30}, NO_RM)
    assert (second.body["version"], second.body["unchanged"]) == (3, 1)
    assert second.body["changes"] == [
        {
            "policy_id": "small",
            "change": "changed",
            "before": {"type": "spend_limit", "max": 25},
            "after": {"type": "spend_limit", "max": 30},
        }
    ]
    again = put(haldir, {**SMALL, "max": 30.0}, NO_RM)
    assert (again.body["version"], again.body["changes"], again.body["unchanged"]) == (3, [], 2)
    assert changes(put(haldir)) == [("no-rm", "removed"), ("small", "removed")]
    assert haldir.rest("GET", POLICIES)["policies"] == []


def test_no_number_is_rounded_on_its_way(haldir: Haldir) -> None:
    number = "12345678901234567890.10"
    rule = f'{{"name":"exact","type":"rule","effect":"deny","reason":"No.","when":{{"argument":"/n","eq":{number}}}}}'
    haldir.ask("PUT", POLICIES, f'{{"policies":[{rule}]}}'.encode())
    told = put(haldir, dry_run=True)
    for answer in (haldir.get(POLICIES), haldir.get(f"{POLICIES}/versions/1"), told):
        assert f'"eq":{number}'.encode() in answer.raw


def test_a_dry_run_tells_what_would_change_and_changes_nothing(haldir: Haldir) -> None:
    put(haldir, NO_RM)
    size = haldir.rest("GET", "/v1/audit/tree-head")["tree_size"]
    told = put(haldir, SMALL, dry_run=True)
    assert (told.body["version"], told.body["dry_run"]) == (1, True)
    assert changes(told) == [("no-rm", "removed"), ("small", "added")]
    assert names(haldir.rest("GET", POLICIES)) == ["no-rm"]
    assert haldir.rest("GET", "/v1/audit/tree-head")["tree_size"] == size


def test_an_older_version_is_shown_and_brought_back_as_a_new_one(haldir: Haldir) -> None:
    unnamed = haldir.rest("POST", POLICIES, {"type": "block_tool", "tool": "x"})["policy_id"]
    put(haldir, NO_RM, SMALL)
    put(haldir, {**NO_RM, "tool": "rmdir"})
    haldir.rest("DELETE", f"{POLICIES}/no-rm")
    assert [names(haldir.rest("GET", f"{POLICIES}/versions/{version}")) for version in range(5)] == [
        [],
        [unnamed],
        ["no-rm", "small"],
        ["no-rm"],
        [],
    ]
    (old,) = haldir.rest("GET", f"{POLICIES}/versions/3")["policies"]
    assert (old["name"], old["type"], old["tool"]) == ("no-rm", "block_tool", "rmdir")
    back = haldir.post(f"{POLICIES}/rollback", {"version": 2})
    assert (back.status, back.body["version"]) == (200, 5)
    assert changes(back) == [("no-rm", "added"), ("small", "added")]
    assert haldir.post(f"{POLICIES}/rollback", {"version": 1}).body["version"] == 6
    assert names(haldir.rest("GET", POLICIES)) == [unnamed]
    assert haldir.post(f"{POLICIES}/rollback", {"version": 0}).body["version"] == 7
    assert haldir.rest("GET", POLICIES)["count"] == 0


def test_a_rollback_that_is_sent_twice_happens_once(haldir: Haldir) -> None:
    put(haldir, NO_RM)
    put(haldir, SMALL)
    answers = [haldir.post(f"{POLICIES}/rollback", {"version": 1}, idempotency_key="once") for _ in range(2)]
    assert [answer.body["version"] for answer in answers] == [3, 3]
    assert haldir.rest("GET", POLICIES)["version"] == 3


def test_the_versions_tell_who_changed_what_and_when_newest_first(haldir: Haldir) -> None:
    put(haldir, NO_RM, SMALL)
    put(haldir, SMALL)
    haldir.rest("POST", f"{POLICIES}/rollback", {"version": 1})
    listed = haldir.rest("GET", f"{POLICIES}/versions")
    assert [(each["version"], each["put"], each["removed"], each["restores"]) for each in listed["versions"]] == [
        (3, 1, 0, 1),
        (2, 0, 1, None),
        (1, 2, 0, None),
    ]
    assert (listed["current"], listed["count"], listed["next_before"]) == (3, 3, None)
    (who,) = {each["changed_by"] for each in listed["versions"]}
    assert who == f"key:{haldir.key[:12]}"
    page = haldir.rest("GET", f"{POLICIES}/versions?limit=2")
    assert ([each["version"] for each in page["versions"]], page["next_before"]) == ([3, 2], 2)
    rest = haldir.rest("GET", f"{POLICIES}/versions?limit=2&before=2")
    assert ([each["version"] for each in rest["versions"]], rest["next_before"]) == ([1], None)
    assert refused(haldir.get(f"{POLICIES}/versions?limit=0"), 400, "invalid_request")


def test_what_is_no_set_is_refused_with_a_pointer_and_nothing_changes(haldir: Haldir) -> None:
    put(haldir, NO_RM)
    long = {**SMALL, "name": "n" * 65}
    wrong: list[tuple[list[dict[str, Any]], str]] = [
        ([NO_RM, {"type": "block_tool", "tool": "x"}], "/policies/1/name"),
        ([NO_RM, NO_RM], "/policies/1/name"),
        ([{**NO_RM, "name": "pol_mine"}], "/policies/0/name"),
        ([{**NO_RM, "name": ""}], "/policies/0/name"),
        ([{**NO_RM, "name": 7}], "/policies/0/name"),
        ([long], "/policies/0/name"),
        ([NO_RM, {**SMALL, "mx": 3}], "/policies/1/mx"),
        ([{**NO_RM, "tool": "a b"}], "/policies/0/tool"),
        ([{"name": "x"}], "/policies/0/type"),
        ([{**NO_RM, "name": f"n{number}"} for number in range(1001)], "/policies"),
    ]
    for policies, field in wrong:
        answer = put(haldir, *policies)
        assert refused(answer, 400, "invalid_policy"), answer
        assert answer.body["field"] == field
    assert haldir.rest("GET", POLICIES)["version"] == 1


def test_a_thousand_policies_are_put_at_once_and_hold(haldir: Haldir) -> None:
    many = [{"name": f"tool-{number}", "type": "block_tool", "tool": f"t{number}"} for number in range(1000)]
    assert put(haldir, *many).body["version"] == 1
    assert haldir.rest("GET", POLICIES)["count"] == 1000
    with serving(sample.app(json_response=True)) as url:
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        session = haldir.session("execute")["session_id"]
        call = {"arguments": {"text": "x"}, "session_id": session}
        assert haldir.post("/v1/proxy/call", {"tool": "sample.echo", **call}).status == 200
        put(haldir, *many[1:], {**many[0], "tool": "echo"})
        told = haldir.post("/v1/proxy/call", {"tool": "sample.echo", **call})
        assert "tool-0" in told.body["error"], told


def test_the_linter_says_what_is_wrong_and_what_is_odd_and_what_is_wrong_is_not_put(haldir: Haldir) -> None:
    with serving(sample.app(json_response=True)) as url:
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        wrong: list[dict[str, Any]] = [
            NO_RM,
            {"name": "typo", "type": "deny_list", "tools": ["sample.echo", "sample.ecko"]},
            {"type": "spend_limit", "mx": 3},
            {**NO_RM},
            {"name": 7, "type": "block_tool", "tool": "echo"},
        ]
        told = haldir.rest("POST", f"{POLICIES}/lint", {"policies": wrong})
        assert told["ok"] is False
        assert [(each["severity"], each["policy"], each["pointer"]) for each in told["findings"]] == [
            ("warning", "no-rm", "/policies/0/tool"),
            ("error", "typo", "/policies/1/tools/1"),
            ("warning", "", "/policies/2/name"),
            ("error", "", "/policies/2/mx"),
            ("error", "no-rm", "/policies/3/name"),
            ("error", "", "/policies/4/name"),
        ]
        refusal = put(haldir, *wrong[:2])
        assert refused(refusal, 400, "invalid_policy")
        assert (refusal.body["field"], refusal.body["error"]) == (
            "/policies/1/tools/1",
            "The upstream 'sample' has no tool 'ecko'.",
        )
        odd = put(haldir, NO_RM, SMALL, dry_run=True).body["findings"]
        assert odd == put(haldir, NO_RM, SMALL).body["findings"] == told["findings"][:1]
    assert haldir.rest("POST", f"{POLICIES}/lint", {"policies": [SMALL]}) == {"ok": True, "findings": []}
    many = {"policies": [SMALL] * 1001}
    assert refused(haldir.post(f"{POLICIES}/lint", many), 400, "invalid_policy")


def test_the_linter_warns_of_a_policy_without_the_name_that_a_set_needs(haldir: Haldir) -> None:
    nameless = {"type": "spend_limit", "max": 3}
    refusal = put(haldir, SMALL, nameless)
    assert (refusal.status, refusal.body["field"]) == (400, "/policies/1/name")
    told = haldir.rest("POST", f"{POLICIES}/lint", {"policies": [SMALL, nameless]})
    warning = {"severity": "warning", "policy": "", "pointer": "/policies/1/name", "message": refusal.body["error"]}
    assert warning in told["findings"]
    assert told["ok"] is True  # It may be added by itself.
    assert haldir.post(POLICIES, nameless).status == 201


def test_anyone_may_have_the_schema(haldir: Haldir) -> None:
    answer = haldir.get(f"{POLICIES}/schema", key=None)
    assert (answer.status, answer.body) == (200, policy_schema())


def test_an_entry_names_the_version_that_judged_the_call(haldir: Haldir) -> None:
    with serving(sample.app(json_response=True)) as url:
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        call = {
            "tool": "sample.echo",
            "arguments": {"text": "x"},
            "session_id": haldir.session("execute")["session_id"],
        }
        haldir.post("/v1/proxy/call", call)
        put(haldir, NO_RM)
        put(haldir, NO_RM, {"name": "no-echo", "type": "block_tool", "tool": "echo"})
        assert haldir.post("/v1/proxy/call", call).status == 403
    entries = haldir.rest("GET", "/v1/audit?limit=2")["entries"]
    assert [(each["allowed"], each["policy_version"]) for each in entries] == [(False, 2), (True, 0)]
    (changed, *_) = haldir.rest("GET", "/v1/audit?kind=policy.replace")["entries"]
    assert changed["policy_version"] is None
    (made,) = haldir.rest("GET", "/v1/calls?state=posted")["calls"]
    assert made["policy_version"] == 0


def test_too_many_long_names_at_once_are_refused_and_go_in_two_steps(haldir: Haldir) -> None:
    many = [{**NO_RM, "name": f"{number:064}"} for number in range(1000)]
    assert refused(put(haldir, *many), 400, "invalid_request")
    assert put(haldir, *many[:500]).body["version"] == 1
    assert put(haldir, *many).body["version"] == 2


def test_of_several_who_change_the_same_version_one_wins_and_the_others_are_told(haldir: Haldir) -> None:
    def change(number: int) -> Answer:
        return put(haldir, {**SMALL, "max": number}, expected_version=0)

    with ThreadPoolExecutor(RACERS) as pool:
        answers = list(pool.map(change, range(RACERS)))
    assert sorted(answer.status for answer in answers) == [200] + [409] * (RACERS - 1)
    assert all(answer.body["code"] == "policies_changed" for answer in answers if answer.status == 409)
    assert haldir.rest("GET", POLICIES)["version"] == 1
    assert refused(haldir.post(f"{POLICIES}/rollback", {"version": 0, "expected_version": 0}), 409, "policies_changed")


def test_a_policy_with_a_name_goes_by_it_and_no_two_have_the_same(haldir: Haldir) -> None:
    added = haldir.post(POLICIES, NO_RM)
    assert (added.status, added.body["policy_id"], added.body["version"]) == (201, "no-rm", 1)
    assert refused(haldir.post(POLICIES, NO_RM), 409, "exists")
    assert refused(haldir.post(POLICIES, {**NO_RM, "name": "a/b"}), 400, "invalid_policy")
    assert haldir.delete(f"{POLICIES}/no-rm").body == {"removed": True, "policy_id": "no-rm", "version": 2}


def test_versions_of_others_are_as_if_they_did_not_exist(haldir: Haldir) -> None:
    assert refused(haldir.get(f"{POLICIES}/versions/1"), 404, "not_found")
    assert refused(haldir.post(f"{POLICIES}/rollback", {"version": 1}), 404, "not_found")
    assert refused(haldir.get(f"{POLICIES}/versions/-1"), 404, "not_found")
