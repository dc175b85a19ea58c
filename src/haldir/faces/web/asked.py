"""What was asked for, exactly: the agent's words marked as such, arguments as JSON, and what is new in them."""

import msgspec

from haldir.faces.web.compared import compared
from haldir.faces.web.html import Element, Node, h
from haldir.faces.web.legible import legible, pretty
from haldir.operations.approvals_shown import ApprovalShown

BRIEF_BYTES_MAX = 6000  # Of JSON in a list: a screen or two. The approval's own page has all of it.
NOTHING = b"null"


class PaymentDetails(msgspec.Struct):
    description: str = ""


def asked(approval: ApprovalShown, *, brief: bool) -> tuple[list[Node], bool]:
    """Return what was said of the request, and whether that is all of it: in brief it may not be."""
    asks = approval.effect == "ask"
    nodes: list[Node] = [_words(approval, approval.reason if asks else _description(approval))]
    if approval.reason and not asks:
        nodes.append(h("p", legible(approval.reason), class_="soft reason"))
    nodes.append(compared(approval, brief=brief))
    details = NOTHING if approval.effect == "payment" else bytes(approval.details)
    complete = approval.effect != "call" or details != NOTHING
    if not complete:
        nodes.append(
            h("p", "The arguments were erased: nobody can see any more what this call does.", class_="told bad")
        )
    for name, raw in (("Details" if asks else "Arguments", details), ("Parameters", bytes(approval.params))):
        if raw != NOTHING:
            text, is_all = _json(raw, brief=brief)
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


def _json(raw: bytes, *, brief: bool) -> tuple[str, bool]:
    """Return JSON on lines, or the first of it and False; nobody waits for the layout of what is cut off anyhow."""
    if brief and len(raw) > BRIEF_BYTES_MAX:
        return legible(raw[:BRIEF_BYTES_MAX].decode(errors="replace")), False
    return pretty(raw), True
