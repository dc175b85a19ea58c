"""The page behind a link that decides, in a real Chromium: on a phone, in the dark, by keyboard, without scripts."""

import re
from collections.abc import Iterator
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from harness.browser import PHONE, Tabs, chromium, overflow, violations
from harness.haldir import Haldir
from harness.threads import running_haldir
from receiver import Receiver, receiving

pytestmark = pytest.mark.xdist_group("browser")  # One browser, and no two of them at a time.

PUBLIC_URL = "https://haldir.example"
TARGET_PIXELS = 44
LONG = "rm -rf /" + "x" * 400


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def haldir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Haldir]:
    with running_haldir(tmp_path_factory.mktemp("data"), public_url=PUBLIC_URL) as haldir:
        yield haldir


@pytest.fixture(scope="module")
def channel(haldir: Haldir) -> Iterator[Receiver]:
    with receiving() as channel:
        haldir.rest("POST", "/v1/webhooks", {"url": channel.url, "links": True, "events": ["approval_requested"]})
        yield channel


@pytest.fixture
def tabs(browser: Browser, haldir: Haldir) -> Iterator[Tabs]:
    tabs = Tabs(browser, haldir)
    yield tabs
    tabs.close()


def asked(haldir: Haldir, channel: Receiver) -> tuple[str, str, str]:
    """Have a session ask; return the approval, and the paths of the links that approve and deny it."""
    session = haldir.session(agent_id="buyer")
    body = {"session_id": session["session_id"], "action": LONG[:128], "reason": "please", "details": {"target": LONG}}
    before = len(channel.came)
    approval_id = str(haldir.rest("POST", "/v1/approvals/request", body)["request_id"])
    channel.wait_for(before + 1)
    told = channel.came[-1].body
    return approval_id, *(told[field].removeprefix(PUBLIC_URL) for field in ("approve_url", "deny_url"))


def status(haldir: Haldir, approval_id: str) -> Any:
    return haldir.rest("GET", f"/v1/approvals/{approval_id}")["status"]


def fits(page: Page) -> None:
    assert violations(page) == ""
    assert overflow(page) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_on_a_phone_everything_is_seen_and_the_button_decides(
    haldir: Haldir, channel: Receiver, tabs: Tabs, scheme: Literal["light", "dark"]
) -> None:
    approval_id, approve, deny = asked(haldir, channel)
    page = tabs.open(approve, viewport=PHONE, color_scheme=scheme, has_touch=True, is_mobile=True)
    expect(page).to_have_title("Approve by link · Haldir")
    fits(page)
    button = page.get_by_role("button", name="Approve")
    box = button.bounding_box()
    assert box
    assert box["height"] >= TARGET_PIXELS
    assert status(haldir, approval_id) == "pending"
    page.get_by_label("Note").fill("fine by me")
    button.tap()
    expect(page.locator(".told")).to_have_text(f"Approved, for this one time: {approval_id}.")
    expect(page.get_by_role("button")).to_have_count(0)
    expect(page.locator(".history")).to_contain_text("fine by me")
    fits(page)
    assert status(haldir, approval_id) == "approved"
    page.goto(deny)
    expect(page.get_by_role("alert")).to_have_text(re.compile("This link was used, or another of the same message"))
    fits(page)
    page.goto("/approve/none")
    expect(page.get_by_text("This is no link of this Haldir's.")).to_be_visible()
    fits(page)


def test_the_keyboard_alone_denies_and_a_new_line_in_the_note_does_not(
    haldir: Haldir, channel: Receiver, tabs: Tabs
) -> None:
    approval_id, _, deny = asked(haldir, channel)
    page = tabs.open(deny)
    page.get_by_label("Note").focus()
    page.keyboard.type("Not this one.")
    page.keyboard.press("Enter")
    page.keyboard.type("Ask again.")
    assert status(haldir, approval_id) == "pending"
    page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Deny")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator(".told")).to_be_focused()
    assert status(haldir, approval_id) == "denied"


def test_without_scripts_a_link_decides_as_well_and_nobody_is_told_where_it_was(
    haldir: Haldir, channel: Receiver, tabs: Tabs
) -> None:
    approval_id, approve, _ = asked(haldir, channel)
    page = tabs.open(approve, java_script_enabled=False)
    with page.expect_request("**/assets/*.css") as asset:
        page.reload()
    assert not asset.value.all_headers().get("referer")
    page.get_by_role("button", name="Approve").click()
    expect(page.locator(".told")).to_contain_text("Approved")
    assert status(haldir, approval_id) == "approved"
    with page.expect_request(re.compile("/approvals/")) as away:
        page.get_by_role("link", name="Sign in for more").click()
    assert not away.value.all_headers().get("referer")
