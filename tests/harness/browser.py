"""A real Chromium, as Debian has it, and what every page must keep to while it is looked at."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, final

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped] # It comes without types.
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from harness.haldir import Haldir

NAMES = ("chromium", "google-chrome")
REQUIRED = "HALDIR_BROWSER"  # Set to `required` where a test that is skipped would be a test that is lost.
PHONE = {"width": 375, "height": 812}
DESK = {"width": 1200, "height": 900}
# All rules of axe that say what is wrong, and the one about the size of targets, which it leaves to the asker.
AXE_OPTIONS = {"resultTypes": ["violations"], "rules": {"target-size": {"enabled": True}}}
REFUSED = "Failed to load resource"  # What Chromium says of every answer of 400 and above: those are meant.


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run a Chromium for as long as the block lasts. Skips the test where there is none, unless one is required."""
    path = next(filter(None, map(shutil.which, NAMES)), None)
    if path is None:
        reason = "There is no Chromium here: apt-get install chromium"
        if os.environ.get(REQUIRED) == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # Chromium's sandbox does not work for root.
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=arguments)
        yield browser
        browser.close()


@final
class Tabs:
    """Opens tabs at a Haldir, and holds every one of them to: no error in the console, nothing from elsewhere."""

    def __init__(self, browser: Browser, haldir: Haldir) -> None:
        self._browser, self._haldir = browser, haldir
        self._contexts: list[Any] = []
        self.faults: list[str] = []
        self.urls: list[str] = []

    def open(self, path: str = "/approvals", *, key: str | None = None, **how: Any) -> Page:
        """Open a tab of a browser of its own, signed in if a key is given."""
        context = self._browser.new_context(**{"viewport": DESK, "base_url": self._haldir.url, **how})
        self._contexts.append(context)
        page = context.new_page()
        self.watch(page)
        page.goto("/sign-in" if key else path)
        if key:
            page.get_by_label("API key").fill(key)
            page.get_by_role("button", name="Sign in").click()
            page.get_by_role("heading", name="Approvals").wait_for()
            if path != "/approvals":
                page.goto(path)
        return page

    def watch(self, page: Page) -> None:
        page.on("console", self._said)
        page.on("pageerror", lambda error: self.faults.append(f"error: {error}"))
        page.on("dialog", lambda dialog: self.faults.append(f"dialog: {dialog.message}"))
        page.on("request", self._asked)

    def close(self) -> None:
        for context in self._contexts:
            context.close()
        assert self.faults == []

    def _said(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and REFUSED not in message.text:
            self.faults.append(f"console: {message.text}")

    def _asked(self, request: Request) -> None:
        self.urls.append(request.url)
        if not request.url.startswith(self._haldir.url + "/"):
            self.faults.append(f"request: {request.url}")


def violations(page: Page) -> str:
    """Return what axe finds wrong with a page; nothing, if it finds nothing."""
    found = Axe().run(page, options=AXE_OPTIONS)
    return str(found.generate_report()) if found.violations_count else ""


def overflow(page: Page) -> int:
    """Return by how many pixels a page is wider than its window."""
    wider = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    return max(0, int(wider))
