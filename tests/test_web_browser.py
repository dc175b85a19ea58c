"""The pages in a real Chromium: by mouse, by keyboard and by themselves, on a phone, in the dark, without scripts."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from harness.browser import PHONE, Tabs, chromium, overflow, violations
from harness.databases import fresh_database
from harness.haldir import Haldir
from harness.threads import running_haldir
from upstreams import sample
from upstreams.serving import serving

pytestmark = pytest.mark.xdist_group("browser")  # One browser, and no two of them at a time.

EVIL = "</pre><script>alert(1)</script><img src=x onerror=alert(1)>\"'"
TARGET_PIXELS = 44
LIVE = ".live.on"
SETTLED = ":root:not([data-moved])"
HOUR_MILLISECONDS = 3_600_000


@pytest.fixture(scope="module")
def database(postgres_dsn: str) -> str:
    """Made before the browser starts: its driver has an event loop in this thread, which lets no other run."""
    return fresh_database(postgres_dsn)


@pytest.fixture(scope="module")
def browser(database: str) -> Iterator[Browser]:
    del database
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    with serving(sample.app(json_response=True)) as url, running_haldir(tmp_path_factory.mktemp("data")) as haldir:
        haldir.rest("POST", "/v1/proxy/upstreams", {"name": "sample", "url": f"{url}/mcp"})
        haldir.rest("POST", "/v1/approvals/rules", {"type": "spend_over", "threshold": 10})
        yield haldir


@pytest.fixture
def key(haldir: Haldir) -> str:
    return new_key(haldir)


@pytest.fixture
def tabs(browser: Browser, haldir: Haldir) -> Iterator[Tabs]:
    tabs = Tabs(browser, haldir)
    yield tabs
    tabs.close()
    for each in haldir.rest("GET", "/v1/approvals/pending")["requests"]:
        haldir.post(f"/v1/approvals/{each['request_id']}/deny")


def new_key(haldir: Haldir, *scopes: str) -> str:
    body = {"name": "Ada Lovelace", "scopes": scopes or ("approvals:write",)}
    return str(haldir.rest("POST", "/v1/keys", body)["key"])


def held(haldir: Haldir, amount: float = 20, description: str = "a chair") -> str:
    session = haldir.session(spend_limit=1000, agent_id="buyer")
    body = {"session_id": session["session_id"], "amount": amount, "description": description}
    return str(haldir.post("/v1/payments/authorize", body).body["request_id"])


def asked(haldir: Haldir, **said: Any) -> str:
    session = haldir.session(agent_id="buyer")
    body = {"session_id": session["session_id"], **said}
    return str(haldir.rest("POST", "/v1/approvals/request", body)["request_id"])


def call(haldir: Haldir, amount: float) -> None:
    session = haldir.session("execute", "spend", agent_id="caller", spend_limit=1000)
    arguments = {"text": f"{amount} chairs", "amount": amount}
    haldir.rest(
        "POST", "/v1/proxy/call", {"tool": "sample.echo", "session_id": session["session_id"], "arguments": arguments}
    )


def shown(haldir: Haldir, approval_id: str) -> Any:
    return haldir.rest("GET", f"/v1/approvals/{approval_id}")


def test_a_key_signs_in_and_stays_out_of_every_url_and_page(key: str, tabs: Tabs) -> None:
    page = tabs.open()
    expect(page).to_have_title("Sign in · Haldir")
    expect(page.get_by_label("API key")).to_be_focused()
    page.keyboard.type("hld_" + "x" * 43)
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This key does not work here")
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Approvals")).to_be_visible()
    expect(page.get_by_text("Signed in as Ada Lovelace")).to_be_visible()
    (cookie,) = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["expires"]) == (True, "Strict", -1)
    assert key not in cookie["value"]
    assert key not in page.content()
    assert page.evaluate("document.cookie") == ""
    assert page.evaluate("localStorage.length + sessionStorage.length") == 0
    assert not [url for url in tabs.urls if key in url]
    page.goto("/approvals")
    page.get_by_role("button", name="Sign out").click()
    expect(page).to_have_title("Sign in · Haldir")
    assert page.context.cookies() == []


def test_the_mouse_approves(haldir: Haldir, key: str, tabs: Tabs) -> None:
    approval_id = held(haldir)
    page = tabs.open(key=key)
    page.get_by_role("button", name="Approve Payment of 20.00 USD").click()
    expect(page.locator(".told")).to_have_text(f"Approved, for this one time: Payment of 20.00 USD ({approval_id}).")
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    assert (shown(haldir, approval_id)["status"], shown(haldir, approval_id)["decided_by"]) == (
        "approved",
        f"key:{key[:12]}",
    )


def test_the_keyboard_alone_denies_with_a_note(haldir: Haldir, key: str, tabs: Tabs) -> None:
    approval_id = held(haldir)
    page = tabs.open(key=key)
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Payment of 20.00 USD")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_label("Note")).to_be_focused()
    page.keyboard.type("Too dear.")
    page.keyboard.press("Enter")
    page.keyboard.type("Ask again.")
    assert shown(haldir, approval_id)["status"] == "pending"  # A new line in a note approves nothing.
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Deny")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".told")).to_be_focused()
    assert (shown(haldir, approval_id)["status"], shown(haldir, approval_id)["decision_note"]) == (
        "denied",
        "Too dear.\nAsk again.",
    )


def test_an_open_page_updates_itself_and_keeps_what_somebody_is_at_work_on(
    haldir: Haldir, key: str, tabs: Tabs
) -> None:
    first = held(haldir)
    page = tabs.open(key=key)
    expect(page.locator(LIVE)).to_be_visible()
    page.evaluate("window.sameDocument = true")
    note = page.locator(f"#{first}-note")
    note.fill("half a note")
    top = note.bounding_box()
    second, third = held(haldir, 30), held(haldir, 40)
    expect(page.locator(".card")).to_have_count(3)
    assert [card.get_attribute("id") for card in page.locator(".card").all()] == [third, second, first]
    expect(page).to_have_title("(3) Approvals · Haldir")
    expect(page.locator("#news")).to_have_text(re.compile("new approval"))
    expect(note).to_be_focused()
    expect(note).to_have_value("half a note")
    now = note.bounding_box()
    assert top
    assert now
    assert abs(now["y"] - top["y"]) < 2
    haldir.post(f"/v1/approvals/{second}/approve")
    expect(page.locator(f"#{second}")).to_have_count(0)
    haldir.post(f"/v1/approvals/{first}/approve")
    expect(page.locator(f"#{first} .left")).to_contain_text("No longer waiting")
    expect(note).to_be_focused()
    expect(page.locator(f"#{first}").get_by_role("button", name="Approve")).to_be_disabled()
    expect(page).to_have_title("(1) Approvals · Haldir")
    assert page.evaluate("window.sameDocument")


def test_a_first_and_a_last_approval_come_and_go_in_an_open_page(haldir: Haldir, key: str, tabs: Tabs) -> None:
    page = tabs.open(key=key)
    expect(page.locator(LIVE)).to_be_visible()
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    approval_id = held(haldir)
    expect(page.locator(f"#{approval_id}")).to_be_visible()
    expect(page.locator("#news")).to_have_text("A new approval is waiting.")
    one = page.context.new_page()
    tabs.watch(one)
    one.goto(f"/approvals/{approval_id}")
    expect(one.get_by_text("Waiting", exact=True)).to_be_visible()
    haldir.post(f"/v1/approvals/{approval_id}/deny", {"note": "no"})
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    expect(page.locator(LIVE)).to_be_visible()
    expect(one.locator(".state")).to_have_text("Denied")
    expect(one.get_by_role("button", name="Approve")).to_have_count(0)


def test_a_page_that_could_not_look_looks_again(haldir: Haldir, key: str, tabs: Tabs) -> None:
    page = tabs.open()
    page.clock.install()
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.locator(LIVE)).to_be_visible()
    page.route("**/approvals", lambda route: route.fulfill(status=503), times=1)
    with page.expect_response(lambda response: response.status == 503):
        approval_id = held(haldir)
    page.wait_for_function("page.stale")  # From here on it waits for its time to come.
    page.clock.fast_forward(10_000)
    expect(page.locator(f"#{approval_id}")).to_be_visible()


def test_a_click_in_the_moment_after_the_list_moved_decides_nothing(haldir: Haldir, key: str, tabs: Tabs) -> None:
    approval_id = held(haldir)
    page = tabs.open(key=key)
    expect(page.locator(LIVE)).to_be_visible()
    page.evaluate("settle()")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator("#news")).to_have_text("The list has just changed. Look again before you decide.")
    assert shown(haldir, approval_id)["status"] == "pending"
    expect(page.locator(SETTLED)).to_be_visible()
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".told")).to_contain_text("Approved")


def test_of_two_who_decide_the_second_is_told_what_the_first_did(haldir: Haldir, key: str, tabs: Tabs) -> None:
    approval_id, other = held(haldir), new_key(haldir)
    pages = [tabs.open(key=each, java_script_enabled=False) for each in (key, other)]
    pages[0].get_by_role("button", name="Deny").click()
    expect(pages[0].locator(".told")).to_contain_text("Denied")
    pages[1].get_by_role("button", name="Approve").click()
    expect(pages[1].get_by_role("alert")).to_have_text(
        f"Not decided. key:{key[:12]} decided {approval_id} already: denied."
    )
    assert shown(haldir, approval_id)["status"] == "denied"


def test_without_scripts_everything_works_after_a_reload(haldir: Haldir, key: str, tabs: Tabs) -> None:
    page = tabs.open(key=key, java_script_enabled=False)
    expect(page.get_by_text("Reload to see what is new")).to_be_visible()
    approval_id = held(haldir)
    page.reload()
    expect(page.get_by_text("59 min left")).to_be_visible()
    page.get_by_label("Note").fill("fine")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".told")).to_contain_text(f"({approval_id}).")
    assert shown(haldir, approval_id)["decision_note"] == "fine"


def test_the_time_left_counts_down_and_at_its_end_nothing_can_be_decided(haldir: Haldir, key: str, tabs: Tabs) -> None:
    approval_id = held(haldir)
    page = tabs.open("/sign-in")
    page.clock.install()
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    left = page.locator(f"#{approval_id} .left")
    expect(left).to_have_text(re.compile(r"^(59:\d\d|1:00:00) left$"))
    page.clock.fast_forward(HOUR_MILLISECONDS - 240_000)
    expect(left).to_have_text(re.compile(r"^3:\d\d left$"))
    expect(left).to_have_class(re.compile("soon"))
    page.clock.fast_forward(240_000)
    expect(left).to_have_text("Expired")
    expect(page.get_by_role("button", name="Approve")).to_be_disabled()


def test_what_agents_write_is_text_and_nothing_of_it_runs(haldir: Haldir, key: str, tabs: Tabs) -> None:
    approval_id = asked(haldir, tool=EVIL, action=EVIL, reason=EVIL, details={EVIL: [EVIL]}, params=EVIL)
    page = tabs.open(key=key)
    expect(page.get_by_role("heading", level=2)).to_have_text(f"{EVIL}: {EVIL}")
    expect(page.locator(".reason")).to_have_text(EVIL)
    assert json.loads(page.locator("pre").first.text_content() or "") == {EVIL: [EVIL]}
    page.goto(f"/approvals/{approval_id}")
    expect(page.get_by_role("heading", level=1)).to_have_text(f"{EVIL}: {EVIL}")
    assert page.locator("main script, main img").count() == 0


def test_signing_out_in_one_tab_takes_the_other_one_to_the_sign_in(haldir: Haldir, key: str, tabs: Tabs) -> None:
    approval_id = held(haldir)
    page = tabs.open(f"/approvals/{approval_id}", key=key)
    other = page.context.new_page()
    tabs.watch(other)
    other.goto("/approvals")
    expect(other.locator(LIVE)).to_be_visible()
    other.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible(timeout=20_000)
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Payment of 20.00 USD")


def test_a_link_from_another_site_finds_who_is_signed_in(haldir: Haldir, key: str, tabs: Tabs) -> None:
    approval_id = held(haldir)
    page = tabs.open(key=key)
    elsewhere = page.context.new_page()
    elsewhere.set_content(f'<a href="{haldir.url}/approvals/{approval_id}">Open</a>')
    elsewhere.get_by_text("Open").click()
    expect(elsewhere.get_by_role("heading", level=1)).to_have_text("Payment of 20.00 USD")


def pages_of(haldir: Haldir, page: Page) -> Iterator[str]:
    """Go to one page of each kind, and name it."""
    waiting, decided = held(haldir, 1234.5, "Two desks"), held(haldir, 30)
    asked(
        haldir,
        tool="deploy",
        action="production",
        reason="May I?\nAll is green.",
        details={"long": "x" * 300, "list": [1, 2]},
    )
    haldir.post(f"/v1/approvals/{decided}/deny", {"note": "no", "decided_by": "Ada"})
    for amount in (1, 25):
        call(haldir, amount)
    for path in ("/approvals", f"/approvals/{waiting}", f"/approvals/{decided}", "/approvals/apr_none"):
        page.goto(path)
        yield path


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_a_phone_shows_everything(haldir: Haldir, key: str, tabs: Tabs, scheme: Any) -> None:
    page = tabs.open("/sign-in", viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
    page.get_by_label("API key").fill("hld_no")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert violations(page) == ""
    assert overflow(page) == 0
    page.get_by_label("API key").fill(key)
    page.keyboard.press("Enter")
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    assert violations(page) == ""
    for path in pages_of(haldir, page):
        assert violations(page) == "", path
        assert overflow(page) == 0, path
        for target in page.locator("button:visible, input:visible, textarea:visible, summary:visible").all():
            box = target.bounding_box()
            assert box
            assert box["height"] >= TARGET_PIXELS, (path, target.text_content())
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", ground))) < 200) == (scheme == "dark")


def test_axe_finds_nothing_on_a_desk_with_all_colours_forced(haldir: Haldir, key: str, tabs: Tabs) -> None:
    page = tabs.open(key=key, forced_colors="active", reduced_motion="reduce")
    for path in pages_of(haldir, page):
        assert violations(page) == "", path


def test_what_begins_to_wait_at_one_replica_comes_to_a_page_of_another(
    browser: Browser, database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    data = tmp_path_factory.mktemp("data")
    with running_haldir(data, dsn=database) as first:
        other = tmp_path_factory.mktemp("data")
        for name in ("root.key", "admin.key"):
            (other / name).write_bytes((data / name).read_bytes())
        with running_haldir(other, dsn=database) as second:
            second.rest("POST", "/v1/approvals/rules", {"type": "all"})
            tabs = Tabs(browser, first)
            page = tabs.open(key=first.key)
            expect(page.locator(LIVE)).to_be_visible()
            approval_id = held(second)
            card = page.locator(f"#{approval_id}")
            expect(card).to_be_visible()
            expect(page.locator(SETTLED)).to_be_visible()
            card.get_by_role("button", name="Approve").click()
            expect(page.locator(".told")).to_contain_text("Approved")
            assert shown(second, approval_id)["status"] == "approved"
            tabs.close()
