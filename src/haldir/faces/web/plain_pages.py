"""Pages for whoever is not signed in, or asked for what there is not."""

import re
from http import HTTPStatus

import msgspec

from haldir.faces.web.frame import Frame
from haldir.faces.web.html import Element, h
from haldir.faces.web.legible import legible
from haldir.faces.web.visits import Visitor
from haldir.kernel.errors import HaldirError

HOME = "/approvals"
KEY_CHARS_MAX = 256

# Nothing else is ever followed after a sign-in, so that no link can lead through it to another place.
_PLACE = re.compile(r"/approvals(?:/[A-Za-z0-9_-]{1,64})?")


def place(path: str) -> str:
    """Return where to go after a sign-in: one of our own pages, whatever the link said."""
    return path if _PLACE.fullmatch(path) else HOME


class PlainPages(msgspec.Struct, frozen=True):
    frame: Frame

    def sign_in(self, goes_to: str, problem: str = "") -> Element:
        """Return the form that takes a key; `problem` says why the last one was not taken."""
        return self.frame.page(
            "Sign in",
            h(
                "section",
                h("h1", "Sign in"),
                h("p", problem, class_="told bad", role="alert", id="problem") if problem else None,
                _key_form(goes_to, "problem hint" if problem else "hint"),
                class_="sign-in",
            ),
        )

    def moment(self, path: str) -> Element:
        """Return a page that goes on to `path` by itself, and takes the cookie along."""
        page = self.frame.page("One moment", h("h1", "One moment"), h("p", h("a", "Go on", href=path)))
        head, body = page.children
        assert isinstance(head, Element)
        refresh = h("meta", http_equiv="refresh", content=f"0; url={path}")
        return msgspec.structs.replace(
            page, children=(msgspec.structs.replace(head, children=(*head.children, refresh)), body)
        )

    def problem(self, error: HaldirError, visitor: Visitor | None) -> Element:
        """Return what went wrong, in words."""
        title = HTTPStatus(error.status).phrase
        return self.frame.page(
            title,
            h(
                "section",
                h("h1", title),
                h("p", legible(error.message)),
                h("p", h("a", "To the approvals", href=HOME)),
                class_="plain",
            ),
            visitor=visitor,
        )


def _key_form(goes_to: str, described_by: str) -> Element:
    return h(
        "form",
        h("input", type="hidden", name="next", value=goes_to),
        h("label", "API key", for_="key"),
        h(
            "input",
            id="key",
            name="key",
            type="password",
            required=True,
            autofocus=True,
            maxlength=KEY_CHARS_MAX,
            autocomplete="off",
            autocapitalize="none",
            spellcheck="false",
            aria_describedby=described_by,
            aria_invalid="true" if "problem" in described_by else None,
        ),
        h(
            "p",
            "A key with the scope ",
            h("code", "approvals:write"),
            " decides, one with ",
            h("code", "approvals:read"),
            " looks. The browser does not keep it.",
            id="hint",
            class_="soft",
        ),
        h("button", "Sign in", class_="yes"),
        method="post",
        action="/sign-in",
    )
