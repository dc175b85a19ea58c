"""Links that decide: what they show, what they do once, whose word they are, and where they never appear."""

import json
import logging
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from haldir.app import check
from haldir.faces.fault_log import report_fault
from haldir.faces.web.link_rate import REQUESTS_PER_MINUTE
from haldir.kernel.clock import HOUR, MINUTE
from haldir.settings import Settings
from haldir.webhooks.mail_server import MailServer
from harness.answers import Answer
from harness.databases import fresh_database
from harness.eventually import eventually
from harness.haldir import Haldir
from harness.person import FORM, Person, text
from harness.processes import Up
from harness.threads import BOOTSTRAP_TOKEN, running_haldir
from mail_receiver import Mailbox, taking_mail
from receiver import Receiver, Reply, receiving

PUBLIC_URL = "https://haldir.example"
LINK = re.compile(rf"{PUBLIC_URL}(/approve/[A-Za-z0-9_-]+)")
EVIL = "<script>alert(1)</script>"


class Clock:
    """Time that a test turns on; never back."""

    def __init__(self) -> None:
        self.now = 1_790_000_000_000_000

    def __call__(self) -> int:
        return self.now


@pytest.fixture(scope="module")
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def mailbox() -> Iterator[Mailbox]:
    with taking_mail() as mailbox:
        yield mailbox


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def haldir(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, clock: Clock, mailbox: Mailbox
) -> Iterator[Haldir]:
    """A Haldir that holds payments over 10 for one person, over 100 for two, over 1000 for four eyes."""
    dsn = fresh_database(request.getfixturevalue("postgres_dsn")) if request.param == "postgres" else None
    mail = MailServer(host="127.0.0.1", port=mailbox.port, security="none", sender="haldir@haldir.example")
    data = tmp_path_factory.mktemp("data")
    with running_haldir(data, dsn=dsn, clock=clock, public_url=PUBLIC_URL, mail=mail) as haldir:
        rules = ({"threshold": 10}, {"threshold": 100, "approvers": 2}, {"threshold": 1000, "four_eyes": True})
        for rule in rules:
            haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", **rule})
        yield haldir


@pytest.fixture
def channel() -> Iterator[Receiver]:
    with receiving() as channel:
        yield channel


@pytest.fixture
def visitor(haldir: Haldir) -> Person:
    """Somebody with nothing but a link."""
    return Person(haldir)


def new_key(haldir: Haldir, *scopes: str) -> str:
    key: str = haldir.rest("POST", "/v1/keys", {"name": "somebody", "scopes": scopes or ("*",)})["key"]
    return key


@pytest.fixture
def webhooks(haldir: Haldir) -> Iterator[Any]:
    """Register webhooks with links, which are gone after the test."""
    made: list[int] = []

    def register(key: str = "", **members: Any) -> int:
        body = {"events": ["approval_requested"], "links": True, **members}
        answer = haldir.post("/v1/webhooks", body, key=key)
        assert answer.status == 201, answer
        assert answer.body["links"] is body["links"]
        made.append(answer.body["webhook_id"])
        return made[-1]

    yield register
    for webhook_id in made:
        haldir.delete(f"/v1/webhooks/{webhook_id}")


def held(haldir: Haldir, amount: float = 20, key: str = "", **members: Any) -> str:
    """Ask for a payment that is held; return its approval."""
    session = haldir.post(
        "/v1/sessions", {"agent_id": "buyer", "spend_limit": 100_000, "scopes": ["spend"], **members}, key=key
    )
    body = {"session_id": session.body["session_id"], "amount": amount, "description": "a chair"}
    answer = haldir.post("/v1/payments/authorize", body, key=key)
    assert answer.body["code"] == "approval_required", answer
    return str(answer.body["request_id"])


def links(channel: Receiver, number: int = 0) -> tuple[str, str]:
    """Return the paths of the links to approve and to deny in a message."""
    channel.wait_for(number + 1)
    approve, deny = LINK.findall(channel.came[number].raw.decode())
    return approve, deny


def approval(haldir: Haldir, approval_id: str) -> Any:
    return haldir.get(f"/v1/approvals/{approval_id}").body


def follow(visitor: Person, path: str, note: str = "") -> Answer:
    """Press the button of the page behind a link, as a browser does that tells nobody where it comes from."""
    return visitor.send_raw(path, f"note={note}".encode(), origin="null")


def said(answer: Answer) -> str:
    found = re.search(r'class="told [a-z]+"[^>]*>([^<]*)<', text(answer))
    return found[1] if found else ""


def test_a_link_shows_what_it_does_and_does_it_only_when_its_button_is_pressed(
    haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any
) -> None:
    number = webhooks(url=channel.url, format="slack")
    approval_id = held(haldir, agent_id=EVIL)
    approve, deny = links(channel)
    (actions,) = [block for block in channel.came[0].body["blocks"] if block["type"] == "actions"]
    assert [each["text"]["text"] for each in actions["elements"]] == ["Approve…", "Deny…", "Open"]
    for path, word in ((approve, "Approve"), (deny, "Deny")):
        for method in ("GET", "HEAD"):  # Whoever previews links, or looks for viruses behind them, asks like this.
            opened = haldir.ask(method, path, key=None)
            assert opened.status == 200
        page = text(visitor.get(path))
        assert ("Payment of 20.00 USD" in page, "a chair" in page, f">{word}</button>" in page) == (True, True, True)
        assert "<script>alert" not in page
        assert path.rpartition("/")[2] not in page
    assert approval(haldir, approval_id)["status"] == "pending"
    done = follow(visitor, approve, "go+ahead")
    assert (done.status, said(done)) == (200, f"Approved, for this one time: {approval_id}.")
    now = approval(haldir, approval_id)
    assert (now["status"], now["decided_by"], now["decision_note"]) == ("approved", f"link:{number}", "go ahead")
    for path in (approve, deny):
        for again in (visitor.get(path), follow(visitor, path)):
            assert again.status in {400, 410}
            assert f"link:{number}" in said(again)
            assert "</form>" not in text(again)
    assert approval(haldir, approval_id)["status"] == "approved"


def test_a_link_that_denies_denies(haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any) -> None:
    number = webhooks(url=channel.url, format="teams", name="The ops team")
    approval_id = held(haldir)
    approve, deny = links(channel)
    denied = follow(visitor, deny)
    assert said(denied) == f"Denied: {approval_id}."
    assert "The ops team" in text(denied)
    now = approval(haldir, approval_id)
    assert (now["decided_by"], now["decided_by_name"]) == (f"link:{number}", "The ops team")
    assert said(visitor.get(approve)) == (
        f"This link was used, or another of the same message: link:{number} has denied it."
    )


def test_a_page_behind_a_link_is_kept_nowhere_and_tells_nobody_its_address(
    haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any
) -> None:
    webhooks(url=channel.url)
    held(haldir)
    approve, _ = links(channel)
    for answer in (visitor.get(approve), follow(visitor, approve), visitor.get("/approve/none")):
        told = {name: answer.headers[name] for name in ("cache-control", "referrer-policy", "x-robots-tag")}
        assert told == {"cache-control": "no-store", "referrer-policy": "no-referrer", "x-robots-tag": "noindex"}
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "set-cookie" not in answer.headers


def test_programs_and_letters_have_the_links_as_well(
    haldir: Haldir, channel: Receiver, mailbox: Mailbox, visitor: Person, webhooks: Any
) -> None:
    mailbox.came.clear()
    webhooks(url=channel.url)
    webhooks(email="ops@ops.example")
    approval_id = held(haldir)
    channel.wait_for(1)
    body = channel.came[0].body
    assert LINK.fullmatch(body["approve_url"])
    assert LINK.fullmatch(body["deny_url"])
    (letter,) = eventually(lambda: mailbox.came)
    written = letter.letter.get_body(("plain",))
    assert written is not None
    _, deny = LINK.findall(written.get_content())
    assert "Denied" in said(follow(visitor, deny))
    assert approval(haldir, approval_id)["status"] == "denied"


def test_only_messages_that_ask_have_links_and_only_where_somebody_wanted_them(
    haldir: Haldir, channel: Receiver, webhooks: Any
) -> None:
    webhooks(url=channel.url, events=["approval_requested", "approval_decided"])
    with receiving() as without:
        webhooks(url=without.url, links=False)
        approval_id = held(haldir)
        haldir.rest("POST", f"/v1/approvals/{approval_id}/deny")
        channel.wait_for(2)
        without.wait_for(1)
        assert "/approve/" not in channel.came[1].raw.decode() + without.came[0].raw.decode()
        assert channel.came[1].body["event"] == "approval_decided"


def test_a_sample_has_the_links_of_a_real_message_and_they_decide_nothing(
    haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any
) -> None:
    number, waits = webhooks(url=channel.url), held(haldir)
    links(channel)
    haldir.rest("POST", "/v1/webhooks/trigger", {"event": "approval_requested", "webhook_id": number})
    for path in links(channel, 1):
        assert (visitor.get(path).status, follow(visitor, path).status) == (404, 400)
    sample = channel.came[1].body
    assert (sample["test"], haldir.get(f"/v1/approvals/{sample['request_id']}").status) == (True, 404)
    assert approval(haldir, waits)["status"] == "pending"


def test_who_hands_out_the_power_to_decide_must_have_it(haldir: Haldir) -> None:
    body = {"url": "http://127.0.0.1:9/", "links": True}
    refused = haldir.post("/v1/webhooks", body, key=new_key(haldir, "webhooks:write"))
    assert (refused.status, refused.body["required"]) == (403, "approvals:write")
    made = haldir.post("/v1/webhooks", body, key=new_key(haldir, "webhooks:write", "approvals:write"))
    assert (made.status, made.body["links"]) == (201, True)
    haldir.delete(f"/v1/webhooks/{made.body['webhook_id']}")


def test_where_nobody_said_how_haldir_is_reached_there_are_no_links(tmp_path: Path) -> None:
    with running_haldir(tmp_path) as haldir:
        refused = haldir.post("/v1/webhooks", {"url": "http://127.0.0.1:9/", "links": True})
        assert (refused.status, refused.body["field"]) == (400, "links")
        assert "HALDIR_PUBLIC_URL" in refused.body["error"]


def test_with_four_eyes_the_webhook_of_whoever_asked_decides_nothing(
    haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any
) -> None:
    asker, other = new_key(haldir), new_key(haldir)
    webhooks(asker, url=channel.url)
    with receiving() as elsewhere:
        webhooks(other, url=elsewhere.url)
        approval_id = held(haldir, amount=2000, key=asker)
        own, own_denial = links(channel)
        for path in (own, own_denial):
            refused = follow(visitor, path)
            assert (refused.status, "somebody else must decide" in said(refused)) == (403, True)
        assert approval(haldir, approval_id)["votes"] == []
        foreign, denial = links(elsewhere)
        assert "1 more must approve" in said(follow(visitor, foreign))
        assert "Denied" in said(follow(visitor, denial))


def test_where_several_must_approve_a_link_has_one_vote_and_so_has_whoever_hands_them_out(
    haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any
) -> None:
    one, other = new_key(haldir), new_key(haldir)
    first = webhooks(one, url=channel.url)
    with receiving() as same, receiving() as another:
        webhooks(one, url=same.url)
        second = webhooks(other, url=another.url)
        approval_id = held(haldir, amount=200)
        approve, _ = links(channel)
        assert "1 more must approve" in said(follow(visitor, approve))
        assert said(visitor.get(approve)) == "This link was used: it has approved, and others must, too."
        assert "approved" in said(follow(visitor, approve))
        assert f"key:{one[:12]} approved" in said(follow(visitor, links(same)[0]))
        refused = haldir.post(f"/v1/approvals/{approval_id}/approve", key=one)
        assert (refused.status, refused.body["code"]) == (400, "approval_decided")
        assert len(approval(haldir, approval_id)["votes"]) == 1
        assert said(follow(visitor, links(another)[0])).startswith("Approved")
        assert [vote["approved_by"] for vote in approval(haldir, approval_id)["votes"]] == [
            f"link:{first}",
            f"link:{second}",
        ]


def test_a_link_ends_with_its_webhook_and_with_the_key_that_made_it(
    haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any
) -> None:
    maker = new_key(haldir)
    number = webhooks(maker, url=channel.url)
    approval_id = held(haldir)
    approve, _ = links(channel)

    def ended() -> bool:
        opened, pressed = visitor.get(approve), follow(visitor, approve)
        assert opened.status == pressed.status
        return opened.status == 410 and "that this link came by" in text(opened)

    haldir.rest("POST", f"/v1/webhooks/{number}/disable")
    assert ended()
    writer = new_key(haldir, "webhooks:write")
    refused = haldir.post(f"/v1/webhooks/{number}/enable", key=writer)
    assert (refused.status, refused.body["required"]) == (403, "approvals:write")
    assert ended()
    haldir.rest("POST", f"/v1/webhooks/{number}/enable")
    assert visitor.get(approve).status == 200
    haldir.rest("DELETE", f"/v1/keys/{maker[:12]}")
    assert ended()
    haldir.rest("DELETE", f"/v1/webhooks/{number}")
    assert ended()
    assert approval(haldir, approval_id)["status"] == "pending"
    log = json.dumps(haldir.rest("GET", "/v1/audit?kind=approval.decide&refused=true&limit=100"))
    assert "link_ended" in log  # Who pressed the button of a dead link stands in the log.


def test_a_link_expires_with_its_approval(
    haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any, clock: Clock
) -> None:
    webhooks(url=channel.url)
    held(haldir)
    approve, _ = links(channel)
    clock.now += HOUR
    opened = visitor.get(approve)
    assert (opened.status, said(opened)) == (410, "This link has expired: nobody decided in time.")
    assert "has expired" in said(follow(visitor, approve))


def test_a_message_that_comes_late_has_no_links_any_more(
    haldir: Haldir, channel: Receiver, webhooks: Any, clock: Clock
) -> None:
    channel.answer = lambda _delivery: Reply(503)
    webhooks(url=channel.url)
    approval_id = held(haldir)
    links(channel)
    haldir.rest("POST", f"/v1/approvals/{approval_id}/deny")
    channel.answer = lambda _delivery: Reply(200)
    clock.now += MINUTE
    channel.wait_for(2)
    assert "/approve/" not in channel.came[1].raw.decode()


@pytest.mark.parametrize(
    "spoilt",
    [
        lambda token: token[:-1],
        lambda token: token + "A",
        lambda token: token[:40] + ("A" if token[40] != "A" else "B") + token[41:],
        lambda token: token[::-1],
        lambda _token: "",
        lambda _token: "x" * 2000,
        lambda _token: "%C3%A9",
        lambda _token: "AAAA",
        lambda token: token + "/approve",
    ],
)
def test_what_is_no_link_is_told_so(
    haldir: Haldir, channel: Receiver, webhooks: Any, clock: Clock, spoilt: Any
) -> None:
    visitor = Person(haldir)
    clock.now += MINUTE
    webhooks(url=channel.url)
    approval_id = held(haldir)
    approve, _ = links(channel)
    path = "/approve/" + spoilt(approve.removeprefix("/approve/"))
    assert visitor.get(path).status == follow(visitor, path).status == 404
    assert approval(haldir, approval_id)["status"] == "pending"


def test_another_tenant_s_webhook_links_to_its_own_approvals_alone(
    haldir: Haldir, channel: Receiver, visitor: Person
) -> None:
    stranger = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    body = {"url": channel.url, "links": True, "events": ["approval_requested"]}
    made = haldir.post("/v1/webhooks", body, key=stranger).body
    rule = {"type": "spend_over", "threshold": 10}
    assert haldir.post("/v1/approvals/rules", rule, key=stranger).status == 201
    theirs = held(haldir, key=stranger)
    approve, _ = links(channel)
    assert said(follow(visitor, approve)).startswith("Approved")
    assert haldir.get(f"/v1/approvals/{theirs}", key=stranger).body["decided_by"] == f"link:{made['webhook_id']}"
    assert haldir.get(f"/v1/approvals/{theirs}").status == 404
    haldir.delete(f"/v1/webhooks/{made['webhook_id']}", key=stranger)


def test_links_and_forms_are_taken_only_as_browsers_send_them(
    haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any
) -> None:
    webhooks(url=channel.url)
    approval_id = held(haldir)
    approve, _ = links(channel)
    assert haldir.ask("PUT", approve, key=None).status == 405
    assert haldir.ask("POST", approve, b'{"note":"x"}', key=None, content_type="application/json").status == 400
    assert visitor.send_raw(approve, b"note=" + b"x" * 2001).status == 400
    assert haldir.ask("POST", approve, b"x" * 40_000, key=None, content_type=FORM).status == 413
    assert approval(haldir, approval_id)["status"] == "pending"


def test_whoever_tries_too_often_waits_and_keeps_nobody_else_out(
    haldir: Haldir, channel: Receiver, visitor: Person, webhooks: Any, clock: Clock
) -> None:
    clock.now += MINUTE - clock.now % MINUTE
    webhooks(url=channel.url)
    held(haldir)
    approve, _ = links(channel)
    answers = [visitor.get("/approve/none") for _ in range(REQUESTS_PER_MINUTE + 1)]
    assert [answer.status for answer in answers] == [404] * REQUESTS_PER_MINUTE + [429]
    assert int(answers[-1].headers["retry-after"]) > 0
    answers = [visitor.get(approve) for _ in range(REQUESTS_PER_MINUTE + 1)]
    assert [answer.status for answer in answers] == [200] * REQUESTS_PER_MINUTE + [429]
    clock.now += MINUTE
    assert visitor.get(approve).status == 200


def test_of_links_pressed_at_once_one_counts(haldir: Haldir, channel: Receiver, webhooks: Any, clock: Clock) -> None:
    webhooks(url=channel.url)
    for number in range(10):
        clock.now += MINUTE
        approval_id = held(haldir)
        both = links(channel, number) * 3
        with ThreadPoolExecutor(6) as people:
            pressed = list(people.map(lambda path: follow(Person(haldir), path), both))
        assert sorted(answer.status for answer in pressed) == [200, 400, 400, 400, 400, 400]
        (counted,) = [path for path, answer in zip(both, pressed, strict=True) if answer.status == 200]
        expected = "approved" if counted == both[0] else "denied"
        assert approval(haldir, approval_id)["status"] == expected


def test_what_a_receiver_says_back_shows_no_link_to_whoever_reads_the_attempts(
    haldir: Haldir, channel: Receiver, webhooks: Any
) -> None:
    channel.answer = lambda delivery: Reply(200, {}, delivery.body["approve_url"].encode())
    number = webhooks(url=channel.url)
    held(haldir)
    approve, _ = links(channel)
    path = f"/v1/webhooks/deliveries?webhook_id={number}"
    (attempt,) = eventually(lambda: haldir.get(path).body["deliveries"])
    assert attempt["response_excerpt"] == f"{PUBLIC_URL}/approve/***"
    assert approve.rpartition("/")[2] not in json.dumps(haldir.get("/v1/audit?kind=all&limit=1000").body)


def test_the_server_writes_no_link_down(tmp_path: Path, channel: Receiver) -> None:
    with Up(tmp_path / "data", "--allow-private", HALDIR_PUBLIC_URL=PUBLIC_URL) as up:
        up.rest("POST", "/v1/webhooks", {"url": channel.url, "links": True, "events": ["approval_requested"]})
        up.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 10})
        held(up)
        approve, deny = links(channel)
        visitor = Person(up)
        assert visitor.get(approve).status == 200
        assert follow(visitor, deny).status == 200
        assert up.stop() == 0
        assert up.process.stdout is not None
        written = up.stderr() + up.process.stdout.read().decode()
    assert check(Settings(data=tmp_path / "data")).ok  # Whoever has the log can decide it again.
    assert approve.rpartition("/")[2] not in written
    assert deny.rpartition("/")[2] not in written


def test_a_fault_behind_a_link_is_written_down_without_it(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        report_fault(ValueError("x"), {"type": "http", "method": "GET", "path": "/approve/secret-token"}, "r1")
    (record,) = caplog.records
    assert vars(record)["event"]["path"] == "/approve/***"
