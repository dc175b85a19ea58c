"""`POST /v1/proxy/policies/replay` and its command, on both engines."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from haldir.operations.policy_changes import PATTERNS_MAX
from haldir.policy.bounds import METERS_MAX
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from upstreams import sample
from upstreams.serving import serving

STANDING: list[dict[str, Any]] = [
    {"name": "rate", "type": "rate_limit", "max_per_minute": 4},
    {
        "name": "person",
        "type": "rule",
        "effect": "hold",
        "reason": "Long.",
        "when": {"argument": "/text", "eq": "long"},
    },
    {
        "name": "window",
        "type": "rule",
        "effect": "deny",
        "reason": "Too often.",
        "when": {"calls": {"per": "agent", "within_seconds": 86400}, "gt": 6},
    },
]
CANDIDATE: list[dict[str, Any]] = [
    {"name": "no-x", "type": "rule", "effect": "deny", "reason": "No x.", "when": {"argument": "/text", "eq": "x"}}
]


def named(number: int, when: Any) -> dict[str, Any]:
    return {"name": f"p{number}", "type": "rule", "effect": "deny", "reason": "No.", "when": when}


MANY_WINDOWS = [
    named(seconds, {"calls": {"per": "agent", "within_seconds": seconds}, "gt": 5})
    for seconds in range(1, METERS_MAX + 2)
]
MANY_PATTERNS = [
    named(number, {"any": [{"argument": "/a", "matches": f"x{number}y{each}"} for each in range(50)]})
    for number in range(PATTERNS_MAX // 50 + 1)
]


@pytest.fixture(params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Haldir]:
    """A Haldir with the upstream `shop`, whose policies have names."""
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    with (
        serving(sample.app(json_response=True)) as url,
        running_haldir(tmp_path / "data", dsn=dsn) as haldir,
    ):
        assert haldir.post("/v1/proxy/upstreams", {"name": "shop", "url": f"{url}/mcp"}).status == 201
        haldir.rest("PUT", "/v1/proxy/policies", {"policies": STANDING})
        yield haldir


def asked(haldir: Haldir, session: Any, *texts: str, tool: str = "shop.echo") -> list[str]:
    """Make calls one after the other; return what became of each."""
    found = []
    for text in texts:
        body = {"tool": tool, "arguments": {"text": text}, "session_id": session["session_id"]}
        answer = haldir.post("/v1/proxy/call", body)
        said = answer.raw.decode()
        found.append("held" if "approval_required" in said else answer.body.get("code", "allowed"))
    return found


def replayed(haldir: Haldir, policies: Any = None, **members: Any) -> Any:
    body = {"since": 0, **members} | ({} if policies is None else {"policies": policies})
    answer = haldir.post("/v1/proxy/policies/replay", body)
    assert answer.status == 200, answer
    return answer.body


def test_what_happened_is_held_against_a_candidate_page_by_page(haldir: Haldir) -> None:
    one, two = (haldir.session("execute", "execute:shop:echo") for _ in range(2))
    assert asked(haldir, one, "a", "x", "long", "c", "d", "x") == [
        "allowed",
        "allowed",
        "held",
        "allowed",
        "allowed",
        "rate_exceeded",
    ]
    assert asked(haldir, two, "e", "f", "x") == ["allowed", "allowed", "policy_denied"]
    assert asked(haldir, haldir.session("execute:shop:add"), "g") == ["scope_missing"]
    same = replayed(haldir)
    assert (same["flips"], same["replayed"], same["not_replayed"]) == ([], 9, [])
    assert (same["refused_otherwise"], same["next_cursor"]) == ({"scope_missing": 1}, None)
    assert replayed(haldir, STANDING) == same
    found = replayed(haldir, CANDIDATE)
    assert [(flip["was"]["effect"], flip["would_be"]["effect"]) for flip in found["flips"]] == [
        ("allow", "deny"),
        ("hold", "allow"),
    ]
    assert [flip["was"]["policy_id"] for flip in found["flips"]] == ["", "person"]
    assert found["flips"][0]["would_be"] == {
        "effect": "deny",
        "policy_id": "no-x",
        "reason": "Policy no-x (rule) denies this: No x.",
    }
    for policies in (STANDING, CANDIDATE):
        for limit in (1, 2, 7):
            assert in_pages(haldir, policies, limit) == replayed(haldir, policies), limit


def in_pages(haldir: Haldir, policies: Any, limit: int) -> Any:
    """Return all pages as if they were one."""
    pages = [replayed(haldir, policies, limit=limit)]
    while pages[-1]["next_cursor"] is not None:
        pages.append(replayed(haldir, policies, limit=limit, cursor=pages[-1]["next_cursor"]))
    assert len(pages) > 1
    (digest,) = {page["candidate_digest"] for page in pages}
    return {
        "flips": [flip for page in pages for flip in page["flips"]],
        "replayed": sum(page["replayed"] for page in pages),
        "not_replayed": [lack for page in pages for lack in page["not_replayed"]],
        "refused_otherwise": {
            code: sum(page["refused_otherwise"].get(code, 0) for page in pages)
            for code in {code for page in pages for code in page["refused_otherwise"]}
        },
        "next_cursor": None,
        "candidate_digest": digest,
    }


def test_calls_whose_arguments_are_gone_are_listed_unless_nobody_asks_for_them(haldir: Haldir) -> None:
    asked(haldir, haldir.session("execute"), "x", "b")
    erased = haldir.calls("posted")[1]["call_id"]
    haldir.rest("DELETE", f"/v1/calls/{erased}/payload")
    found = replayed(haldir, CANDIDATE)
    assert (found["replayed"], found["flips"]) == (1, [])
    assert [(lack["call_id"], lack["tool"], lack["why"]) for lack in found["not_replayed"]] == [
        (erased, "shop.echo", "erased")
    ]
    found = replayed(haldir, [{"name": "none", "type": "block_tool", "tool": "echo"}])
    assert (found["flips"][0]["call_id"], found["not_replayed"]) == (erased, [])


def test_a_secret_in_arguments_cannot_be_guessed_by_asking_which_calls_match(haldir: Haldir) -> None:
    haldir.rest("POST", "/v1/secrets", {"name": "STRIPE", "value": "sk_live_4711"})
    asked(haldir, haldir.session("execute"), "pay with sk_live_4711", "pay with nothing")
    holding = haldir.calls("posted")[1]["call_id"]
    for guess in ("sk_live_4", "sk_live_5"):
        when = {"argument": "/text", "matches": f"pay with {guess}"}
        found = replayed(haldir, [{"name": "g", "type": "rule", "effect": "deny", "reason": "No.", "when": when}])
        assert [(lack["call_id"], lack["why"]) for lack in found["not_replayed"]] == [(holding, "secret")]
        assert (found["replayed"], found["flips"]) == (1, [])


def test_a_replay_is_recorded_and_for_those_who_may_see_arguments(haldir: Haldir) -> None:
    asked(haldir, haldir.session("execute"), "x")
    replayed(haldir)
    entry = haldir.rest("GET", "/v1/audit?kind=payload.replay&limit=1")["entries"][0]
    assert entry["details"]["asked_by"]["kind"] == "key"
    weak = haldir.post("/v1/keys", {"scopes": ["proxy:write", "audit:write"]}).body["key"]
    assert haldir.post("/v1/proxy/policies/replay", {"since": 0}, key=weak).body["required"] == "payloads:read"


def test_the_entry_of_a_replay_names_its_candidate_and_nobody_can_read_it_out_of_the_name(haldir: Haldir) -> None:
    def named(policies: Any = None) -> str:
        digest: str = replayed(haldir, policies)["candidate_digest"]
        entry = haldir.rest("GET", "/v1/audit?kind=payload.replay&limit=1")["entries"][0]
        assert entry["details"]["candidate_digest"] == digest
        return digest

    candidate = [*STANDING, *CANDIDATE]
    whole = named(candidate)
    assert named([dict(reversed(each.items())) for each in reversed(candidate)]) == whole
    others = [STANDING, CANDIDATE, [], [{**each, "name": f"{each['name']}-2"} for each in candidate]]
    others.append([{**STANDING[0], "max_per_minute": 5}, *candidate[1:]])
    assert len({whole, *map(named, others)}) == 1 + len(others)
    assert named() == named(STANDING) == haldir.rest("GET", "/v1/proxy/policies/versions/1")["digest"]
    stranger = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    elsewhere = haldir.post("/v1/proxy/policies/replay", {"since": 0, "policies": candidate}, key=stranger).body
    assert elsewhere["candidate_digest"] != whole  # It is keyed: no table of guesses serves for it.


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"policies": [{"name": "x", "type": "block_tool"}]}, "/policies/0/tool"),
        ({"policies": MANY_WINDOWS}, f"/policies/{METERS_MAX}"),
        ({"policies": MANY_PATTERNS}, "/policies"),
        ({"cursor": "1"}, "cursor"),
        ({"cursor": "9" * 60}, "cursor"),
        ({"limit": 0}, "limit"),
        ({"limit": 5001}, "limit"),
        ({"since": "soon"}, "since"),
    ],
    ids=("kind", "windows", "patterns", "cursor", "long_cursor", "none", "many", "since"),
)
def test_what_cannot_be_replayed_is_refused_by_name(haldir: Haldir, members: Any, field: str) -> None:
    answer = haldir.post("/v1/proxy/policies/replay", {"since": 0, **members})
    assert (answer.status, answer.body["field"]) == (400, field)


def test_a_candidate_in_shadow_mode_may_have_windows_that_nothing_counts(haldir: Haldir) -> None:
    asked(haldir, haldir.session("execute"), "a")
    assert replayed(haldir, [{**each, "mode": "shadow"} for each in MANY_WINDOWS])["replayed"] == 1


def test_the_command_line_tells_of_flips_and_of_what_it_could_not_replay(haldir: Haldir, tmp_path: Path) -> None:
    asked(haldir, haldir.session("execute"), "x", "x")
    first, second = (call["call_id"] for call in haldir.calls("posted")[::-1])
    haldir.rest("DELETE", f"/v1/calls/{second}/payload")

    def ran(*words: str) -> str:
        command = [sys.executable, "-m", "haldir", "policy", "replay", *words, "--url", haldir.url]
        options = ["--data", str(haldir.data)]
        return subprocess.run([*command, *options], capture_output=True, check=True, text=True).stdout

    file = tmp_path / "candidate.yaml"
    file.write_text("- name: no-x\n  type: rule\n  effect: deny\n  reason: No x.\n  when: {argument: /text, eq: x}\n")
    said = ran(str(file), "--since", "24h")
    assert all(word in said for word in (first, "tester", "shop.echo", "allow -> deny", "no-x", "No x."))
    assert "1 calls replayed, 1 would have been decided otherwise.\n" in said
    assert said.endswith("shop.echo: erased\n")
    assert second in said
    told = json.loads(ran(str(file), "--json"))
    assert (told["flips"][0]["call_id"], told["candidate_digest"]) == (
        first,
        replayed(haldir, CANDIDATE)["candidate_digest"],
    )
    assert "1 calls replayed, 0 would" in ran("--since", "2020-01-01")


def test_a_set_with_too_many_patterns_is_refused_by_every_door(haldir: Haldir) -> None:
    for method, path in (("PUT", "/v1/proxy/policies"), ("POST", "/v1/proxy/policies/lint")):
        answer = haldir.ask(method, path, {"policies": MANY_PATTERNS})
        assert (answer.status, answer.body["code"]) == (400, "invalid_policy")
        assert f"{PATTERNS_MAX} are the most" in answer.body["error"]
