"""Webhooks by REST, on SQLite and on PostgreSQL: who may hear what, and what is shown of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from harness.databases import fresh_database
from harness.eventually import eventually
from harness.haldir import Haldir
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from receiver import receiving

URL = "https://hooks.example/in"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    dsn = None
    if request.param == "postgres":
        dsn = fresh_database(request.getfixturevalue("postgres_dsn"))
    with running_haldir(tmp_path_factory.mktemp("data"), dsn=dsn) as haldir:
        yield haldir


def register(haldir: Haldir, **members: Any) -> dict[str, Any]:
    answer = haldir.post("/v1/webhooks", {"url": URL, **members})
    assert answer.status == 201, answer
    made: dict[str, Any] = answer.body
    return made


def shown(haldir: Haldir, webhook_id: int) -> dict[str, Any]:
    listed: list[dict[str, Any]] = haldir.get("/v1/webhooks").body["webhooks"]
    return next(each for each in listed if each["webhook_id"] == webhook_id)


def test_a_webhook_is_registered_listed_and_removed(haldir: Haldir) -> None:
    made = register(haldir, name="ops", events=["key_created", "anomaly"])
    assert {"registered": True, "url": URL, "events": ["anomaly", "key_created"]}.items() <= made.items()
    assert made["secret"].startswith("whsec_")
    row = shown(haldir, made["webhook_id"])
    wanted = {"url": URL, "name": "ops", "events": ["anomaly", "key_created"], "active": True, "signed": True}
    assert {
        **wanted,
        "fire_count": 0,
        "fail_count": 0,
        "failing_since": None,
        "disabled_reason": "",
    }.items() <= row.items()
    path = f"/v1/webhooks/{made['webhook_id']}"
    assert haldir.delete(path).body == {"removed": True, "webhook_id": made["webhook_id"]}
    again = haldir.delete(path)
    assert (again.status, again.body["code"]) == (404, "webhook_not_found")


def test_a_webhook_that_asks_for_nothing_special_hears_all(haldir: Haldir) -> None:
    assert register(haldir)["events"] == ["all"]


def test_tokens_in_a_url_are_told_to_nobody_who_lists_it_and_stand_in_no_entry(haldir: Haldir) -> None:
    token = "T0KEN-that-is-long-enough-to-be-one"
    made = register(haldir, url=f"https://hooks.example:8443/services/T0/{token}?key={token}")
    assert shown(haldir, made["webhook_id"])["url"] == "https://hooks.example:8443/services/T0/***?***"
    log = str(haldir.get("/v1/audit?kind=all&limit=1000").body)
    assert "webhook.register" in log
    assert token not in log
    assert made["secret"] not in log + str(haldir.get("/v1/webhooks").body)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "url"),
        ({"url": "ftp://hooks.example"}, "url"),
        ({"url": "http://169.254.169.254/latest"}, "url"),
        ({"url": "https://user:pass@hooks.example"}, "url"),
        ({"url": URL, "events": []}, "events"),
        ({"url": URL, "events": ["anomalies"]}, "events"),
        ({"url": URL, "name": "n" * 129}, "name"),
        ({"url": URL, "format": "discord"}, "format"),
        ({"email": "ops@ops.example"}, "email"),  # This Haldir has no mail server.
    ],
)
def test_what_could_never_be_delivered_is_not_registered(haldir: Haldir, body: dict[str, Any], field: str) -> None:
    answer = haldir.post("/v1/webhooks", body)
    assert (answer.status, answer.body["code"], answer.body["field"]) == (400, "invalid_request", field)


def test_a_secret_is_rotated_with_a_grace_given_in_query_or_body(haldir: Haldir) -> None:
    made = register(haldir)
    path = f"/v1/webhooks/{made['webhook_id']}/rotate-secret"
    first = haldir.post(f"{path}?grace_seconds=3600")
    assert first.status == 200
    assert (first.body["webhook_id"], first.body["grace_seconds"]) == (made["webhook_id"], 3600)
    assert first.body["secret_prev"] == made["secret"] != first.body["secret"]
    second = haldir.post(path, {"grace_seconds": 60}).body
    assert second["secret_prev"] == first.body["secret"]
    assert second["secret_prev_expires_at"] < first.body["secret_prev_expires_at"]
    assert haldir.post(path).body["grace_seconds"] == 86_400
    for wrong in ("59", "604801", "soon"):
        refused = haldir.post(f"{path}?grace_seconds={wrong}")
        assert (refused.status, refused.body["field"]) == (400, "grace_seconds")
    assert haldir.post("/v1/webhooks/999/rotate-secret").status == 404


def test_a_webhook_is_switched_off_and_on(haldir: Haldir) -> None:
    made = register(haldir)
    path = f"/v1/webhooks/{made['webhook_id']}"
    assert haldir.post(f"{path}/disable").body == {"webhook_id": made["webhook_id"], "active": False}
    assert (shown(haldir, made["webhook_id"])["active"], shown(haldir, made["webhook_id"])["disabled_reason"]) == (
        False,
        "asked",
    )
    refused = haldir.post("/v1/webhooks/trigger", {"event": "anomaly", "webhook_id": made["webhook_id"]})
    assert (refused.status, refused.body["code"]) == (409, "webhook_disabled")
    assert haldir.post(f"{path}/enable").body == {"webhook_id": made["webhook_id"], "active": True}
    assert shown(haldir, made["webhook_id"])["active"]


def test_a_made_up_event_must_be_one_that_there_is(haldir: Haldir) -> None:
    triggered = haldir.post("/v1/webhooks/trigger", {"event": "anomaly"})
    assert (triggered.status, triggered.body["event"]) == (200, "anomaly")
    assert triggered.body["event_id"].startswith("evt_")
    refused = haldir.post("/v1/webhooks/trigger", {"event": "apocalypse"})
    assert (refused.status, refused.body["field"]) == (400, "event")


def test_reading_does_not_let_write_and_other_tenants_see_nothing(haldir: Haldir) -> None:
    made = register(haldir)
    reader = haldir.post("/v1/keys", {"name": "reader", "scopes": ["webhooks:read"]}).body["key"]
    assert haldir.get("/v1/webhooks", key=reader).status == 200
    refused = haldir.post("/v1/webhooks", {"url": URL}, key=reader)
    assert (refused.status, refused.body["required"]) == (403, "webhooks:write")
    session = haldir.session("*")["token"]
    assert haldir.get("/v1/webhooks", key=session).status == 403
    stranger = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    assert haldir.get("/v1/webhooks", key=stranger).body == {"webhooks": [], "count": 0}
    for method, path in (("DELETE", ""), ("POST", "/rotate-secret"), ("POST", "/disable"), ("POST", "/enable")):
        answer = haldir.ask(method, f"/v1/webhooks/{made['webhook_id']}{path}", key=stranger)
        assert (answer.status, answer.body["code"]) == (404, "webhook_not_found")


def test_what_happens_is_delivered_listed_and_replayed(haldir: Haldir) -> None:
    with receiving() as receiver:
        made = register(haldir, url=receiver.url, events=["key_created"])
        haldir.post("/v1/keys", {"name": "new"})
        receiver.wait_for(1)
        path = f"/v1/webhooks/deliveries?event_id={receiver.event_ids[0]}&webhook_id={made['webhook_id']}"
        (attempt,) = eventually(lambda: haldir.get(path).body["deliveries"])
        wanted = {"event_type": "key_created", "attempt": 1, "status_code": 200, "webhook_url": receiver.url}
        assert wanted.items() <= attempt.items()
        again = haldir.post(f"/v1/webhooks/deliveries/{attempt['delivery_id']}/replay")
        assert again.body == {"webhook_id": made["webhook_id"], "replayed": 1, "next_since": None}
        receiver.wait_for(2)
        span = haldir.post(f"/v1/webhooks/{made['webhook_id']}/replay", {"since": receiver.came[0].body["timestamp"]})
        assert (span.status, span.body["replayed"]) == (200, 1)
        receiver.wait_for(3)
        assert len(set(receiver.event_ids)) == 1
    haldir.delete(f"/v1/webhooks/{made['webhook_id']}")


def test_events_are_fetched_by_those_who_cannot_be_reached(haldir: Haldir) -> None:
    cursor = haldir.get("/v1/webhooks/events").body["cursor"]
    event_id = haldir.post("/v1/webhooks/trigger", {"event": "anomaly"}).body["event_id"]
    page = haldir.get(f"/v1/webhooks/events?cursor={cursor}").body
    (event,) = page["events"]
    assert {"event": "anomaly", "event_id": event_id, "source": "haldir", "test": True}.items() <= event.items()
    assert haldir.get(f"/v1/webhooks/events?cursor={page['cursor']}").body == {"events": [], "cursor": page["cursor"]}
    refused = haldir.get("/v1/webhooks/events?cursor=tomorrow")
    assert (refused.status, refused.body["field"]) == (400, "cursor")


def test_deliveries_are_the_tenants_own(haldir: Haldir) -> None:
    stranger = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    with receiving() as receiver:
        made = register(haldir, url=receiver.url)
        haldir.post("/v1/webhooks/trigger", {"event": "anomaly", "webhook_id": made["webhook_id"]})
        path = f"/v1/webhooks/deliveries?webhook_id={made['webhook_id']}"
        mine = eventually(lambda: haldir.get(path).body["deliveries"])
    haldir.delete(f"/v1/webhooks/{made['webhook_id']}")
    assert haldir.get("/v1/webhooks/deliveries", key=stranger).body == {
        "deliveries": [],
        "count": 0,
        "next_before": None,
    }
    foreign = haldir.post(f"/v1/webhooks/deliveries/{mine[0]['delivery_id']}/replay", key=stranger)
    unknown = haldir.post("/v1/webhooks/deliveries/dlv_none/replay", key=stranger)
    assert (foreign.status, foreign.body["code"]) == (unknown.status, unknown.body["code"]) == (404, "not_found")
