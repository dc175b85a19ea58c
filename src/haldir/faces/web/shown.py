"""One approval as a person sees it: what will happen, who asks, how long there is, and the form that decides.

What is not shown whole cannot be decided where it is shown.
"""

from collections.abc import Iterator, Mapping

import msgspec

from haldir.faces.web.frame import form_token
from haldir.faces.web.html import Element, Node, h
from haldir.faces.web.legible import clock_time, iso_time, legible, pretty, span
from haldir.faces.web.visits import Visitor
from haldir.kernel.money import MICROS, format_amount
from haldir.operations.approvals_shown import ApprovalShown
from haldir.operations.verbs.approvals import NOTE_CHARS_MAX

BRIEF_CHARS_MAX = 6000  # Of JSON in a list: a screen or two. The approval's own page has all of it.
NOTHING = b"null"
EFFECTS = {
    "payment": "A payment, made once when its agent asks again.",
    "call": "This exact call, once.",
    "ask": "Nothing by itself: whoever asked reads the answer and acts on it.",
}
STATES = {"pending": "Waiting", "approved": "Approved", "denied": "Denied", "expired": "Expired"}


class PaymentDetails(msgspec.Struct):
    description: str = ""


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
    words, whole = _asked(approval, BRIEF_CHARS_MAX)
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
    words, _ = _asked(approval, None)
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
    asked = h("time", f"{span(view.now - approval.created_at)} ago", datetime=iso_time(approval.created_at))
    parts: list[Node] = [h("li", "asked by ", h("bdi", h("strong", legible(approval.agent_id)))), h("li", asked)]
    if approval.status == "pending":
        left = f"{span(approval.expires_at - view.now)} left"
        parts.append(h("li", left, class_="left", data_expires=str(approval.expires_at)))
    return h("ul", parts, class_="facts")


def _asked(approval: ApprovalShown, chars_max: int | None) -> tuple[list[Node], bool]:
    """Return what was said of the request, and whether that is all of it."""
    asks = approval.effect == "ask"
    nodes: list[Node] = [_words(approval, approval.reason if asks else _description(approval))]
    if approval.reason and not asks:
        nodes.append(h("p", legible(approval.reason), class_="soft reason"))
    details = NOTHING if approval.effect == "payment" else bytes(approval.details)
    complete = True
    for name, raw in (("Details" if asks else "Arguments", details), ("Parameters", bytes(approval.params))):
        if raw != NOTHING:
            text, is_all = _json(raw, chars_max)
            complete = complete and is_all
            said = name if is_all else f"{name}, the first of {len(raw):,} bytes"
            nodes.append(h("details", h("summary", said), h("pre", text, tabindex="0"), open=True))
    return nodes, complete


def _words(approval: ApprovalShown, words: str) -> Element | None:
    """Return what an agent says, marked as its words: or it could speak for Haldir."""
    if not words:
        return None
    says = h("p", h("bdi", legible(approval.agent_id)), " says", class_="soft")
    return h("blockquote", says, h("p", h("bdi", legible(words)), class_="reason"))


def _description(approval: ApprovalShown) -> str:
    if approval.effect != "payment" or bytes(approval.details) == NOTHING:
        return ""
    return msgspec.json.decode(approval.details, type=PaymentDetails).description


def _json(raw: bytes, chars_max: int | None) -> tuple[str, bool]:
    """Return JSON on lines, or the first of it and False; nobody waits for the layout of what is cut off anyhow."""
    if chars_max is not None and len(raw) > chars_max:
        return legible(raw[:chars_max].decode(errors="replace")), False
    return pretty(raw), True


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


def history(approval: ApprovalShown, view: View) -> Element:
    """Return what became of an approval, and by whom."""
    return h("section", h("h2", "History"), h("ol", list(_events(approval, view)), class_="history"))


def particulars(approval: ApprovalShown, view: View) -> Element:
    """Return what an approval is bound to."""
    rows: list[tuple[str, Node]] = [
        ("Approval", h("code", approval.request_id)),
        ("Lets happen", EFFECTS[approval.effect]),
        ("Session", h("code", approval.session_id)),
        ("Asked with", who(approval.asked_by, view)),
        ("Held by", h("code", approval.rule_id) if approval.rule_id else "nothing: it was asked for"),
        ("Approvals needed", str(approval.approvers)),
        ("Four eyes", "yes" if approval.four_eyes else "no"),
        ("Ends", at(approval.expires_at)),
    ]
    pairs = [h("div", h("dt", name), h("dd", value)) for name, value in rows]
    return h("section", h("h2", "Bound to"), h("dl", pairs))


def _events(approval: ApprovalShown, view: View) -> Iterator[Element]:
    yield h("li", at(approval.created_at), "Asked for by ", h("bdi", legible(approval.agent_id)), ".")
    for vote in approval.votes:
        said = _said(vote.claimed_by, vote.note)
        yield h("li", at(vote.timestamp), "Approved by ", who(vote.approved_by, view), said)
    if approval.status == "denied" and approval.decided_at is not None:
        said = _said(approval.claimed_by, approval.decision_note)
        yield h("li", at(approval.decided_at), "Denied by ", who(approval.decided_by, view), said)
    if approval.used_at is not None:
        yield h("li", at(approval.used_at), "Used by ", h("code", approval.used_by), ".")
    if approval.status == "expired":
        yield h("li", at(approval.expires_at), "Expired.")


def _said(claimed_by: str, note: str) -> list[Node]:
    """Return what came with a decision: a name that nobody checked, and a note."""
    name: Node = [" as “", h("bdi", legible(claimed_by)), "” (a name that nobody checked)"] if claimed_by else None
    return [name, ": ", h("q", h("bdi", legible(note)))] if note else [name, "."]
