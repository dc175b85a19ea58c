"""Secrets by REST, in the shapes that published clients read, on SQLite and on PostgreSQL."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from harness.answers import Answer
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir

VALUE = "sk_live_4eC39HqLyjWDarjtT1zdp7dc"
NOBODY = "ses_" + "0" * 32


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


def store(haldir: Haldir, name: str, value: str = VALUE, **members: Any) -> Any:
    return haldir.rest("POST", "/v1/secrets", {"name": name, "value": value, **members})


def read(haldir: Haldir, name: str, session: str) -> Answer:
    return haldir.get(f"/v1/secrets/{name}", x_session_id=session)


def refused(answer: Answer, status: int, code: str) -> bool:
    return (answer.status, answer.body["code"]) == (status, code) and bool(answer.body["error"])


def reveals(haldir: Haldir) -> list[Any]:
    entries = haldir.rest("GET", "/v1/audit?kind=all&limit=1000")["entries"]
    return [entry for entry in entries if entry["kind"] == "secret.reveal"]


def test_a_secret_is_stored_shown_replaced_listed_and_deleted_as_published_clients_do(haldir: Haldir) -> None:
    session = haldir.session("read")["session_id"]
    stored = haldir.post("/v1/secrets", {"name": "STRIPE_KEY", "value": VALUE, "scope_required": "read"})
    assert (stored.status, stored.body["stored"], stored.body["name"]) == (201, True, "STRIPE_KEY")
    shown = read(haldir, "STRIPE_KEY", session)
    assert shown.status == 200
    assert shown.body == {"name": "STRIPE_KEY", "value": VALUE, "version": 1, "exposure": "reveal"}
    assert haldir.get(f"/v1/secrets/STRIPE_KEY?session_id={session}").body["value"] == VALUE
    again = haldir.post("/v1/secrets", {"name": "STRIPE_KEY", "value": "another"})
    assert (again.status, again.body["version"]) == (201, 2)
    assert read(haldir, "STRIPE_KEY", session).body["value"] == "another"
    store(haldir, "A_KEY")
    listed = haldir.rest("GET", "/v1/secrets")
    assert (listed["secrets"], listed["count"]) == (["A_KEY", "STRIPE_KEY"], 2)
    assert haldir.rest("DELETE", "/v1/secrets/STRIPE_KEY") == {"deleted": True, "name": "STRIPE_KEY"}
    assert refused(haldir.delete("/v1/secrets/STRIPE_KEY"), 404, "secret_not_found")
    assert haldir.rest("GET", "/v1/secrets")["secrets"] == ["A_KEY"]
    assert store(haldir, "STRIPE_KEY")["version"] == 3


def test_errors_come_in_the_order_that_published_clients_know_but_an_unknown_name_comes_first(haldir: Haldir) -> None:
    store(haldir, "ordered", scope_required="billing")
    poor, gone = haldir.session("read"), haldir.session("billing")
    haldir.rest("DELETE", f"/v1/sessions/{gone['session_id']}")
    assert refused(haldir.get("/v1/secrets/nowhere"), 404, "secret_not_found")
    assert refused(read(haldir, "nowhere", NOBODY), 404, "secret_not_found")
    assert refused(read(haldir, "nowhere", poor["session_id"]), 404, "secret_not_found")
    assert refused(haldir.get("/v1/secrets/ordered"), 400, "invalid_request")
    assert refused(haldir.get("/v1/secrets/ordered?session_id="), 400, "invalid_request")
    assert refused(read(haldir, "ordered", NOBODY), 401, "session_not_found")
    assert refused(read(haldir, "ordered", gone["session_id"]), 401, "session_revoked")
    lacking = read(haldir, "ordered", poor["session_id"])
    assert refused(lacking, 403, "scope_missing")
    assert "'billing'" in lacking.body["error"]


@pytest.mark.parametrize(
    ("granted", "required", "status"),
    [
        ("read", "read", 200),
        ("*", "anything", 200),
        ("db", "db:prod", 200),
        ("db:*", "db:prod", 200),
        ("db:prod", "db", 403),
        ("read:public", "read", 403),
        ("readonly", "read", 403),
    ],
)
def test_a_session_sees_what_its_scopes_cover(haldir: Haldir, granted: str, required: str, status: int) -> None:
    store(haldir, "scoped", scope_required=required)
    token = haldir.session(granted)["token"]
    assert haldir.get("/v1/secrets/scoped", key=token).status == status
    assert ("scoped" in haldir.get("/v1/secrets", key=token).body["secrets"]) == (status == 200)


def test_a_secret_that_is_injected_is_shown_to_nobody_but_as_its_reference(haldir: Haldir) -> None:
    stored = store(haldir, "db:password", exposure="inject", upstreams=["shop", "files", "shop"])
    assert (stored["exposure"], stored["upstreams"]) == ("inject", ["files", "shop"])
    session = haldir.session("*")
    wanted = {"name": "db:password", "value": "${secret:db:password}", "version": 1, "exposure": "inject"}
    assert read(haldir, "db:password", session["session_id"]).body == wanted
    assert haldir.get("/v1/secrets/db:password", key=session["token"]).body == wanted
    detail = next(each for each in haldir.rest("GET", "/v1/secrets")["details"] if each["name"] == "db:password")
    assert {name: detail[name] for name in ("version", "scope_required", "exposure", "upstreams")} == {
        "version": 1,
        "scope_required": "read",
        "exposure": "inject",
        "upstreams": ["files", "shop"],
    }
    store(haldir, "db:password", exposure="reveal")
    assert read(haldir, "db:password", session["session_id"]).body["value"] == VALUE


def test_a_session_token_reads_as_its_own_session_and_changes_nothing(haldir: Haldir) -> None:
    store(haldir, "own", scope_required="billing")
    poor, rich = haldir.session("read"), haldir.session("billing")
    assert haldir.get("/v1/secrets/own", key=rich["token"]).body["value"] == VALUE
    named = haldir.get(f"/v1/secrets/own?session_id={rich['session_id']}", key=poor["token"])
    assert refused(named, 401, "session_not_found")
    told = haldir.get("/v1/secrets/own", key=poor["token"], x_session_id=rich["session_id"])
    assert refused(told, 403, "scope_missing")
    assert refused(haldir.post("/v1/secrets", {"name": "own", "value": "x"}, key=rich["token"]), 403, "forbidden")
    assert refused(haldir.delete("/v1/secrets/own", key=rich["token"]), 403, "forbidden")
    agent = haldir.rest("POST", "/v1/agents", {"name": "billing-bot", "scopes": ["billing"]})["key"]
    assert haldir.get("/v1/secrets/own", key=agent).body["value"] == VALUE
    assert refused(haldir.post("/v1/secrets", {"name": "own", "value": "x"}, key=agent), 403, "forbidden")


@pytest.mark.parametrize(
    ("scope", "statuses"),
    [
        ("vault:read", {"store": 403, "get": 200, "list": 200, "delete": 403}),
        ("vault:write", {"store": 201, "get": 200, "list": 200, "delete": 200}),
        ("sessions:write", {"store": 403, "get": 403, "list": 403, "delete": 403}),
    ],
)
def test_a_key_needs_the_vaults_scopes(haldir: Haldir, scope: str, statuses: dict[str, int]) -> None:
    store(haldir, "kept")
    session = haldir.session("read")["session_id"]
    key = haldir.rest("POST", "/v1/keys", {"scopes": [scope]})["key"]
    assert {
        "store": haldir.post("/v1/secrets", {"name": "kept", "value": "x"}, key=key).status,
        "get": haldir.get("/v1/secrets/kept", key=key, x_session_id=session).status,
        "list": haldir.get("/v1/secrets", key=key).status,
        "delete": haldir.delete("/v1/secrets/kept", key=key).status,
    } == statuses


def test_another_tenant_sees_neither_names_nor_values(haldir: Haldir) -> None:
    store(haldir, "mine")
    session = haldir.session("*")["session_id"]
    other = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    own = haldir.post("/v1/sessions", {"agent_id": "a", "scopes": ["*"]}, key=other).body["session_id"]
    for name in ("mine", "nowhere"):
        assert refused(haldir.get(f"/v1/secrets/{name}", key=other, x_session_id=own), 404, "secret_not_found")
        assert refused(haldir.delete(f"/v1/secrets/{name}", key=other), 404, "secret_not_found")
    assert haldir.get("/v1/secrets", key=other).body["secrets"] == []
    assert haldir.post("/v1/secrets", {"name": "mine", "value": "theirs"}, key=other).status == 201
    assert refused(haldir.get("/v1/secrets/mine", key=other, x_session_id=session), 401, "session_not_found")
    assert haldir.get("/v1/secrets/mine", key=other, x_session_id=own).body["value"] == "theirs"
    assert read(haldir, "mine", session).body["value"] == VALUE


@pytest.mark.parametrize(
    ("members", "field"),
    [
        ({"name": "x"}, "value"),
        ({"value": VALUE}, "name"),
        ({"name": "", "value": VALUE}, "name"),
        ({"name": "x", "value": ""}, "value"),
        ({"name": "x", "value": None}, "value"),
        ({"name": "x", "value": 12}, "value"),
        ({"name": "x", "value": [VALUE]}, "value"),
        ({"name": "x", "value": VALUE + "\0"}, "value"),
        ({"name": "x", "value": VALUE * 2048 + "x"}, "value"),
        ({"name": "a/b", "value": VALUE}, "name"),
        ({"name": "..", "value": VALUE}, "name"),
        ({"name": "a}b", "value": VALUE}, "name"),
        ({"name": "a b", "value": VALUE}, "name"),
        ({"name": "n" * 129, "value": VALUE}, "name"),
        ({"name": "x", "value": VALUE, "scope_required": ""}, "scope_required"),
        ({"name": "x", "value": VALUE, "scope_required": "a b"}, "scope_required"),
        ({"name": "x", "value": VALUE, "exposure": "show"}, "exposure"),
        ({"name": "x", "value": VALUE, "upstreams": ["a.b"]}, "upstreams"),
        ({"name": "x", "value": VALUE, "upstreams": [f"u{n}" for n in range(65)]}, "upstreams"),
        ({"name": "x", "value": VALUE, "upstreams": "shop"}, "upstreams"),
    ],
)
def test_what_is_no_secret_is_refused_by_its_field_and_never_repeated(
    haldir: Haldir, members: dict[str, Any], field: str
) -> None:
    answer = haldir.post("/v1/secrets", members)
    assert refused(answer, 400, "invalid_request")
    assert answer.body["field"] == field
    assert VALUE not in json.dumps(answer.body)
    assert refused(haldir.get("/v1/secrets/x"), 404, "secret_not_found")


@pytest.mark.parametrize("name", ["_", "9lives", "n" * 128, "a.b-c_d:e@f"])
def test_names_and_values_of_every_allowed_length_are_kept(haldir: Haldir, name: str) -> None:
    session = haldir.session("read")["session_id"]
    for value in ("x", VALUE * 2048, 'häldir \N{KEY}\n\t\x01 ${secret:x} \\ "'):
        store(haldir, name, value)
        assert read(haldir, name, session).body["value"] == value


def test_each_showing_is_recorded_before_it_happens_and_so_is_each_refusal(haldir: Haldir) -> None:
    store(haldir, "watched", scope_required="billing")
    rich, poor = haldir.session("billing"), haldir.session("read")
    before = len(reveals(haldir))
    read(haldir, "watched", rich["session_id"])
    haldir.get("/v1/secrets/watched", key=poor["token"])
    haldir.get("/v1/secrets/unwatched")
    seen = reveals(haldir)[: len(reveals(haldir)) - before]
    assert [(entry["allowed"], entry["code"], entry["session_id"]) for entry in reversed(seen)] == [
        (True, "", rich["session_id"]),
        (False, "scope_missing", poor["session_id"]),
        (False, "secret_not_found", ""),
    ]
    assert [entry["details"]["name"] for entry in reversed(seen)] == ["watched", "watched", "unwatched"]
    assert [entry["agent_id"] for entry in seen] == ["", "tester", "tester"]


def test_a_value_of_a_name_that_many_write_and_read_at_once_is_always_one_that_was_stored(haldir: Haldir) -> None:
    store(haldir, "contended", "value-0")
    session = haldir.session("read")["session_id"]

    def act(number: int) -> int:
        if number % 2:
            return haldir.post("/v1/secrets", {"name": "contended", "value": f"value-{number}"}).status
        answer = read(haldir, "contended", session)
        assert answer.status == 503 or answer.body["value"].startswith("value-")
        return answer.status

    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(act, range(64)))
    assert statuses[1::2] == [201] * 32
    assert set(statuses[::2]) <= {200, 503}
    assert store(haldir, "contended")["version"] == 34


def test_a_secret_stored_twice_under_one_idempotency_key_is_stored_once(haldir: Haldir) -> None:
    body = {"name": "once", "value": VALUE}
    first, again = (haldir.post("/v1/secrets", body, idempotency_key="store-once") for _ in range(2))
    assert (first.status, first.raw) == (again.status, again.raw)
    assert first.body["version"] == 1
    other = haldir.post("/v1/secrets", body | {"value": "another"}, idempotency_key="store-once")
    assert refused(other, 422, "idempotency_key_reused")
    assert read(haldir, "once", haldir.session("read")["session_id"]).body["value"] == VALUE


def test_names_are_listed_page_by_page_in_the_order_of_their_bytes(haldir: Haldir) -> None:
    names = ["B", "a", "b", "_", "Z9"]
    for name in names:
        store(haldir, f"page:{name}")
    seen: list[str] = []
    cursor: str | None = "page:"
    while cursor is not None:
        page = haldir.rest("GET", f"/v1/secrets?limit=2&cursor={cursor}")
        assert page["count"] == len(page["secrets"]) <= 2
        seen += page["secrets"]
        cursor = page["next_cursor"]
    assert [name for name in seen if name.startswith("page:")] == sorted(f"page:{name}" for name in names)
    assert haldir.get("/v1/secrets?limit=0").status == 400
