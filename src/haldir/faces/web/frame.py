"""What every page has around it: head, skip link, who is signed in, the message about what was just done."""

import msgspec

from haldir.faces.web.assets import Assets
from haldir.faces.web.html import Element, Node, h
from haldir.faces.web.legible import legible
from haldir.faces.web.visits import Told, Visitor

NAME = "Haldir"
FORM_TOKEN = "form_token"  # noqa: S105 - the name of a field.


class Frame(msgspec.Struct, frozen=True):
    """Puts what a page says into a whole page. `title` comes first in the browser's tab."""

    assets: Assets

    def page(self, title: str, *main: Node, visitor: Visitor | None = None, told: Told | None = None) -> Element:
        return h(
            "html",
            h(
                "head",
                h("meta", charset="utf-8"),
                h("title", f"{title} · {NAME}"),
                h("meta", name="viewport", content="width=device-width, initial-scale=1"),
                h("meta", name="color-scheme", content="light dark"),
                h("link", rel="icon", href="/logo.svg"),
                h("link", rel="stylesheet", href=self.assets.style),
                h("script", src=self.assets.script, defer=True),
            ),
            h(
                "body",
                h("a", "Skip to the content", class_="skip", href="#main"),
                _header(visitor),
                h("main", _message(told), *main, id="main", tabindex="-1"),
                h("p", id="news", role="status", aria_live="polite"),  # What scripts have to say.
            ),
            lang="en",
        )


def form_token(visitor: Visitor) -> Element:
    """Return the field that every form of a visitor needs."""
    return h("input", type="hidden", name=FORM_TOKEN, value=visitor.visit.form_token)


def _header(visitor: Visitor | None) -> Element:
    logo = h("img", src="/logo.svg", alt="", width=28, height=28)
    if visitor is None:
        return h("header", h("span", logo, NAME, class_="brand"), class_="top")
    prefix = visitor.visit.prefix
    name = legible(visitor.key_name) or "a key without a name"
    return h(
        "header",
        h("a", logo, NAME, class_="brand", href="/approvals"),
        h("p", "Signed in as ", h("strong", h("bdi", name)), " ", h("code", prefix), class_="who"),
        h(
            "form",
            form_token(visitor),
            h("button", "Sign out", class_="quiet"),
            method="post",
            action="/sign-out",
        ),
        class_="top",
    )


def _message(told: Told | None) -> Element | None:
    if told is None:
        return None
    kind, role = ("good", "status") if told.good else ("bad", "alert")
    return h("p", legible(told.text), class_=f"told {kind}", role=role, tabindex="-1", autofocus=True)
