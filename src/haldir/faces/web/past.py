"""What became of an approval and what it is bound to: for whoever wants to know later who decided, and what."""

from collections.abc import Iterator

from haldir.faces.web.html import Element, Node, h
from haldir.faces.web.legible import legible
from haldir.faces.web.shown import View, at, who
from haldir.operations.approvals_shown import ApprovalShown

EFFECTS = {
    "payment": "A payment, made once when its agent asks again.",
    "call": "This exact call, once.",
    "ask": "Nothing by itself: whoever asked reads the answer and acts on it.",
}


def history(approval: ApprovalShown, view: View) -> Element:
    """Return what became of an approval, and by whom."""
    return h("section", h("h2", "History"), h("ol", list(_events(approval, view)), class_="history"))


def particulars(approval: ApprovalShown, view: View) -> Element:
    """Return what an approval is bound to."""
    rows: list[tuple[str, Node]] = [
        ("Approval", h("code", approval.request_id)),
        ("Lets happen", EFFECTS[approval.effect]),
        ("Session", h("code", approval.session_id)),
        ("Sessions above", [h("div", h("code", each)) for each in approval.parents] if approval.parents else "none"),
        ("Opened by", [h("div", who(each.credential, view)) for each in approval.openers]),
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
