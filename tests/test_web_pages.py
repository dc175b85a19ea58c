"""The pages without a script: who gets in, what a page shows, what a form does, and what never leaves."""

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from http.client import HTTPConnection
from typing import Any

import pytest

from haldir.faces.web.events import STREAMS_OF_KEY_MAX
from haldir.faces.web.sign_in import FAILURES_PER_MINUTE
from haldir.kernel.clock import HOUR, MINUTE
from harness.eventually import eventually
from harness.haldir import Haldir
from harness.person import Person, text
from harness.threads import BOOTSTRAP_TOKEN, running_haldir

WRONG = "hld_" + "x" * 43
EVIL = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


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
def haldir(tmp_path_factory: pytest.TempPathFactory, clock: Clock) -> Iterator[Haldir]:
    """A Haldir that holds every payment over 10, at a time of its own."""
    with running_haldir(tmp_path_factory.mktemp("data"), clock=clock) as haldir:
        haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 10})
        yield haldir


@pytest.fixture
def key(haldir: Haldir) -> str:
    return new_key(haldir, "approvals:write", name="Ada")


@pytest.fixture
def person(haldir: Haldir, key: str) -> Person:
    """Somebody who is signed in."""
    person = Person(haldir)
    assert person.sign_in(key).status == 303
    return person


def new_key(haldir: Haldir, *scopes: str, name: str = "somebody") -> str:
    key: str = haldir.rest("POST", "/v1/keys", {"name": name, "scopes": scopes})["key"]
    return key


def held(haldir: Haldir, amount: float = 20, description: str = "a chair", agent_id: str = "buyer") -> str:
    """Ask for a payment that is held; return its approval."""
    session = haldir.session(spend_limit=10_000, agent_id=agent_id)
    body = {"session_id": session["session_id"], "amount": amount, "description": description}
    answer = haldir.post("/v1/payments/authorize", body)
    assert answer.body["code"] == "approval_required", answer
    return str(answer.body["request_id"])


def asked(haldir: Haldir, **said: Any) -> str:
    """Ask for a word of one's own accord; return the approval."""
    session = haldir.session(agent_id="buyer")
    return str(
        haldir.rest("POST", "/v1/approvals/request", {"session_id": session["session_id"], **said})["request_id"]
    )


def status(haldir: Haldir, approval_id: str) -> str:
    return str(haldir.get(f"/v1/approvals/{approval_id}").body["status"])


def refusals(haldir: Haldir, code: str) -> list[Any]:
    found: list[Any] = haldir.rest("GET", "/v1/audit?kind=refusal.record&refused=true&limit=100")["entries"]
    return [entry for entry in found if code in json.dumps(entry)]


# Signing in.


def test_who_is_not_signed_in_is_asked_for_a_key_and_comes_back_to_where_the_link_led(haldir: Haldir, key: str) -> None:
    approval_id = held(haldir)
    person = Person(haldir)
    sent = person.get(f"/approvals/{approval_id}")
    assert (sent.status, sent.headers["location"]) == (303, f"/sign-in?next=/approvals/{approval_id}")
    form = person.follow(sent)
    assert f'name="next" value="/approvals/{approval_id}"' in text(form)
    assert 'type="password"' in text(form)
    back = person.sign_in(key, next=f"/approvals/{approval_id}")
    assert back.headers["location"] == f"/approvals/{approval_id}"
    assert "Payment of 20.00 USD" in text(person.follow(back))
    assert person.get("/").headers["location"] == "/approvals"


@pytest.mark.parametrize(
    "elsewhere",
    [
        "//evil.example",
        "https://evil.example",
        "/\\evil.example",
        "/approvals/../../x",
        "/approvals/a\r\nset-cookie: a=b",
        "/docs",
        "",
    ],
)
def test_no_link_leads_through_the_sign_in_to_another_place(haldir: Haldir, key: str, elsewhere: str) -> None:
    assert Person(haldir).sign_in(key, next=elsewhere).headers["location"] == "/approvals"


def test_the_cookie_is_for_this_site_and_its_server_alone_and_holds_no_key(haldir: Haldir, key: str) -> None:
    given = Person(haldir).sign_in(key).headers["set-cookie"]
    assert re.fullmatch(r"haldir=[A-Za-z0-9_=-]+; Path=/; HttpOnly; SameSite=Strict", given)
    assert key not in given


def test_where_browsers_come_by_https_the_cookie_never_goes_without(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_haldir(tmp_path_factory.mktemp("data"), public_url="https://haldir.example") as haldir:
        given = Person(haldir).sign_in(haldir.key).headers["set-cookie"]
        assert re.fullmatch(r"__Host-haldir=[A-Za-z0-9_=-]+; Path=/; HttpOnly; SameSite=Strict; Secure", given)
        person = Person(haldir)
        assert person.send_raw("/sign-in", f"key={haldir.key}".encode(), origin="https://haldir.example").status == 303


def test_a_wrong_key_is_told_so_without_being_repeated(haldir: Haldir) -> None:
    answer = Person(haldir).sign_in(WRONG)
    assert answer.status == 401
    assert "This key does not work here" in text(answer)
    assert WRONG not in text(answer)
    assert "set-cookie" not in answer.headers


def test_what_agents_hold_is_refused_and_recorded(haldir: Haldir) -> None:
    agent = haldir.rest("POST", "/v1/agents", {"name": "robot", "scopes": ["execute"]})["key"]
    for credential in (haldir.token(), agent):
        answer = Person(haldir).sign_in(credential)
        assert answer.status == 403
        assert "cannot sign in" in text(answer)
        assert "set-cookie" not in answer.headers
    assert len(refusals(haldir, "cannot sign in")) == 2
    assert haldir.rest("GET", "/v1/sessions?agent_id=robot")["sessions"] == []


def test_a_key_that_may_not_look_is_refused_and_recorded(haldir: Haldir) -> None:
    answer = Person(haldir).sign_in(new_key(haldir, "audit:read"))
    assert answer.status == 403
    assert "approvals:read" in text(answer)
    assert refusals(haldir, "approvals:read")


def test_who_tries_keys_of_one_prefix_is_stopped_and_nobody_else(haldir: Haldir, clock: Clock, key: str) -> None:
    clock.now += MINUTE
    for _ in range(FAILURES_PER_MINUTE):
        assert Person(haldir).sign_in(WRONG).status == 401
    stopped = Person(haldir).sign_in(WRONG)
    assert stopped.status == 429
    assert 1 <= int(stopped.headers["retry-after"]) <= 60
    assert Person(haldir).sign_in(key).status == 303
    clock.now += MINUTE
    assert Person(haldir).sign_in(WRONG).status == 401


def test_a_revoked_key_is_signed_out_at_once(haldir: Haldir, person: Person, key: str) -> None:
    assert person.get("/approvals").status == 200
    haldir.delete(f"/v1/keys/{key[:12]}")
    assert person.get("/approvals").headers["location"] == "/sign-in"
    assert Person(haldir).sign_in(key).status == 401


def test_after_an_idle_hour_or_twelve_in_all_the_key_is_asked_for_again(
    haldir: Haldir, clock: Clock, person: Person
) -> None:
    for _ in range(12):
        clock.now += HOUR - 1
        assert person.get("/approvals").status == 200
    clock.now += 12
    assert person.get("/approvals").headers["location"] == "/sign-in"
    assert person.sign_in(haldir.key).status == 303
    clock.now += HOUR - 1
    live = person.get("/approvals", haldir_live="1")
    assert live.status == 200
    assert "set-cookie" not in live.headers  # A page that only updates itself keeps nobody signed in.
    clock.now += 1
    assert person.get("/approvals").status == 303


def test_signing_out_takes_the_cookie_away_and_a_copy_of_it_is_worth_nothing(person: Person) -> None:
    copied = person.cookie
    assert person.send("/sign-out").headers["location"] == "/sign-in"
    assert person.cookie == ""
    person.cookie = copied
    assert person.get("/approvals").status == 303


def test_signing_in_and_out_are_entries_that_name_the_key(haldir: Haldir, key: str) -> None:
    person = Person(haldir)
    person.sign_in(key)
    person.send("/sign-out")
    for kind in ("visit.begin", "visit.end"):
        newest = haldir.rest("GET", f"/v1/audit?kind={kind}&limit=1")["entries"][0]
        assert newest["details"]["asked_by"] == {"kind": "key", "id": key[:12]}


def test_a_cookie_that_was_altered_is_none(person: Person) -> None:
    name, _, value = person.cookie.partition("=")
    for altered in ("", "x", value[:-6], value[:20] + ("A" if value[20] != "A" else "B") + value[21:], "A" * 5000, "é"):
        person.cookie = f"{name}={altered}".encode().decode("latin-1")
        assert person.get("/approvals").status == 303


def test_a_link_in_another_sites_message_finds_who_is_signed_in(haldir: Haldir, person: Person) -> None:
    approval_id = held(haldir)
    stranger = Person(haldir)  # As a browser asks that follows such a link: the cookie is SameSite=Strict.
    form = f"/sign-in?next=/approvals/{approval_id}"
    for site in ("cross-site", "same-site", ""):
        moment = stranger.get(f"/approvals/{approval_id}", sec_fetch_site=site)
        assert moment.status == 200
        assert f'http-equiv="refresh" content="0; url={form}"' in text(moment)
        assert "Payment" not in text(moment)
    assert stranger.get(form).status == 200
    assert person.get(form).headers["location"] == f"/approvals/{approval_id}"


# What a page is sent with.


def test_every_page_keeps_to_itself(haldir: Haldir, person: Person) -> None:
    for path in ("/approvals", f"/approvals/{held(haldir)}", "/approvals/apr_none", "/sign-in", "/assets/none"):
        headers = person.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        assert headers["cross-origin-opener-policy"] == headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "same-origin"
        assert "access-control-allow-origin" not in headers


class Fetched(HTMLParser):
    """What a browser would fetch, follow or run."""

    def __init__(self) -> None:
        super().__init__()
        self.places: set[str] = set()
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in {"src", "href", "action", "formaction"}:
                self.places.add(value or "")
            if name.startswith("on") or name == "style":
                self.inline.append(name)
        if tag == "style" or (tag == "script" and "src" not in dict(attrs)):
            self.inline.append(tag)


def test_a_page_points_to_nothing_elsewhere_and_has_no_code_within(haldir: Haldir, person: Person) -> None:
    held(haldir)
    found = Fetched()
    found.feed(text(person.get("/approvals")))
    assert found.inline == []
    assert all(place.startswith(("/", "#")) and not place.startswith("//") for place in found.places)
    for place in found.places:
        if place.startswith("/assets/"):
            asset = person.get(place)
            assert asset.status == 200
            assert "immutable" in asset.headers["cache-control"]
            assert b"http:" not in asset.raw
            assert b"https:" not in asset.raw


def test_paths_that_are_no_pages_and_methods_that_do_not_work(haldir: Haldir, person: Person) -> None:
    assert person.get("/approvals/apr_none").status == 404
    assert person.get("/approvals/a/b/c").status == 404
    assert person.get("/sign-out").status == 405
    assert person.get(f"/approvals/{held(haldir)}/approve").status == 405
    assert person.send("/approvals").status == 405
    assert haldir.ask("PUT", "/approvals", b"", key=None).status == 405
    assert haldir.ask("HEAD", "/sign-in", key=None).status == 200


# What a page shows.


def test_the_list_shows_what_waits_newest_first_and_when_nothing_does_says_so(haldir: Haldir, clock: Clock) -> None:
    other = haldir.post("/v1/keys", {"name": "other", "bootstrap_token": BOOTSTRAP_TOKEN}, key=None).body["key"]
    stranger = Person(haldir)
    stranger.sign_in(other)
    first = held(haldir, 1234.5)
    clock.now += 1
    second = held(haldir, 21, description="a lamp")
    person = Person(haldir)
    person.sign_in(haldir.key)
    page = text(person.get("/approvals"))
    assert page.index(second) < page.index(first)
    assert "Payment of 1,234.50 USD" in page
    assert "a lamp" in page
    count = haldir.rest("GET", "/v1/approvals/pending")["count"]
    assert f"<title>({count}) Approvals · Haldir</title>" in page
    assert "Nothing waits for you." in text(stranger.get("/approvals"))
    assert stranger.get(f"/approvals/{first}").status == 404


def test_what_an_agent_writes_is_text(haldir: Haldir, person: Person) -> None:
    session = haldir.session(agent_id="buyer")
    said = {"tool": EVIL[:40], "action": EVIL, "reason": EVIL, "details": {EVIL: EVIL}, "params": [EVIL]}
    approval_id = haldir.rest("POST", "/v1/approvals/request", {"session_id": session["session_id"], **said})[
        "request_id"
    ]
    haldir.post(f"/v1/approvals/{approval_id}/deny", {"decided_by": EVIL, "note": EVIL})
    waiting = asked(haldir, **said)
    for path in ("/approvals", f"/approvals/{approval_id}", f"/approvals/{waiting}"):
        page = text(person.get(path))
        assert "alert(1)" in page
        assert "<script>alert" not in page
        assert "<img src=x" not in page


def test_what_cannot_be_seen_is_shown_by_its_code(haldir: Haldir, person: Person) -> None:
    approval_id = asked(haldir, reason="pay\u202ecod.exe", details={"file": "a\u200bb\u2066c", "emoji": "\U0001f600ü"})
    page = text(person.get(f"/approvals/{approval_id}"))
    assert "pay\\u202ecod.exe" in page
    assert "a\\u200bb\\u2066c" in page
    assert "\U0001f600ü" in page


def test_numbers_are_shown_as_they_were_written(haldir: Haldir, person: Person) -> None:
    session = haldir.session(agent_id="buyer")
    body = f'{{"session_id": "{session["session_id"]}", "details": {{"n": 12345678901234567890.10, "e": 1E+2}}}}'
    approval_id = haldir.post("/v1/approvals/request", body.encode()).body["request_id"]
    page = text(person.get(f"/approvals/{approval_id}"))
    assert "12345678901234567890.10" in page
    assert "1E+2" in page


def test_what_is_too_long_for_the_list_is_decided_where_all_of_it_is_shown(haldir: Haldir, person: Person) -> None:
    approval_id = asked(haldir, details={"a": "x" * 10_000, "z": "the end"})
    page = text(person.get("/approvals"))
    assert "the end" not in page
    assert f"/approvals/{approval_id}/approve" not in page
    assert "See all of it and decide" in page
    whole = text(person.get(f"/approvals/{approval_id}"))
    assert "the end" in whole
    assert f"/approvals/{approval_id}/approve" in whole


def test_older_approvals_are_on_the_next_page(haldir: Haldir, person: Person, clock: Clock) -> None:
    all_of_them = []
    for number in range(51):
        clock.now += 1
        all_of_them.append(asked(haldir, reason=f"number {number}"))
    page = text(person.get("/approvals"))
    assert all_of_them[0] not in page
    older = re.search(r'href="(/approvals\?before=[^"]+)"', page)
    assert older
    assert all_of_them[0] in text(person.get(older[1]))
    for approval_id in all_of_them:
        haldir.post(f"/v1/approvals/{approval_id}/deny")


# Deciding.


def test_a_decision_counts_once_and_says_what_it_did(haldir: Haldir, person: Person, key: str) -> None:
    yes, no = held(haldir), held(haldir, 30)
    approved = person.send(f"/approvals/{yes}/approve", note="as agreed")
    assert approved.headers["location"] == "/approvals"
    told = text(person.follow(approved))
    assert f"Approved, for this one time: Payment of 20.00 USD ({yes})." in told
    assert f'id="{yes}"' not in told
    assert "Approved, for" not in text(person.get("/approvals"))
    assert f"Denied: Payment of 30.00 USD ({no})." in text(
        person.follow(person.send(f"/approvals/{no}/deny", note="too\r\nmuch"))
    )
    shown = [haldir.get(f"/v1/approvals/{each}").body for each in (yes, no)]
    assert [each["status"] for each in shown] == ["approved", "denied"]
    assert [each["decided_by"] for each in shown] == [f"key:{key[:12]}"] * 2
    assert [each["decision_note"] for each in shown] == ["as agreed", "too\nmuch"]
    page = text(person.get(f"/approvals/{no}"))
    assert "Denied by " in page
    assert "Ada (you)" in page
    assert f"/approvals/{no}/approve" not in page


def test_refusals_are_told_in_words(haldir: Haldir, person: Person, clock: Clock) -> None:
    decided, gone = held(haldir), held(haldir, 30)
    haldir.post(f"/v1/approvals/{decided}/deny")
    late = text(person.follow(person.send(f"/approvals/{decided}/approve")))
    assert 'role="alert"' in late
    assert f"decided {decided} already: denied." in late
    assert "There is no approval apr_none." in text(person.follow(person.send("/approvals/apr_none/approve")))
    too_long = text(person.follow(person.send(f"/approvals/{gone}/approve", note="x" * 2001)))
    assert "Not decided." in too_long
    clock.now += HOUR // 2
    person.get("/approvals")
    clock.now += HOUR // 2
    assert "has expired" in text(person.follow(person.send(f"/approvals/{gone}/approve")))
    assert status(haldir, gone) == "expired"


def test_four_eyes_and_two_approvers_hold_on_the_page_as_by_rest(haldir: Haldir, person: Person) -> None:
    rule = haldir.rest(
        "POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 500, "approvers": 2, "four_eyes": True}
    )
    approval_id = held(haldir, 600)
    asker = Person(haldir)
    asker.sign_in(haldir.key)
    assert "somebody else must decide" in text(asker.follow(asker.send(f"/approvals/{approval_id}/approve")))
    first = text(person.follow(person.send(f"/approvals/{approval_id}/approve")))
    assert "1 more must approve" in first
    assert "1 of 2 approvals given." in first
    assert "You have approved this; others must, too." in first
    assert status(haldir, approval_id) == "pending"
    second = Person(haldir)
    second.sign_in(new_key(haldir, "approvals:write"))
    assert f"({approval_id})." in text(second.follow(second.send(f"/approvals/{approval_id}/approve")))
    haldir.delete(f"/v1/approvals/rules/{rule['rule_id']}")


def test_a_key_that_may_only_look_gets_no_buttons_and_decides_nothing(haldir: Haldir) -> None:
    approval_id = held(haldir)
    looker = Person(haldir)
    looker.sign_in(new_key(haldir, "approvals:read"))
    page = text(looker.get("/approvals"))
    assert f"/approvals/{approval_id}/approve" not in page
    assert "This key may look" in page
    refused = text(looker.follow(looker.send(f"/approvals/{approval_id}/approve")))
    assert "approvals:write" in refused
    assert status(haldir, approval_id) == "pending"


def test_a_form_that_is_not_of_this_visit_or_not_of_our_page_decides_nothing(haldir: Haldir, person: Person) -> None:
    approval_id = held(haldir)
    path = f"/approvals/{approval_id}/approve"
    other = Person(haldir)
    other.sign_in(haldir.key)
    foreign = re.search(r'name="form_token" value="([^"]+)"', text(other.get("/approvals")))
    assert foreign
    answers = [
        person.send(path, form_token=""),
        person.send(path, form_token="x"),
        person.send(path, form_token=foreign[1]),
        person.send("/sign-out", form_token=foreign[1]),
    ]
    token = re.search(r'name="form_token" value="([^"]+)"', text(person.get("/approvals")))
    assert token
    good = f"form_token={token[1]}".encode()
    for origin in ("https://evil.example", "null", "http://", ""):
        answers.append(person.send_raw(path, good, origin=origin))
        answers.append(person.send_raw("/sign-in", f"key={haldir.key}".encode(), origin=origin))
    assert {answer.status for answer in answers} == {403}
    as_json = person.send_raw(path, good, content_type="text/plain")
    assert as_json.status == 400
    assert status(haldir, approval_id) == "pending"
    assert person.send_raw(path, good).status == 303
    assert status(haldir, approval_id) == "approved"


def test_a_form_of_somebody_who_was_signed_out_leads_to_the_sign_in(haldir: Haldir) -> None:
    approval_id = held(haldir)
    answer = Person(haldir).send(f"/approvals/{approval_id}/approve")
    assert answer.headers["location"] == f"/sign-in?next=/approvals/{approval_id}"
    assert status(haldir, approval_id) == "pending"


def test_a_form_that_is_too_large_or_cannot_be_read_is_refused(person: Person) -> None:
    assert person.send_raw("/sign-in", b"key=" + b"x" * (32 << 10)).status == 413
    assert person.send_raw("/sign-in", b"key=%ff").status == 400
    assert person.send_raw("/sign-in", b"&".join(b"a=b" for _ in range(17))).status == 400


def test_who_sends_too_much_is_told_when_to_go_on(tmp_path_factory: pytest.TempPathFactory) -> None:
    with running_haldir(tmp_path_factory.mktemp("data"), clock=Clock(), rate_limit_per_minute=3) as haldir:
        person = Person(haldir)
        person.sign_in(haldir.key)
        answers = [person.get("/approvals") for _ in range(4)]
        assert [answer.status for answer in answers] == [200, 200, 200, 429]
        assert int(answers[-1].headers["retry-after"]) >= 1


# Streams.


class Stream:
    """The events that an open page hears."""

    def __init__(self, haldir: Haldir, person: Person) -> None:
        self._connection = HTTPConnection("127.0.0.1", haldir.port, timeout=30)
        self._connection.request("GET", "/approvals/events", headers={"cookie": person.cookie})
        self.answer = self._connection.getresponse()

    def event(self) -> Any:
        """Return what the next event says; None once the stream has ended."""
        while line := self.answer.readline():
            if line.startswith(b"data: "):
                return json.loads(line.removeprefix(b"data: "))
        return None

    def ends(self) -> bool:
        """Hear it to its end. Raises IncompleteRead if it is broken off instead."""
        self.answer.read()
        return True

    def close(self) -> None:
        self._connection.close()


def test_an_open_page_hears_of_what_begins_to_wait_and_what_is_decided(haldir: Haldir, person: Person) -> None:
    stream = Stream(haldir, person)
    assert stream.answer.getheader("content-type") == "text/event-stream"
    page = text(person.get("/approvals"))
    now = stream.event()
    assert f'data-stamp="{now["version"]}"' in page
    approval_id = held(haldir)
    more = stream.event()
    assert more == {"version": now["version"] + 1, "waiting": now["waiting"] + 1}
    haldir.rest("GET", "/v1/keys")
    haldir.post(f"/v1/approvals/{approval_id}/approve")
    assert stream.event() == {"version": now["version"] + 2, "waiting": now["waiting"]}
    stream.close()


def test_a_stream_ends_with_the_visit_with_the_key_and_with_haldir(
    haldir: Haldir, person: Person, key: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    stream = Stream(haldir, person)
    assert stream.event()
    person.send("/sign-out")
    assert stream.ends()
    person.sign_in(key)
    stream = Stream(haldir, person)
    assert stream.event()
    haldir.delete(f"/v1/keys/{key[:12]}")
    assert stream.ends()
    assert Stream(haldir, person).answer.status == 401
    with running_haldir(tmp_path_factory.mktemp("data")) as stopping:
        person = Person(stopping)
        person.sign_in(stopping.key)
        stream = Stream(stopping, person)
        assert stream.event()
    assert stream.ends()


def test_one_key_leaves_streams_to_others_however_often_it_signs_in(haldir: Haldir, person: Person, key: str) -> None:
    again, other = Person(haldir), Person(haldir)
    again.sign_in(key)
    other.sign_in(new_key(haldir, "approvals:read"))
    streams = [Stream(haldir, person) for _ in range(STREAMS_OF_KEY_MAX)]
    assert {stream.answer.status for stream in streams} == {200}
    for visitor in (person, again):
        refused = Stream(haldir, visitor).answer
        assert (refused.status, refused.getheader("retry-after")) == (429, "10")
        assert "pages are open with this key" in refused.read().decode()
    theirs = Stream(haldir, other)
    assert theirs.answer.status == 200
    streams.pop().close()

    def is_let_in() -> bool:
        streams.append(Stream(haldir, again))
        return streams[-1].answer.status == 200

    eventually(is_let_in)
    assert Stream(haldir, person).answer.status == 429
    for stream in (*streams, theirs):
        stream.close()


def test_a_stream_ends_when_the_idle_hour_is_over(haldir: Haldir, person: Person, clock: Clock) -> None:
    stream = Stream(haldir, person)
    assert stream.event()
    clock.now += HOUR
    assert stream.ends()
