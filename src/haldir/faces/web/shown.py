"""One approval as a person sees it: what will happen, who asks, how long there is, and the form that decides.

What is not shown whole cannot be decided where it is shown.
"""

from collections.abc import Mapping

import msgspec

from haldir.faces.web.asked import asked
from haldir.faces.web.frame import form_token
from haldir.faces.web.html import Element, Node, h
from haldir.faces.web.legible import clock_time, iso_time, legible, span
from haldir.faces.web.visits import Visitor
from haldir.kernel.money import MICROS, format_amount
from haldir.operations.approvals_shown import ApprovalShown
from haldir.operations.verbs.approvals import NOTE_CHARS_MAX

STATES = {"pending": "Waiting", "approved": "Approved", "denied": "Denied", "expired": "Expired"}


class View(msgspec.Struct, frozen=True):
    """Who looks (None: by a link), when (Unix seconds), and whether they may decide; names of keys by credential."""

    visitor: Visitor | None
    now: float
    may_decide: bool
    key_names: Mapping[str, str] = {}


def title_of(approval: ApprovalShown) -> str:
    """Return what is asked for, in a few words."""
    if approval.effect == "payment":
        return f"Payment of {amount_of(approval)}"
    if approval.effect == "call":
        return legible(f"{approval.upstream}.{approval.tool}")
    return legible(": ".join(filter(None, (approval.tool, approval.action))) or "A question")


def amount_of(approval: ApprovalShown) -> str:
    whole, _, fraction = format_amount(round(approval.amount * MICROS)).partition(".")
    return f"{int(whole):,}.{fraction} {legible(approval.currency)}"


def card(approval: ApprovalShown, view: View) -> Element:
    """Return an approval as one of a list."""
    words, whole = asked(approval, brief=True)
    path = f"/approvals/{approval.request_id}"
    return h(
        "li",
        h(
            "article",
            _head(approval, h("h2", h("a", title_of(approval), href=path), id=f"{approval.request_id}-what")),
            _facts(approval, view),
            words,
            _standing(approval, view),
            _decision(approval, view) if whole else _see_all(path),
            aria_labelledby=f"{approval.request_id}-what",
        ),
        class_="card",
        id=approval.request_id,
        data_version=str(len(approval.votes)),
    )


def whole(approval: ApprovalShown, view: View, decision: Element | None = None) -> Element:
    """Return an approval with everything there is to see of it; `decision` is the form, if not the usual one."""
    words, _ = asked(approval, brief=False)
    return h(
        "article",
        _head(approval, h("h1", title_of(approval), id="what")),
        _facts(approval, view),
        words,
        _standing(approval, view) if approval.status == "pending" else None,
        (decision or _decision(approval, view)) if approval.status == "pending" else None,
        aria_labelledby="what",
        class_="card whole",
        id=approval.request_id,
        data_version=f"{approval.status}{len(approval.votes)}{approval.used_by}",
    )


def who(credential: str, view: View) -> list[Node]:
    """Return a credential as people know it: the name of its key, then what the log calls it."""
    name = legible(view.key_names.get(credential, ""))
    if view.visitor is not None and credential == str(view.visitor.caller.credential):
        name = f"{name} (you)" if name else "you"
    return [h("bdi", f"{name} ") if name else None, h("code", credential)]


def at(unix_seconds: float, text: str | None = None) -> Element:
    """Return an instant; scripts show it in the reader's own zone."""
    return h("time", text or clock_time(unix_seconds), datetime=iso_time(unix_seconds))


def _head(approval: ApprovalShown, heading: Element) -> Element:
    state = h("span", STATES[approval.status], class_=f"state {approval.status}")
    costs = approval.amount and approval.effect != "payment"
    return h("header", heading, h("p", amount_of(approval), class_="amount") if costs else None, state)


def _facts(approval: ApprovalShown, view: View) -> Element:
    since = h("time", f"{span(view.now - approval.created_at)} ago", datetime=iso_time(approval.created_at))
    behind = legible(approval.openers[0].name) if approval.openers else ""
    parts: list[Node] = [
        h("li", "asked by ", h("bdi", h("strong", legible(approval.agent_id)))),
        h("li", "for ", h("bdi", behind)) if behind else None,
        h("li", since),
    ]
    if approval.status == "pending":
        left = f"{span(approval.expires_at - view.now)} left"
        parts.append(h("li", left, class_="left", data_expires=str(approval.expires_at)))
    return h("ul", parts, class_="facts")


def _standing(approval: ApprovalShown, view: View) -> Element | None:
    if approval.approvers == 1 and not approval.four_eyes:
        return None
    given = len(approval.votes)
    parts: list[Node] = [f"{given} of {approval.approvers} approvals given." if approval.approvers > 1 else None]
    for vote in approval.votes:
        parts += [" Approved by ", who(vote.approved_by, view), "."]
    if approval.four_eyes:
        parts.append(" Four eyes: whoever asked or opened the session cannot decide.")
    return h("p", parts, class_="standing")


def _see_all(path: str) -> Element:
    return h("p", h("a", "See all of it and decide", href=path, class_="button"), class_="decide")


def _decision(approval: ApprovalShown, view: View) -> Element:
    if view.visitor is None or not view.may_decide:
        return h("p", "This key may look, and cannot decide: that needs the scope ", h("code", "approvals:write"), ".")
    path, what = f"/approvals/{approval.request_id}", h("span", f" {title_of(approval)}", class_="unseen")
    mine = str(view.visitor.caller.credential)
    approved = any(vote.approved_by == mine for vote in approval.votes)
    note = f"{approval.request_id}-note"
    return h(
        "form",
        form_token(view.visitor),
        h(
            "div",
            h("label", "Note ", h("span", "optional", class_="soft"), what, for_=note),
            h("textarea", id=note, name="note", rows=1, maxlength=NOTE_CHARS_MAX, autocomplete="off"),
        ),
        h(
            "div",
            h("p", "You have approved this; others must, too.", class_="soft")
            if approved
            else h("button", "Approve", what, class_="yes", formaction=f"{path}/approve"),
            h("button", "Deny", what, class_="no", formaction=f"{path}/deny"),
            class_="buttons",
        ),
        method="post",
        action=f"{path}/deny",  # Whatever sends the form without a button must not approve.
        class_="decide",
    )
